"""Functions that model files have no operators for, and numbers of other widths than 32 bits."""

import keras
import numpy as np
from keras import layers, ops

from zoo.case import Case, floats


def tables():
    """A table as users normalize and bin it, counted in 64 bits."""
    rng = np.random.default_rng(0)
    columns = rng.uniform(0, 80, (200, 3)).astype("float32")
    normalize, bins = layers.Normalization(), layers.Discretization(num_bins=5)
    normalize.adapt(columns)
    bins.adapt(columns)
    x = inputs = keras.Input((3,), dtype="float64")
    binned = layers.Flatten()(layers.Embedding(7, 4)(bins(x)))
    x = layers.Concatenate()([layers.Dense(8, activation="relu")(normalize(x)), binned])
    return keras.Model(inputs, layers.Dense(2)(x))


def elementary():
    x = inputs = keras.Input((3, 3), name="x")
    size = ops.abs(x) + 0.1
    small = 0.9 * ops.tanh(x)
    found = [
        *(ops.erf(x), 0.5 * x * (1 + ops.erf(x / np.sqrt(2))), ops.arctan(x), ops.tan(small)),
        *(ops.arcsin(small), ops.arccos(small), ops.sinh(x), ops.cosh(x), ops.arcsinh(x)),
        *(ops.arccosh(1 + size), ops.arctanh(small), ops.cast(ops.signbit(x), "float32")),
        *(ops.cumprod(x, axis=1), ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1)),
        # Means of which Keras' TensorFlow backend makes biases, see `keras_attn.sources.tensorflow_sums`.
        x + ops.mean(x, axis=-1, keepdims=True),
        # Some rows are 0, of which Keras makes 0.
        ops.normalize(ops.relu(x - 0.8), axis=-1),
    ]
    last = ops.diagonal(x, axis1=1, axis2=2) + ops.expand_dims(ops.trace(x, axis1=1, axis2=2), -1)
    return keras.Model(inputs, [ops.concatenate(found, axis=1), last])


def volumes():
    """A film's volumes, pooled, and a series that is convolved backwards with gaps."""
    x = film = keras.Input((6, 6, 6, 2), name="film")
    x = layers.MaxPooling3D(2)(layers.Conv3D(4, 3, padding="same", activation="relu")(x))
    x = layers.AveragePooling3D((2, 1, 2), strides=1, padding="same")(x)
    y = series = keras.Input((8, 3), name="series")
    y = layers.Conv1DTranspose(4, 3, dilation_rate=2)(y)
    return keras.Model(
        [film, series], layers.Dense(3)(layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(y)]))
    )


def films(rng, count, length):
    return [floats(6, 6, 6, 2)(rng, count, length), floats(8, 3)(rng, count, length)]


def sound():
    """A mel spectrogram and a transform, in front of layers."""
    x = inputs = keras.Input((256,))
    mel = layers.MelSpectrogram(fft_length=64, sequence_stride=32, sampling_rate=800, num_mel_bins=8)(x)
    real, imaginary = ops.rfft(x[:, :64])
    power = ops.sqrt(real * real + imaginary * imaginary + 1e-3)
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([layers.Flatten()(mel), power])))


class Running(layers.Layer):
    """Averages that run through a series, and a function of each step."""

    def call(self, x):
        steps = ops.transpose(x, (1, 0, 2))
        _, found = ops.scan(lambda old, new: (0.5 * old + new, old + new), ops.zeros_like(steps[0]), steps)
        return ops.transpose(found + ops.map(lambda step: step * 2 + 1, steps), (1, 0, 2))


def scanned():
    pixels = keras.Input((5, 4), dtype="uint8", name="pixels")
    x = Running()(layers.Rescaling(1 / 255)(pixels))
    return keras.Model(pixels, layers.Dense(2, dtype="bfloat16")(layers.Flatten()(x)))


CASES = {
    "tables": Case(tables, lambda rng, count, _: rng.uniform(0, 80, (count, 3))),
    "elementary": Case(elementary, floats(3, 3)),
    "volumes": Case(volumes, films),
    "sound": Case(sound, floats(256)),
    "scanned": Case(scanned, lambda rng, count, _: rng.integers(0, 256, (count, 5, 4)).astype("uint8")),
}
