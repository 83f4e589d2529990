"""Makes .tflite files by other ways than this package's: a program, for TensorFlow is below Keras in it."""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow as tf
from keras_attn_export.tflite.inspection import read_object


def write_all(folder: Path) -> None:
    """Write two Keras models and files of them: right ones, and ones that are wrong in one way each."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = pictures()
    model.save(folder / "pictures.keras")
    model.export(folder / "keras.tflite", format="litert", verbose=False)
    (folder / "unsigned.tflite").write_bytes(without_signatures((folder / "keras.tflite").read_bytes()))
    for name, scale in (("int8", 1.0), ("badly-calibrated", 1e-3)):
        images = [[(scale * rng.normal(size=(1, 8, 8, 3))).astype(np.float32)] for _ in range(20)]
        (folder / f"{name}.tflite").write_bytes(full_int8(model, images))
    model.layers[1].kernel.assign(tf.gather(model.layers[1].kernel, [1, 0, *range(2, 8)], axis=-1))
    model.export(folder / "swapped-weight.tflite", format="litert", verbose=False)
    other = pictures()
    other.export(folder / "other-model.tflite", format="litert", verbose=False)

    ids, length = keras.Input((None,), dtype="int32", name="ids"), keras.Input((), name="weight")
    x = keras.layers.Embedding(30, 8, mask_zero=True)(ids)
    x = keras.layers.GlobalAveragePooling1D()(x) * keras.ops.reshape(length, (-1, 1))
    reader = keras.Model([ids, length], keras.layers.Dense(4, name="kind")(x))
    reader.save(folder / "reader.keras")
    reader.export(folder / "reader.tflite", format="litert", verbose=False)

    vector = keras.Input((2,), name="vector")
    unit = keras.Model(vector, keras.layers.UnitNormalization()(keras.layers.ReLU()(vector)))
    unit.export(folder / "unit.tflite", format="litert", verbose=False)
    unit.save(folder / "unit.keras")

    (folder / "endless.tflite").write_bytes(endless())

    steps = keras.Input((6, 3), name="steps")
    keras.Model(steps, keras.layers.LSTM(4)(steps)).export(
        folder / "recurrent.tflite", format="litert", verbose=False
    )


def pictures() -> keras.Model:
    """Return a model of pictures with two outputs of the same shape."""
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu")(image)
    x = keras.layers.Flatten()(x)
    return keras.Model(image, [keras.layers.Dense(5, name=name)(x) for name in ("logits", "other")])


def endless() -> bytes:
    """Return a file whose loop never ends."""

    def halved(x: tf.Tensor) -> tf.Tensor:
        positive = lambda y: tf.reduce_sum(y) > -1.0  # noqa: E731
        return tf.while_loop(positive, lambda y: [0.5 * tf.abs(y)], [tf.abs(x)])[0]

    function = tf.function(halved, input_signature=[tf.TensorSpec((1, 4), tf.float32)])
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()


def full_int8(model: keras.Model, images: list) -> bytes:
    """Return the model in 8 bits, its inputs and outputs too, calibrated with images."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: images
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type, converter.inference_output_type = tf.int8, tf.uint8
    return converter.convert()


def without_signatures(content: bytes) -> bytes:
    """Return a file whose graph has no signature."""
    import flatbuffers

    model, builder = read_object(content), flatbuffers.Builder(1024)
    model.signatureDefs = None
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
