"""The form in which a Keras model is traced: look-ups that can be quantized, and no kernels of a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from keras_attn.layers.attention.dot_product import average
from keras_attn.sources.float32_model import computing_in_float32


@contextlib.contextmanager
def inference_form(model: Any) -> Iterator[None]:
    """Let a model compute as a device will, until the end of the block.

    - in float32, whatever policy it was trained with;
    - embeddings as EMBEDDING_LOOKUP, whose table keeps 8 bits, where Keras' GATHER is not quantized;
    - attention by SOFTMAX, which is one operator;
    - recurrent layers by loops of static shapes, also where a GPU is at hand;
    - other functions by operators that model files have.
    """
    from keras.layers import Embedding

    from keras_attn_export.tracing.fewer_operators import fewer_operators
    from keras_attn_export.tracing.operators import builtin_operators
    from keras_attn_export.tracing.static_loop import rnn

    recurrent = [layer for layer in model._flatten_layers() if getattr(layer, "use_cudnn", False)]
    chosen = [layer.use_cudnn for layer in recurrent]
    for layer in recurrent:
        layer.use_cudnn = False
    try:
        with (
            computing_in_float32(model),
            builtin_operators(),
            fewer_operators(),
            mock.patch.object(Embedding, "call", _embed),
            mock.patch("keras.src.backend.rnn", rnn),
            mock.patch("keras_attn.layers.attention.dot_product.compare", _compare),
            mock.patch("keras_attn.layers.attention.dot_product.average", _average),
            mock.patch("keras_attn.layers.attention.bigbird_attention.average", _average),
        ):
            yield
    finally:
        for layer, choice in zip(recurrent, chosen, strict=True):
            layer.use_cudnn = choice


def _compare(query: Any, key: Any) -> Any:
    """Multiply queries (B, H, T, dh) by keys (B, S, H, dh), laid out as values are: (B, H, T, S)."""
    import tensorflow as tf

    return tf.matmul(query, tf.transpose(key, [0, 2, 1, 3]), transpose_b=True)


def _average(
    value: Any,
    scores: Any,
    mask: Any = None,
    dropout: Any = None,
    return_weights: bool = False,
    bias: Any = None,
) -> Any:
    """Average values by weights that sum to 1, where the layer divides the averages instead."""
    averages, weights = average(value, scores, mask, dropout, True, bias)
    return averages, weights if return_weights else None


def _embed(self: Any, inputs: Any) -> Any:
    """Embed ids (...): (..., D)."""
    import tensorflow as tf

    from keras_attn_export.lowering.base import lookup

    ids = tf.reshape(tf.cast(inputs, tf.int32), [-1])
    rows = lookup(tf.cast(tf.convert_to_tensor(self.embeddings), self.compute_dtype), ids)
    return tf.reshape(rows, [*inputs.shape, rows.shape[-1]])
