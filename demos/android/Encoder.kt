// Classes, scores and vectors of texts with a bundle on Android, from token ids, with LiteRT's CompiledModel.
// A sample: tests compile it and compare its answers with Python's, on a JVM. See docs/mobile.md.
//
//   implementation("com.google.ai.edge.litert:litert:2.3.0")
//
// The signatures and their tensors are those of keras_attn/device/runtime/encoder.py.

package org.example.keras_attn

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.TensorBuffer
import java.io.File
import kotlin.math.exp
import org.json.JSONObject

/** A label and its probability. */
data class Label(val label: String, val score: Float)

/**
 * The bundle of a classifier, a scorer or a sentence encoder, a folder with `manifest.json` and `model.tflite`.
 * Ids are those of the whole text, its special tokens included. Not for two threads at once.
 */
class Encoder(bundle: File) : AutoCloseable {
    private val manifest = JSONObject(File(bundle, "manifest.json").readText())
    private val task = manifest.getString("task")
    private val config = manifest.getJSONObject("model").getJSONObject("config")
    private val endId = manifest.getJSONObject("special_ids").getInt("end")
    private val padId = manifest.getJSONObject("special_ids").getInt("pad")
    private val buffers = HashMap<String, Buffers>()
    private val model: CompiledModel

    init {
        require(manifest.getInt("format_version") == 2) { "manifest.json: format_version must be 2" }
        require(task in TASKS) { "manifest.json: task must be one of $TASKS, not $task" }
        model = CompiledModel.create(File(bundle, "model.tflite").path, CompiledModel.Options(Accelerator.CPU))
    }

    /** All labels of a text, or of two, with their probabilities, the most probable first. */
    fun classify(ids: IntArray): List<Label> {
        check(task == "classification") { "this bundle is for $task" }
        val names = manifest.getJSONObject("model").getJSONArray("labels")
        val several = config.has("multi_label") && config.getBoolean("multi_label")
        val scores = run(ids)
        // Logarithms of the labels' own probabilities, or of shares, up to a constant.
        val largest = if (several) 0f else scores.max()
        val shares = scores.map { exp(it - largest) }
        val sum = if (several) 1f else shares.sum()
        return shares.mapIndexed { i, share -> Label(names.getString(i), share / sum) }.sortedByDescending { it.score }
    }

    /** The score of a text or of two, as a reranker gives it. */
    fun score(ids: IntArray): Float {
        check(task == "scoring") { "this bundle is for $task" }
        val logit = run(ids)[0]
        val linear = config.has("activation") && config.getString("activation") == "linear"
        return if (linear) logit else 1f / (1f + exp(-logit))
    }

    /** The vector of a text; a prompt, where the model has one, was put before the text. */
    fun embed(ids: IntArray): FloatArray {
        check(task == "embedding") { "this bundle is for $task" }
        return run(ids)
    }

    private fun run(ids: IntArray): FloatArray {
        val buckets = manifest.getJSONArray("buckets")
        val bucket = (0 until buckets.length()).map(buckets::getJSONObject)
            .firstOrNull { it.getInt("source") >= ids.size }
            ?: throw IllegalArgumentException("${ids.size} tokens are more than this bundle takes")
        val (length, name) = bucket.getInt("source") to bucket.getString("encode")
        val ready = buffers.getOrPut(name) {
            Buffers(model, name, manifest.getJSONObject("signatures").getJSONObject(name))
        }
        ready.write("token_ids", IntArray(length) { if (it < ids.size) ids[it] else padId })
        ready.write("padding_mask", FloatArray(length) { if (it < ids.size) 1f else 0f })
        if ("segment_ids" in ready.inputs) ready.write("segment_ids", segments(ids).copyOf(length))
        return ready.run()
    }

    /** 0 up to the token that ends the first text, 1 behind it. */
    private fun segments(ids: IntArray): IntArray {
        val first = ids.indexOf(endId)
        return IntArray(ids.size) { if (first in 0 until it) 1 else 0 }
    }

    override fun close() {
        buffers.values.forEach { it.close() }
        model.close()
    }

    private companion object {
        val TASKS = listOf("classification", "scoring", "embedding")
    }
}

/** The tensors of a signature with one output. */
private class Buffers(private val model: CompiledModel, private val name: String, described: JSONObject) :
    AutoCloseable {
    val inputs = described.getJSONObject("inputs").keys().asSequence()
        .associateWith { model.createInputBuffer(it, name) }
    private val outputs = described.getJSONObject("outputs").keys().asSequence()
        .associateWith { model.createOutputBuffer(it, name) }

    fun write(tensor: String, values: IntArray) = inputs.getValue(tensor).writeInt(values)

    fun write(tensor: String, values: FloatArray) = inputs.getValue(tensor).writeFloat(values)

    fun run(): FloatArray {
        model.run(inputs, outputs, name)
        return outputs.values.single().readFloat()
    }

    override fun close() = (inputs.values + outputs.values).forEach(TensorBuffer::close)
}
