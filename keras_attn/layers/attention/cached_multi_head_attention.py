"""The key/value cache: multi-head attention for decoding token by token."""

from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.attention.multi_head_attention import MultiHeadAttention
from keras_attn.layers.attention.step_attention import step_attention
from keras_attn.layers.masks import merge_masks, padding_of


@keras.saving.register_keras_serializable("keras_attn")
class CachedMultiHeadAttention(MultiHeadAttention):
    """Multi-head attention that can keep its keys and values, as KerasHub's layer of the same name.

    The cache is one tensor (B, 2, S, K, dh): keys, then values. With `cache_update_index` the new keys and
    values are written there first (self-attention); without it the cache is used unchanged (cross-attention).

    Args:
        num_heads, key_dim and further arguments: as in `MultiHeadAttention`.

    Call arguments:
        query, value, key, attention_mask: as in `MultiHeadAttention`.
        cache: float tensor (B, 2, S, K, dh) or `None`.
        cache_update_index: int or int32 scalar tensor, position of the first new key.
        padding_mask: boolean (B, S), keys that exist; without a cache by default the Keras mask of `value`
            (and `key`); with a cache by default all of them.
        use_causal_mask: whether a query sees only keys up to its own position; with a cache that is counted
            from `cache_update_index`, as are sliding windows.
        attention_bias: float tensor that broadcasts to (B, H, T, S), added to the scores.

    Returns:
        `outputs`, followed by the weights with `return_attention_scores`, followed by the updated cache when
        one was given.

    Raises:
        ArgumentError: if `cache_update_index` is given without a cache, or the new keys do not fit into it.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import CachedMultiHeadAttention

        layer = CachedMultiHeadAttention(num_heads=4, key_dim=8)
        cache = np.zeros((2, 2, 10, 4, 8), "float32")  # room for ten positions
        for i in range(3):
            x = np.ones((2, 1, 32))
            seen = (np.arange(10) <= i)[None, None]  # (1, 1, 10)
            outputs, cache = layer(x, x, attention_mask=seen, cache=cache, cache_update_index=i)
        ```
    """

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor = None,
        attention_mask: Tensor = None,
        cache: Tensor = None,
        cache_update_index: int | Tensor = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        padding_mask: Tensor = None,
        use_causal_mask: bool = False,
        attention_bias: Tensor = None,
    ) -> Any:
        """Attend from `query` to `value` and to what the cache holds."""
        if cache is None and cache_update_index is not None:
            raise ArgumentError("`cache_update_index` needs a `cache` to update, got `cache=None`.")
        if cache is None:
            padding_mask = merge_masks(
                padding_of(value, padding_mask), None if key is None else padding_of(key, padding_mask)
            )
        if cache is None or cache_update_index is not None:
            keys, values = self.project(value, key)
        if cache is not None:
            if cache_update_index is not None:
                cache = write_cache(cache, keys, values, cache_update_index)
            keys, values = cache[:, 0], cache[:, 1]  # (B, S, K, dh)
        outputs, weights = self._compute_attention(
            self._query_dense(query),
            keys,
            values,
            attention_mask,
            training,
            return_attention_scores,
            use_causal_mask,
            key_mask=padding_mask,
            start_index=0 if cache_update_index is None else cache_update_index,
            bias=attention_bias,
        )
        if self._use_gate:
            outputs = outputs * self._gate_dense(query)
        results = [self._output_dense(outputs)]
        if return_attention_scores:
            results.append(weights)
        if cache is not None:
            results.append(cache)
        return results[0] if len(results) == 1 else tuple(results)

    def project(self, value, key=None):
        """Project (B, S, D) to keys (B, S, K, dh) and values (B, S, K, dv), once per sentence."""
        return self._key_dense(value if key is None else key), self._value_dense(value)

    def attend_from_token(self, x, keys, values, mask, past, bias=None):
        """Attend from one new token of each row, without writing its key and value.

        Args:
            x: float tensor (R, 1, D).
            keys: float tensor (R, K, S, dh).
            values: float tensor (R, K, S, dv).
            mask: boolean tensor (R, S).
            past: whether keys and values are the tokens' own past, so that a token also sees itself.
            bias: float tensor, added to the scores as in `step_attention`.

        Returns:
            `(outputs, weights, present)`: (R, 1, D), (R, H, S), and the key (R, K, dh) and value (R, K, dv)
            of the new token, or `None` without `past`.
        """
        present = tuple(each[:, 0] for each in self.project(x)) if past else None
        query = self._query_dense(x)[:, 0]  # (R, H, dh)
        outputs, weights = step_attention(query, keys, values, mask, present, self._score_scale, bias)
        outputs = ops.expand_dims(outputs, 1)  # (R, 1, H, dv)
        if self._use_gate:
            outputs = outputs * self._gate_dense(x)
        return self._output_dense(outputs), weights, present


def write_cache(cache, keys, values, index):
    """Write (B, T, K, dh) keys and values into a cache (B, 2, S, K, dh), starting at position `index`.

    Raises:
        ArgumentError: if the cache is too short.
    """
    room, length = cache.shape[2], keys.shape[1]
    if isinstance(index, int) and room is not None and length is not None and index + length > room:
        raise ArgumentError(
            f"`cache` has room for {room} positions, but {length} are to be written from "
            f"`cache_update_index={index}` on: make it longer."
        )
    update = ops.cast(ops.stack((keys, values), axis=1), cache.dtype)  # (B, 2, T, K, dh)
    zero = ops.zeros((), dtype="int32")
    return ops.slice_update(cache, [zero, zero, ops.cast(index, "int32"), zero, zero], update)
