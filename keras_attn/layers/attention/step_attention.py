"""Attention in a step of decoding: from one new token of each row to what is cached, and to itself."""

from typing import Any

from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.masks import masked_scores, masked_softmax


def step_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor = None,
    present: tuple[Tensor, Tensor] | None = None,
    scale: float | None = None,
    bias: Tensor = None,
) -> tuple[Any, Any]:
    """Attend from one token of each row to cached keys and values, and to the token itself.

    It computes what `dot_product_attention` computes for a query of length 1, but the new key and value need
    not be in the cache yet: scores over the cache and of the token itself meet in the softmax. So a step
    neither writes nor copies the cache, and whoever holds it writes the new row in place.

    Args:
        query: float tensor (R, H, dh), of the new tokens.
        keys: float tensor (R, K, T, dh); K divides H, and each of its heads serves H / K query heads.
        values: float tensor (R, K, T, dv).
        mask: boolean tensor (R, T), `True` where there is something to attend to; `None` for everywhere.
        present: key (R, K, dh) and value (R, K, dv) of the new tokens themselves; `None` where the keys are
            not the tokens' own past, such as the source of a translation.
        scale: factor of the scores; by default 1 / sqrt(dh).
        bias: float tensor that broadcasts to (R, H, T), added to the scores of cached keys; with `present` to
            (R, H, T + 1), the last being for the token itself.

    Returns:
        `(outputs, weights)`: (R, H, dv), and the weights (R, H, T) of the cached keys.

    Raises:
        ArgumentError: if K does not divide H.
    """
    query, keys, values = (ops.convert_to_tensor(each) for each in (query, keys, values))
    heads, grouped, slots = query.shape[1], keys.shape[1], keys.shape[2]
    if heads % grouped:
        raise ArgumentError(
            f"The number of key heads must divide that of query heads: {grouped} does not divide {heads}."
        )
    groups, depth = heads // grouped, query.shape[2]
    scale = depth**-0.5 if scale is None else scale
    query = ops.reshape(query * ops.cast(scale, query.dtype), (-1, grouped, groups, depth))  # (R, K, G, dh)
    if groups == 1:
        # For one query a product and a sum cost a device less than a matrix product.
        scores = ops.expand_dims(ops.sum(query * keys, axis=-1), 2)  # (R, K, 1, T)
    else:
        scores = ops.matmul(query, ops.transpose(keys, (0, 1, 3, 2)))  # (R, K, G, T)
    scores = ops.cast(scores, "float32")
    own_bias = 0.0
    if bias is not None:
        bias = ops.cast(bias, "float32")
        bias = ops.reshape(bias, (-1, grouped, groups, bias.shape[-1]))  # (R or 1, K, G, T or T + 1)
        scores, own_bias = scores + bias[..., :slots], bias[..., slots:]
    mask = None if mask is None else ops.convert_to_tensor(mask)[:, None, None, :]
    if present is None:
        weights = ops.cast(masked_softmax(scores, mask), values.dtype)
        return _heads(_mix(weights, values)), _heads(weights)
    key, value = (ops.expand_dims(each, 2) for each in present)  # (R, K, 1, dh), (R, K, 1, dv)
    own = ops.cast(ops.sum(query * key, axis=-1, keepdims=True), "float32") + own_bias  # (R, K, G, 1)
    weights = ops.softmax(ops.concatenate([masked_scores(scores, mask), own], axis=-1), axis=-1)
    weights = ops.cast(weights, values.dtype)
    past = weights[..., :slots]
    return _heads(_mix(past, values) + weights[..., slots:] * value), _heads(past)


def filled_slots(position: Tensor, slots: int, sliding_window: int | None = None) -> Any:
    """Return which slots of a cache hold something that a row may see.

    Args:
        position: int32 tensor (R,), how many slots each row has filled, the first ones.
        slots: T.
        sliding_window: int, only this many positions, the new token's counted; `None` for all.

    Returns:
        Boolean tensor (R, T).
    """
    numbers = ops.expand_dims(ops.arange(slots, dtype="int32"), 0)  # (1, T)
    position = ops.expand_dims(position, 1)  # (R, 1)
    filled = numbers < position
    if sliding_window is None:
        return filled
    return ops.logical_and(filled, numbers > position - sliding_window)


def _mix(weights, values):
    """Sum values (R, K, T, dv) by weights (R, K, G, T): (R, K, G, dv)."""
    if weights.shape[2] > 1:
        return ops.matmul(weights, values)
    return ops.sum(ops.transpose(weights, (0, 1, 3, 2)) * values, axis=2, keepdims=True)


def _heads(x):
    """Lay groups of heads one after the other: (R, K, G, d) to (R, H, d)."""
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))
