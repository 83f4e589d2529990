"""Scaled dot-product attention, by the fastest kernel that supports the call."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.attention import kernels
from keras_attn.layers.attention.kernel_choice import choose_kernel
from keras_attn.layers.masks import as_mask, attention_mask_for, check_masks, masked_scores, masked_softmax

FUSED = {
    "splash": kernels.splash_attention,
    "cudnn": kernels.cudnn_attention,
    "sdpa": kernels.sdpa_attention,
}


def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor = None,
    *,
    key_mask: Tensor = None,
    query_mask: Tensor = None,
    causal: bool = False,
    sliding_window: int | None = None,
    start_index: int | Tensor = 0,
    scale: float | None = None,
    dropout: Callable[[Any], Any] | None = None,
    fused: bool | None = None,
    return_scores: bool = False,
) -> tuple[Any, Any]:
    """Attend: softmax(query keyᵀ · scale) value.

    Vaswani et al., 2017 (arXiv:1706.03762), equation 1; with fewer key heads than query heads, grouped-query
    attention (Ainslie et al., 2023, arXiv:2305.13245). `choose_kernel` selects the kernel. The softmax is
    computed in float32. A query that may attend nowhere attends evenly everywhere.

    Args:
        query: float tensor (B, T, H, dh).
        key: float tensor (B, S, K, dh); K divides H.
        value: float tensor (B, S, K, dv).
        mask: boolean (T, S), (B, T, S) or (B, H, T, S), or what broadcasts to it; `True` means attend.
        key_mask: boolean (B, S), keys that exist.
        query_mask: boolean (B, T), queries that exist. Outputs at other positions are undefined:
            fused kernels do not read it.
        causal: whether query i sees only keys j <= i.
        sliding_window: int w, query i sees only keys with |i - j| < w.
        start_index: int or int32 scalar tensor, the i of the first query, when the keys come from a cache.
        scale: float, by default 1/sqrt(dh).
        dropout: callable applied to the attention weights, or `None`.
        fused: `False` for the explicit computation, `True` to require a fused kernel, `None` to choose.
        return_scores: whether the weights are wanted.

    Returns:
        `(outputs, weights)`, of shapes (B, T, H, dv) and (B, H, T, S); the weights are `None` unless wanted.

    Raises:
        ArgumentError: if K does not divide H, a mask has a wrong shape, or a fused kernel is required and
            none supports the call.
    """
    if query.shape[2] % key.shape[2]:
        raise ArgumentError(
            f"The number of key heads must divide that of query heads: {key.shape[2]} does not divide "
            f"{query.shape[2]}."
        )
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    mask = None if mask is None else as_mask(mask, "attention_mask")
    key_mask = None if key_mask is None else as_mask(key_mask, "key_mask")
    structure = {"key_mask": key_mask, "causal": causal, "sliding_window": sliding_window}
    lengths = {"query_length": ops.shape(query)[1], "key_length": ops.shape(key)[1]}
    check_masks(key_mask, query_mask, mask, **lengths)
    if not isinstance(start_index, int) or start_index:
        # Fused kernels count the queries from 0.
        mask = attention_mask_for(attention_mask=mask, start_index=start_index, **structure, **lengths)
        structure = {}
    if fused is not False:
        kernel = choose_kernel(
            dtype=value.dtype,
            head_dim=query.shape[-1],
            value_dim=value.shape[-1],
            query_length=query.shape[1],
            key_length=key.shape[1],
            has_dense_mask=mask is not None,
            has_dropout=dropout is not None,
            wants_scores=return_scores,
        )
        if kernel.name != "explicit":
            dense = {} if kernel.name == "splash" else {"mask": mask}
            attend = FUSED[kernel.name]
            return attend(query, key, value, scale=scale, **structure, **dense), None
        if fused:
            raise ArgumentError(f"A fused attention kernel is required, but none fits. {kernel.reason}")
    mask = attention_mask_for(attention_mask=mask, query_mask=query_mask, **structure, **lengths)
    return _explicit(query, key, value, mask, scale, dropout, return_scores)


def _explicit(query, key, value, mask, scale, dropout, return_scores):
    """Form the scores as a tensor (B, H, T, S).

    Heads come first before anything is multiplied: on a CPU, XLA compiles that to far faster matrix products
        than einsums over (B, T, H, dh), the more so the longer the text.
    """
    if query.shape[2] != key.shape[2]:
        groups = query.shape[2] // key.shape[2]
        key, value = ops.repeat(key, groups, axis=2), ops.repeat(value, groups, axis=2)  # (B, S, H, d)
    if scale != 1:
        query = query * ops.cast(scale, query.dtype)
    query = ops.transpose(query, (0, 2, 1, 3))  # (B, H, T, dh)
    scores = compare(query, key)  # (B, H, T, S)
    value = ops.transpose(value, (0, 2, 1, 3))  # (B, H, S, dv)
    outputs, weights = average(value, scores, mask, dropout, return_scores)
    return ops.transpose(outputs, (0, 2, 1, 3)), weights


def compare(query, key):
    """Multiply queries (B, H, T, dh) by keys (B, S, H, dh): (B, H, T, S)."""
    return ops.matmul(query, ops.transpose(key, (0, 2, 3, 1)))


def average(value, scores, mask=None, dropout=None, return_weights=False, bias=None):
    """Average values, weighted by the softmax of their scores in float32.

    In single precision the averages are divided by the softmax's sum, instead of the weights, which are more
    numbers; in half precision undivided values could overflow.

    Args:
        value: float tensor (..., S, dv).
        scores: float tensor (..., T, S).
        mask: boolean mask, as in `masked_scores`.
        dropout: callable applied to the weights, or `None`.
        return_weights: whether the weights are wanted.
        bias: as in `masked_scores`.

    Returns:
        `(averages, weights)`, of shapes (..., T, dv) and (..., T, S); the weights are `None` unless wanted.
    """
    dropout = dropout or (lambda weights: weights)
    scores = ops.cast(scores, "float32")
    if return_weights or keras.backend.standardize_dtype(value.dtype) != "float32":
        weights = ops.cast(masked_softmax(scores, mask, bias), value.dtype)
        return ops.matmul(dropout(weights), value), weights if return_weights else None
    scores = masked_scores(scores, mask, bias)
    powers = ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True)))
    return ops.matmul(dropout(powers), value) / ops.sum(powers, axis=-1, keepdims=True), None
