// Greedy translation with a bundle on Android, from token ids to token ids, with LiteRT's CompiledModel.
// A sample: tests compile it and compare its tokens with Python's, on a JVM. See docs/mobile.md.
//
//   implementation("com.google.ai.edge.litert:litert:2.3.0")
//
// The signatures, their tensors and what a step does with its caches are those of keras_attn/device/search/kv_cache.py.

package org.example.keras_attn

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.TensorBuffer
import java.io.File
import org.json.JSONObject

private const val NOT_ATTENDED = -1e9f

/** A translator's bundle, a folder with `manifest.json` and `model.tflite`. Not for two threads at once. */
class Translator(bundle: File) : AutoCloseable {
    private val manifest = JSONObject(File(bundle, "manifest.json").readText())
    private val model: CompiledModel
    private val signatures = HashMap<String, Signature>()
    private val special = manifest.getJSONObject("special_ids")
    private val padId = special.getInt("pad")
    private val startId = special.getInt("start")
    private val endId = special.getInt("end")

    init {
        require(manifest.getInt("format_version") == 2) { "manifest.json: format_version must be 2" }
        require(manifest.getString("task") == "translation") { "manifest.json: task must be translation" }
        // Tokens around a text, and before a translation, that depend on two languages: see text_template.py.
        require(!manifest.has("text_template")) { "manifest.json: this sample does not choose languages" }
        model = CompiledModel.create(File(bundle, "model.tflite").path, CompiledModel.Options(Accelerator.CPU))
    }

    /** Tokens of the source, the end token included, to those of the target, without it. */
    fun translate(source: IntArray): IntArray {
        val buckets = manifest.getJSONArray("buckets")
        val bucket = (0 until buckets.length()).map(buckets::getJSONObject)
            .firstOrNull { it.getInt("source") >= source.size }
            ?: throw IllegalArgumentException("${source.size} source tokens are more than this bundle takes")
        val room = bucket.getInt("source")
        val ids = IntArray(room) { if (it < source.size) source[it] else padId }
        val mask = FloatArray(room) { if (it < source.size) 1f else 0f }
        return if (bucket.has("one_call")) inOneCall(bucket.getString("one_call"), ids, mask)
        else stepByStep(bucket, source.size, ids, mask)
    }

    /** The whole search in the graph: bundles that were exported with `--one-call`. */
    private fun inOneCall(name: String, ids: IntArray, mask: FloatArray): IntArray {
        val search = signature(name)
        search.write("token_ids", ids)
        search.write("source_mask", mask)
        search.write("max_length", intArrayOf(0)) // twice the source's tokens and ten
        search.run()
        return search.ints("target_ids").copyOf(search.ints("target_length")[0])
    }

    private fun stepByStep(bucket: JSONObject, length: Int, ids: IntArray, mask: FloatArray): IntArray {
        val encode = signature(bucket.getString("encode"))
        encode.write("token_ids", ids)
        encode.write("source_mask", mask)
        encode.run()

        // Steps stand by their number of rows, 1 for greedy search, and by the target tokens they have room for.
        val byTarget = bucket.getJSONObject("steps").getJSONObject("1")
        val target = byTarget.keys().asSequence().maxOf { it.toInt() }
        val step = Step(signature(byTarget.getString(target.toString())), encode)

        val produced = ArrayList<Int>()
        var token = startId
        for (position in 0 until minOf(2 * length + 10, target)) {
            val scores = step.feed(token, position)
            scores[padId] = Float.NEGATIVE_INFINITY
            if (startId != endId) scores[startId] = Float.NEGATIVE_INFINITY
            token = scores.indices.maxByOrNull { scores[it] }!!
            if (token == endId) break
            produced.add(token)
        }
        return produced.toIntArray()
    }

    private fun signature(name: String) = signatures.getOrPut(name) {
        Signature(model, name, manifest.getJSONObject("signatures").getJSONObject(name))
    }

    override fun close() {
        signatures.values.forEach { it.close() }
        model.close()
    }
}

/** A signature with its buffers by name; inputs keep what was written from run to run. */
private class Signature(private val model: CompiledModel, private val name: String, described: JSONObject) :
    AutoCloseable {
    val inputShapes = shapes(described.getJSONObject("inputs"))
    val outputShapes = shapes(described.getJSONObject("outputs"))
    private val inputs = inputShapes.keys.associateWith { model.createInputBuffer(it, name) }
    private val outputs = outputShapes.keys.associateWith { model.createOutputBuffer(it, name) }

    fun write(tensor: String, values: IntArray) = inputs.getValue(tensor).writeInt(values)

    fun write(tensor: String, values: FloatArray) = inputs.getValue(tensor).writeFloat(values)

    fun ints(tensor: String): IntArray = outputs.getValue(tensor).readInt()

    fun floats(tensor: String): FloatArray = outputs.getValue(tensor).readFloat()

    fun run() = model.run(inputs, outputs, name)

    override fun close() = (inputs.values + outputs.values).forEach(TensorBuffer::close)

    private fun shapes(tensors: JSONObject): Map<String, IntArray> =
        tensors.keys().asSequence().associateWith { tensor ->
            val shape = tensors.getJSONObject(tensor).getJSONArray("shape")
            IntArray(shape.length(), shape::getInt)
        }
}

/** One sentence's steps, one row: what each tensor is for follows from its name. */
private class Step(private val signature: Signature, encode: Signature) {
    // The step returns no cache: it returns the new row, which is written into the cache here.
    private val caches = signature.inputShapes.filterKeys { "_cache_" in it }.mapValues { FloatArray(size(it.value)) }
    private val carried = signature.inputShapes.keys.filter { "next_$it" in signature.outputShapes }
    // Caches of a model of your own: the row is written where `slot` says.
    private val rowCaches = mutableMapOf<String, FloatArray>()
    private var slot = 0
    private val selfBias = signature.inputShapes["self_bias"]?.let { FloatArray(size(it)) { NOT_ATTENDED } }

    init {
        for ((name, shape) in signature.inputShapes) {
            val encoded = encode.outputShapes[name]
            if (encoded != null) {
                // The step may have more room than encode; its bias forbids the rest.
                val values = FloatArray(size(shape)) { if (name.endsWith("_bias")) NOT_ATTENDED else 0f }
                copyBox(encode.floats(name), encoded, values, shape)
                signature.write(name, values)
                if ("row_$name" in signature.outputShapes) rowCaches[name] = values
                if (name == "slot") slot = values[0].toInt()
            } else if (name in carried) {
                signature.write(name, FloatArray(size(shape)))
            } else if ("row_$name" in signature.outputShapes) {
                rowCaches[name] = FloatArray(size(shape))
            }
        }
    }

    /** Logits of the next token. */
    fun feed(token: Int, position: Int): FloatArray {
        signature.write("tokens", intArrayOf(token))
        if ("position" in signature.inputShapes) signature.write("position", intArrayOf(position))
        selfBias?.let { signature.write("self_bias", it) }
        (caches + rowCaches).forEach { (name, cache) -> signature.write(name, cache) }
        signature.run()
        rowCaches.forEach { (name, cache) -> keepRow(name, cache) }
        slot += 1
        caches.forEach { (name, cache) -> keep(name, cache, position) }
        selfBias?.set(position, 0f)
        carried.forEach { signature.write(it, signature.floats("next_$it")) }
        return signature.floats("scores")
    }

    /** Write a row (2 * H * dh: keys, then values) into a cache (H, dh, T) at a position. */
    private fun keep(name: String, cache: FloatArray, position: Int) {
        val (heads, depth, slots) = signature.inputShapes.getValue(name)
        val row = signature.floats("row_" + name.substringAfter("_cache_"))
        val first = if (name.startsWith("value")) heads * depth else 0
        for (i in 0 until heads * depth) cache[i * slots + position] = row[first + i]
    }

    /** Write a row (1, ..., 1, ...) into a cache (1, ..., T, ...) at the slot. */
    private fun keepRow(name: String, cache: FloatArray) {
        val shape = signature.inputShapes.getValue(name)
        val rowShape = signature.outputShapes.getValue("row_$name")
        val axis = shape.indices.first { shape[it] != rowShape[it] || it == shape.lastIndex }
        val inner = size(shape.copyOfRange(axis + 1, shape.size))
        val row = signature.floats("row_$name")
        for (line in 0 until row.size / inner) {
            row.copyInto(cache, (line * shape[axis] + slot) * inner, line * inner, (line + 1) * inner)
        }
    }
}

private fun size(shape: IntArray) = shape.fold(1, Int::times)

/** Copy an array into the beginning of a larger one of as many dimensions. */
private fun copyBox(from: FloatArray, small: IntArray, into: FloatArray, large: IntArray) {
    val width = small.last()
    for (line in 0 until from.size / width) {
        var rest = line
        var place = 0
        var stride = large.last()
        for (axis in small.size - 2 downTo 0) {
            place += rest % small[axis] * stride
            rest /= small[axis]
            stride *= large[axis]
        }
        from.copyInto(into, place, line * width, (line + 1) * width)
    }
}
