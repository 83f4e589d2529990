"""Normalization and masked attention in fewer operators over large tensors than Keras writes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from keras_attn.layers.masks import MASKED_SCORE


@contextlib.contextmanager
def fewer_operators() -> Iterator[None]:
    """Let Keras and this package's layers compute in fewer operators until the end of the block.

    - layer normalization without the broadcast product of mean and scale;
    - masks of attention are added to scores, once, where layers multiply or select as well;
    - one row of a batch of one is taken by GATHER, not with an index for each of its elements.
    """
    from keras.layers import Softmax
    from keras.src.backend.tensorflow import numpy as backend
    from keras.src.ops import nn

    original, along_axis = nn._layer_normalization, backend.take_along_axis

    def take(x: Any, indices: Any, axis: int | None = None) -> Any:
        x, indices = tf.convert_to_tensor(x), tf.convert_to_tensor(indices)
        rank = len(x.shape)
        axis = axis if axis is None else axis % rank
        batch = axis is not None and x.shape[:axis].num_elements() == 1
        if axis is None or not batch or indices.shape.num_elements() != indices.shape[axis]:
            return along_axis(x, indices, axis)
        rows = tf.math.floormod(tf.cast(tf.reshape(indices, [-1]), tf.int32), x.shape[axis])
        return tf.gather(x, rows, axis=axis)  # (1, ..., N, ...)

    def normalize(
        x: Any,
        gamma: Any = None,
        beta: Any = None,
        axis: Any = -1,
        epsilon: Any = None,
        rms_scaling: bool = False,
    ) -> Any:
        last = axis in (-1, len(x.shape) - 1, [-1], [len(x.shape) - 1])
        if rms_scaling or not last or epsilon is None:
            return original(x, gamma, beta, axis, epsilon, rms_scaling)
        x = tf.convert_to_tensor(x)
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        inverse = tf.math.rsqrt(tf.reduce_mean(centred * centred, -1, keepdims=True) + epsilon)
        if gamma is not None:
            inverse = inverse * tf.cast(tf.convert_to_tensor(gamma), x.dtype)
        outputs = centred * inverse
        return outputs if beta is None else outputs + tf.cast(tf.convert_to_tensor(beta), x.dtype)

    with (
        mock.patch.object(nn, "_layer_normalization", normalize),
        mock.patch("keras_attn.layers.attention.dot_product.masked_scores", _masked_scores),
        mock.patch("keras_attn.layers.masks.masked_scores", _masked_scores),
        mock.patch.object(Softmax, "call", functools.partialmethod(_softmax, Softmax.call)),
        mock.patch("keras.src.backend.tensorflow.nn._apply_masks", _apply_masks),
        mock.patch.object(backend, "take_along_axis", take),
    ):
        yield


def _masked_scores(scores: Any, mask: Any, bias: Any = None) -> Any:
    """Compute what `keras_attn.layers.masks.masked_scores` does, up to the rounding of a row without keys."""
    added = 0.0 if bias is None else tf.cast(bias, tf.float32)
    if mask is not None:
        mask = tf.cast(mask, tf.float32)
        if len(scores.shape) == 4 and len(mask.shape) == 3:
            mask = mask[:, None]  # (B, 1, T, S)
        added = added + (1.0 - mask) * MASKED_SCORE
    return scores if mask is None and bias is None else scores + added


def _softmax(self: Any, call: Any, inputs: Any, mask: Any = None) -> Any:
    """Compute what Keras' layer `Softmax` does."""
    if mask is not None and len(mask.shape) <= len(inputs.shape):
        seen = mask if mask.dtype == tf.bool else tf.cast(mask, tf.float32) > 0.5
        inputs, mask = inputs + (1.0 - tf.cast(seen, tf.float32)) * MASKED_SCORE, None
    return call(self, inputs, mask)


def _apply_masks(logits: Any, mask: Any, is_causal: bool) -> Any:
    """Mask the scores (B, H, T, S) of `keras.ops.dot_product_attention`."""
    if is_causal:
        earlier = tf.constant(np.tri(*logits.shape[2:], dtype=bool)[None, None])  # (1, 1, T, S)
        mask = earlier if mask is None else tf.logical_and(tf.cast(mask, tf.bool), earlier)
    return logits if mask is None else logits + (1.0 - tf.cast(mask, tf.float32)) * MASKED_SCORE
