"""Models and layers of one's own, and models that were trained in a particular way."""

import os
import tempfile

import keras
import numpy as np
from keras import layers, ops

from zoo.case import WORDS, Case, floats, ids


@keras.saving.register_keras_serializable(package="zoo")
class Gate(layers.Layer):
    """A layer with a configuration, registered."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.value, self.gate = layers.Dense(units), layers.Dense(units, activation="sigmoid")

    def call(self, inputs):
        return self.value(inputs) * self.gate(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Scale(layers.Layer):
    """A layer without a configuration, that is not registered."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="random_normal")
        self.scale.assign(1 + self.scale)

    def call(self, inputs):
        return inputs * ops.convert_to_tensor(self.scale) + ops.mean(inputs, axis=-1, keepdims=True)


class Tagger(keras.Model):
    """A subclassed model, whose call takes a dict and returns one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table, self.mix, self.out = layers.Embedding(WORDS, 8), Gate(8), layers.Dense(4)

    def call(self, inputs, training=False):
        x = self.table(inputs["tokens"])
        x = self.mix(x) * ops.expand_dims(ops.cast(inputs["mask"], x.dtype), -1)
        return {"tags": self.out(x), "hidden": x}


class Loop(keras.Model):
    """A subclassed model without a configuration, with a list of layers and a Python loop."""

    def __init__(self, depth=3):
        super().__init__()
        self.blocks = [(layers.Dense(6, activation="relu"), Scale()) for _ in range(depth)]
        self.out = layers.Dense(2)

    def call(self, x):
        for dense, scale in self.blocks:
            x = x + scale(dense(x))
        return self.out(x)


def registered():
    return keras.Sequential([keras.Input((5,)), Gate(6), Scale(), layers.Dense(2)])


def registered_with_config():
    return keras.Sequential([keras.Input((5,)), Gate(6), layers.Dense(2)])


def keras_file():
    folder = tempfile.mkdtemp(prefix="zoo")
    path = os.path.join(folder, "model.keras")
    keras.Sequential([keras.Input((5,)), Gate(6), layers.Dense(2)]).save(path)
    return path


def tagger():
    model = Tagger()
    model({"tokens": ops.ones((1, 4), "int32"), "mask": ops.ones((1, 4), "bool")})
    return model


def tagged(rng, count, length):
    return {"tokens": ids(rng, count, length), "mask": np.ones((count, length), bool)}


def loop():
    model = Loop()
    model(ops.ones((1, 6)))
    return model


def mixed(policy):
    def build():
        with_policy = {"dtype": policy}
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        x = layers.Embedding(WORDS, 8, mask_zero=True, **with_policy)(tokens)
        x = layers.GRU(8, return_sequences=True, **with_policy)(x)
        x = layers.LayerNormalization(**with_policy)(x)
        x = layers.GlobalAveragePooling1D(**with_policy)(x)
        return keras.Model(tokens, layers.Dense(3, activation="softmax", dtype="float32")(x))

    return build


def bfloat16():
    """Weights, too, are of 16 bits; Keras draws no recurrent ones of that type."""
    kind = {"dtype": "bfloat16"}
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(WORDS, 8, mask_zero=True, **kind)(tokens)
    x = layers.LayerNormalization(**kind)(layers.Dense(8, activation="gelu", **kind)(x))
    x = layers.GlobalAveragePooling1D(**kind)(x)
    return keras.Model(tokens, layers.Dense(3, **kind)(x))


def adapted():
    """LoRA on dense layers, projections and a table, moved away from zero."""
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    table = layers.Embedding(WORDS, 8)
    x = table(tokens)
    attention = layers.MultiHeadAttention(2, 4)
    x = x + attention(x, x)
    dense = layers.Dense(8)
    model = keras.Model(tokens, layers.Dense(2)(layers.Flatten()(dense(x))))
    for layer in (table, dense, attention.query_dense, attention.value_dense):
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(0.3 * keras.random.normal(layer.lora_kernel_b.shape)) if hasattr(
            layer, "lora_kernel_b"
        ) else layer.lora_embeddings_b.assign(0.3 * keras.random.normal(layer.lora_embeddings_b.shape))
    return model


def fitted():
    """A model after `fit`, with optimizer, metrics and batch normalization."""
    model = keras.Sequential(
        [keras.Input((5,)), layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 5)).astype("float32")
    model.fit(x, x.sum(-1, keepdims=True), epochs=1, verbose=0)
    return model


def text(rng, count, length):
    return ids(rng, count, 6)


CASES = {
    "registered": Case(registered, floats(5)),
    "registered_with_config": Case(registered_with_config, floats(5)),
    "keras_file": Case(keras_file, floats(5)),
    "tagger": Case(tagger, tagged, [5, 9], padded=True, given=True),
    "loop": Case(loop, floats(6), given=True),
    "mixed_float16": Case(mixed("mixed_float16"), ids, [5, 9], padded=True),
    "mixed_bfloat16": Case(mixed("mixed_bfloat16"), ids, [5, 9], padded=True),
    "bfloat16": Case(bfloat16, ids, [5, 9], padded=True),
    "adapted": Case(adapted, text),
    "fitted": Case(fitted, floats(5)),
}
