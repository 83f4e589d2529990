// Translates lines of ids, of standard input, with the bundle that is named.

import java.io.File
import org.example.keras_attn.Translator

fun main(arguments: Array<String>) {
    Translator(File(arguments[0])).use { translator ->
        generateSequence(::readlnOrNull).forEach { line ->
            val ids = line.split(" ").map(String::toInt).toIntArray()
            println(translator.translate(ids).joinToString(" "))
        }
    }
}
