"""Models that no bundle can hold, and what each refusal has to say."""

import keras
from keras import layers, ops

RNG = 3


class Sampling(layers.Layer):
    """The code of a variational autoencoder, drawn at inference as well."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(RNG)

    def call(self, inputs):
        mean, spread = inputs
        return mean + ops.exp(spread) * keras.random.normal(ops.shape(mean), seed=self.seed_generator)


class Solve(layers.Layer):
    """Linear algebra inside a model."""

    def call(self, inputs):
        return ops.linalg.inv(ops.matmul(inputs, ops.transpose(inputs, (0, 2, 1))) + ops.eye(3))


class Counter(layers.Layer):
    """Counts its calls, at inference as well."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs):
        self.calls.assign(self.calls + 1.0)
        return inputs + self.calls


def vae():
    inputs = keras.Input((6,))
    code = Sampling(name="sampling")([layers.Dense(2)(inputs), layers.Dense(2)(inputs)])
    return keras.Model(inputs, layers.Dense(6)(code))


def stateful():
    return keras.Sequential([keras.Input((4, 3), batch_size=1), layers.LSTM(5, stateful=True, name="memory")])


def counting():
    return keras.Sequential([keras.Input((4,)), Counter(name="counter"), layers.Dense(2)])


def mixing():
    """Takes the mean of all examples that are given together from each."""
    x = inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(2, name="mixed")(x - ops.mean(x, axis=0, keepdims=True)))


def inverse():
    return keras.Sequential([keras.Input((3, 3)), Solve(name="solve")])


def bicubic():
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Resizing(6, 6, interpolation="bicubic", name="larger"),
            layers.Flatten(),
        ]
    )


def quantized():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="eight")])
    model.quantize("int8")
    return model


def unbuilt():
    return keras.Sequential([layers.Dense(3)], name="later")


CASES = {
    "vae": (vae, ["sampling", "random", "return the mean"]),
    "stateful": (stateful, ["memory", "stateful=False"]),
    "counting": (counting, ["counter", "changes a weight", "`training`"]),
    "mixing": (mixing, ["mixed", "others of its batch", "each alone"]),
    "inverse": (inverse, ["solve", "MatrixInverse", "before or after"]),
    "bicubic": (bicubic, ["larger", "ResizeBicubic", "bilinear"]),
    "quantized": (quantized, ["eight", "quantize"]),
    "unbuilt": (unbuilt, ["later", "not built"]),
}
