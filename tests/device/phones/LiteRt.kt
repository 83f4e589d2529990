// Stands in for LiteRT's Kotlin classes on a JVM: the same signatures, over a process with the real interpreter.
// The property `interpreter` is its command, parted by line ends; the model's path is added.

package com.google.ai.edge.litert

import java.io.DataInputStream
import java.io.DataOutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder

enum class Accelerator { CPU, GPU, NPU }

class TensorBuffer internal constructor() : AutoCloseable {
    internal var content = ByteArray(0)
    private val values get() = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)

    fun writeInt(data: IntArray) {
        content = ByteArray(4 * data.size)
        values.asIntBuffer().put(data)
    }

    fun writeFloat(data: FloatArray) {
        content = ByteArray(4 * data.size)
        values.asFloatBuffer().put(data)
    }

    fun readInt() = IntArray(content.size / 4).also { values.asIntBuffer().get(it) }

    fun readFloat() = FloatArray(content.size / 4).also { values.asFloatBuffer().get(it) }

    override fun close() {}
}

class CompiledModel private constructor(path: String) : AutoCloseable {
    class Options(vararg val accelerators: Accelerator)

    private val process = ProcessBuilder(System.getProperty("interpreter").split("\n") + path)
        .redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val to = DataOutputStream(process.outputStream.buffered())
    private val from = DataInputStream(process.inputStream.buffered())

    fun createInputBuffer(inputName: String, signature: String? = null) = TensorBuffer()

    fun createOutputBuffer(outputName: String, signature: String? = null) = TensorBuffer()

    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String? = null) {
        write(signature!!.toByteArray())
        to.writeInt(inputs.size)
        for ((name, tensor) in inputs) {
            write(name.toByteArray())
            write(tensor.content)
        }
        to.flush()
        repeat(from.readInt()) { outputs.getValue(String(read())).content = read() }
    }

    private fun write(content: ByteArray) {
        to.writeInt(content.size)
        to.write(content)
    }

    private fun read() = ByteArray(from.readInt()).also(from::readFully)

    override fun close() {
        to.close()
        process.waitFor()
    }

    companion object {
        fun create(filePath: String, options: Options = Options(Accelerator.CPU)) = CompiledModel(filePath)
    }
}
