"""Scaled dot-product attention as a free function."""

from keras import ops

from keras_attn.layers.masks import masked_softmax


def dot_product_attention(query, key, value, mask=None, scale=None, dropout=None):
    """Attend: softmax(query keyᵀ · scale) value.

    Vaswani et al., 2017 (arXiv:1706.03762), equation 1. The softmax is taken in float32.

    Args:
        query: float tensor (B, T, H, dh).
        key: float tensor (B, S, H, dh).
        value: float tensor (B, S, H, dv).
        mask: boolean, broadcasting to (B, T, S) or (B, H, T, S); `True` means attend.
        scale: float, by default 1/sqrt(dh).
        dropout: callable applied to the attention weights, or `None`.

    Returns:
        `(outputs, weights)`, of shapes (B, T, H, dv) and (B, H, T, S).
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    query = query * ops.cast(scale, query.dtype)
    scores = ops.einsum("bthd,bshd->bhts", query, key)  # (B, H, T, S)
    weights = ops.cast(masked_softmax(ops.cast(scores, "float32"), mask), value.dtype)
    dropped = weights if dropout is None else dropout(weights)
    return ops.einsum("bhts,bshd->bthd", dropped, value), weights  # (B, T, H, dv)
