"""Every layer with an input, for tests that hold for all of them.

Run as a program it writes the outputs of all layers, with weights from NumPy, for the backend that
KERAS_BACKEND names: `python tests/support/layer_cases.py outputs.npz`.
"""

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_attn import layers

BATCH, LENGTH, KEYS, DEPTH = 2, 6, 5, 8


def array(*shape, seed=0):
    """Normal numbers, always the same."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def numpy(x):
    """A tensor of any backend as an array."""
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")))


class Case(NamedTuple):
    """A layer, the arrays it is called with, and how.

    `drops` tells that training changes its output, `fixed` that it wants to know all shapes but the batch.
    """

    make: Callable[..., keras.layers.Layer]
    inputs: tuple
    arguments: Mapping[str, Any] = MappingProxyType({})
    drops: bool = False
    fixed: bool = False

    def call(self, layer, **more):
        """Call a layer with the inputs."""
        return layer(*self.inputs, **self.arguments, **more)


X, MEMORY, IDS = (
    array(BATCH, LENGTH, DEPTH),
    array(BATCH, KEYS, DEPTH, seed=1),
    np.array([[3, 1, 4, 1, 5, 0]] * BATCH),
)
PADDING = np.array([[True] * 4 + [False] * 2, [True] * LENGTH])
KEY_PADDING = np.array([[True] * 3 + [False] * 2, [True] * KEYS])

CASES = {
    "bahdanau": Case(
        lambda **kw: ListInputs(layers.BahdanauAttention(7, dropout=0.5, **kw), **kw), (X, MEMORY), drops=True
    ),
    "multi_head": Case(
        lambda **kw: layers.MultiHeadAttention(2, 4, dropout=0.5, **kw),
        (X, MEMORY),
        {"value_mask": KEY_PADDING},
        drops=True,
    ),
    "grouped": Case(
        lambda **kw: layers.MultiHeadAttention(4, 3, num_key_value_heads=2, sliding_window=2, **kw),
        (X, X),
        {"use_causal_mask": True},
    ),
    "cached": Case(lambda **kw: layers.CachedMultiHeadAttention(2, 4, dropout=0.5, **kw), (X, X), drops=True),
    "encoder": Case(
        lambda **kw: layers.TransformerEncoder(16, 2, dropout=0.5, **kw),
        (X,),
        {"padding_mask": PADDING},
        drops=True,
    ),
    "encoder_pre_norm": Case(
        lambda **kw: layers.TransformerEncoder(16, 2, normalize_first=True, activation="gelu", **kw), (X,)
    ),
    "decoder": Case(
        lambda **kw: layers.TransformerDecoder(16, 2, dropout=0.5, **kw),
        (X, MEMORY),
        {"encoder_padding_mask": KEY_PADDING},
        drops=True,
    ),
    "decoder_only": Case(lambda **kw: layers.TransformerDecoder(16, 2, normalize_first=True, **kw), (X,)),
    "rotary_attention": Case(
        lambda **kw: layers.RotaryAttention(2, 4, sliding_window=3, dropout=0.5, **kw),
        (X, X),
        {"value_mask": PADDING},
        drops=True,
    ),
    "rotary_encoder": Case(
        lambda **kw: layers.RotaryTransformerEncoder(16, 2, sliding_window=3, dropout=0.5, **kw),
        (X,),
        {"padding_mask": PADDING},
        drops=True,
    ),
    "relative_encoder": Case(
        lambda **kw: layers.RelativeTransformerEncoder(
            16, 2, key_dim=3, num_buckets=8, max_distance=16, gated=True, dropout=0.5, **kw
        ),
        (X,),
        {"padding_mask": PADDING},
        drops=True,
    ),
    "relative_decoder": Case(
        lambda **kw: layers.RelativeTransformerDecoder(
            16, 2, num_buckets=8, max_distance=16, dropout=0.5, **kw
        ),
        (X, MEMORY),
        {"encoder_padding_mask": KEY_PADDING},
        drops=True,
    ),
    "gated_feed_forward": Case(lambda **kw: layers.GatedFeedForward(16, "silu", **kw), (X,)),
    "disentangled": Case(
        lambda **kw: layers.DisentangledAttention(
            2, 4, num_buckets=0, max_distance=1, share_projections=False, dropout=0.5, **kw
        ),
        (X, X, array(BATCH, DEPTH, seed=2)),  # as many rows as texts, though they are not of texts
        {"value_mask": PADDING},
        drops=True,
        fixed=True,
    ),
    "relative_bias": Case(lambda **kw: layers.RelativePositionBias(4, 8, 16, **kw), (X,)),
    "positions": Case(lambda **kw: layers.PositionEmbedding(9, **kw), (X,)),
    "sines": Case(lambda **kw: layers.SinePositionEncoding(**kw), (X,)),
    "rotary": Case(lambda **kw: layers.RotaryEmbedding(**kw), (X,)),
    "tokens_and_positions": Case(lambda **kw: layers.TokenAndPositionEmbedding(9, 9, DEPTH, **kw), (IDS,)),
    "bigbird": Case(
        lambda **kw: layers.BigBirdAttention(2, 4, block_size=1, num_random_blocks=0, dropout=0.5, **kw),
        (X,),
        {"padding_mask": PADDING},
        drops=True,
        fixed=True,
    ),
    "alibi": Case(lambda **kw: layers.AlibiBias(**kw), (array(BATCH, 4, LENGTH, LENGTH),), fixed=True),
    "masked_lm_head": Case(lambda **kw: layers.MaskedLMHead(9, **kw), (X, np.array([[0, 2, 5], [1, 1, 3]]))),
    "dropout": Case(lambda **kw: layers.Dropout(0.5, **kw), (X,), drops=True),
}


@keras.saving.register_keras_serializable("keras_attn_tests")
class ListInputs(keras.layers.Layer):
    """Calls a layer that wants a list of tensors with the tensors one by one."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = keras.saving.deserialize_keras_object(layer) if isinstance(layer, dict) else layer

    def build(self, first_shape, second_shape):
        """Build the layer."""
        if not self.layer.built:  # one from a file is
            self.layer.build([first_shape, second_shape])

    def call(self, first, second, training=None):
        """Call the layer."""
        return self.layer([first, second], training=training)

    def compute_output_shape(self, first_shape, second_shape):
        """Ask the layer."""
        return self.layer.compute_output_shape([first_shape, second_shape])

    def get_config(self):
        """Return the layer's configuration along."""
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}


def set_known_weights(layer):
    """Return a layer weights that are the same on every backend."""
    for number, variable in enumerate(layer.weights):
        if "float" in str(variable.dtype):
            variable.assign(array(*variable.shape, seed=number + 10) * 0.3)


if __name__ == "__main__":
    outputs = {}
    for name, case in CASES.items():
        one = case.make()
        case.call(one)
        set_known_weights(one)
        outputs[name] = numpy(case.call(one))
    np.savez(sys.argv[1], **outputs)
