// Answers lines of ids, of standard input, with the bundle that is named; a second word says how, if not by translating.

import java.io.File
import org.example.keras_attn.Encoder
import org.example.keras_attn.Translator

fun main(arguments: Array<String>) {
    val bundle = File(arguments[0])
    val lines = generateSequence(::readlnOrNull).map { it.split(" ").map(String::toInt).toIntArray() }
    if (arguments.size == 1) {
        Translator(bundle).use { task -> lines.forEach { println(task.translate(it).joinToString(" ")) } }
        return
    }
    Encoder(bundle).use { task ->
        lines.forEach { ids ->
            when (arguments[1]) {
                "classify" -> println(task.classify(ids).joinToString(" ") { "${it.label} ${it.score}" })
                "score" -> println(task.score(ids))
                else -> println(task.embed(ids).joinToString(" "))
            }
        }
    }
}
