"""A model trained in mixed precision computes its references in float32, models within it included."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_attn import models
from keras_attn.sources.float32_model import computing_in_float32, in_float32

X = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")


def lazy():
    """A Sequential model that is built when it is first called, as inside of a user's block."""
    inner = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(8)])
    inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(2)(layers.Add()([inputs, inner(inputs)])))


def half_input():
    kind = keras.config.dtype_policy().compute_dtype
    inner = keras.Sequential([keras.Input((8,), dtype=kind), layers.Dense(8)])
    inputs = keras.Input((8,), dtype=kind)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(inner(inputs)))


class Block(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([keras.Sequential([layers.Dense(6)]), layers.LayerNormalization()])

    def call(self, inputs):
        return self.inner(inputs)


def types_of(model):
    return [(layer.dtype_policy.name, layer.input_dtype) for layer in model._flatten_layers()]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float16"])
@pytest.mark.parametrize("build", [lazy, half_input, Block])
def test_nothing_is_rounded_to_16_bits(build, policy):
    models = []
    for each in ("float32", policy):
        keras.config.set_dtype_policy(each)
        try:
            models.append(build())
            models[-1](keras.Input((8,)))
        finally:
            keras.config.set_dtype_policy("float32")
    exact, half = models
    values = [np.round(np.float32(w) * 16) / 16 for w in exact.get_weights()]  # which all types hold
    exact.set_weights(values)
    half.set_weights(values)
    before = types_of(half)
    with computing_in_float32(half):
        found = keras.ops.convert_to_numpy(half(X))
    assert np.abs(found - keras.ops.convert_to_numpy(exact(X))).max() < 1e-6
    assert types_of(half) == before


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16"])
@pytest.mark.parametrize("head", [None, models.TextClassifier, models.TokenClassifier, models.MaskedLM])
def test_a_head_and_its_backbone_compute_in_float32(head, policy):
    """A training in mixed precision saves the policy with the head, and with the backbone inside it."""
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 12}
    model = models.Bert(20, dtype=policy, **sizes)
    if head is not None:
        labels = () if head is models.MaskedLM else (["O", "B-PER"],)
        model = head(model, *labels, dtype=policy)
    whole = in_float32(model)
    assert {layer.compute_dtype for layer in whole._flatten_layers()} == {"float32"}
    for one, other in zip(whole.weights, model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other).astype("float32"))
