"""A two-dimensional input to a block is named, with the block and the shape that it has."""

import keras
import numpy as np

from keras_attn import KerasAttnError, layers

x = np.ones((2, 8), "float32")
calls = {
    "TransformerEncoder: `inputs`": lambda: layers.TransformerEncoder(16, 2)(x),
    "TransformerEncoder: `inputs` must have": lambda: layers.TransformerEncoder(16, 2)(keras.Input((8,))),
    "TransformerDecoder: `decoder_sequence`": lambda: layers.TransformerDecoder(16, 2)(x),
    "MultiHeadAttention: `query`": lambda: layers.MultiHeadAttention(2, 4)(x, x),
    "CachedMultiHeadAttention: `query`": lambda: layers.CachedMultiHeadAttention(2, 4)(x, x),
    "BigBirdAttention: `inputs`": lambda: layers.BigBirdAttention(2, 4)(x),
    "BahdanauAttention: `value`": lambda: layers.BahdanauAttention(4)([x, x]),
    "MaskedLMHead: `inputs`": lambda: layers.MaskedLMHead(9)(x, np.ones((2, 3), "int32")),
}
for named, call in calls.items():
    try:
        call()
    except KerasAttnError as error:
        assert named in str(error) and "8)" in str(error), error
    else:
        raise AssertionError(f"{named}: nothing was raised")
