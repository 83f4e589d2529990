"""Multi-head attention, and the same layer with a key/value cache for decoding."""

import keras
from keras import ops

from keras_attn.layers.dot_product import dot_product_attention
from keras_attn.layers.dropout import Dropout
from keras_attn.layers.initializers import fresh
from keras_attn.layers.masks import attention_mask_for


@keras.saving.register_keras_serializable("keras_attn")
class MultiHeadAttention(keras.layers.Layer):
    """Multi-head attention with the arguments and weights of `keras.layers.MultiHeadAttention`.

    Heads are `softmax(Q Kᵀ / sqrt(key_dim)) V` over learned projections of the inputs (Vaswani et al., 2017,
    section 3.2.2). Masks are boolean, `True` means attend; an explicit mask and the inputs' own Keras masks
    are intersected.

    Args:
        num_heads: int, H.
        key_dim: int, size of each head's queries and keys, dh.
        value_dim: int, size of each head's values, dv; by default `key_dim`.
        dropout: float, dropout on the attention weights.
        use_bias: whether the projections have biases.
        output_shape: int, size of the output; by default the query's.
        kernel_initializer: initializer of the four kernels.
        bias_initializer: initializer of the four biases.

    Call arguments:
        query: float tensor (B, T, D).
        value: float tensor (B, S, D).
        key: float tensor (B, S, D); by default `value`.
        query_mask, value_mask, key_mask: boolean (B, T), (B, S), (B, S).
        attention_mask: boolean (B, T, S) or (B, H, T, S).
        return_attention_scores: whether to return the weights as well.
        use_causal_mask: whether a query sees only keys up to its own position.

    Returns:
        (B, T, D), or `((B, T, D), (B, H, T, S))` with `return_attention_scores`.

    Raises:
        ValueError: if a size is not positive.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        for name, size in (
            ("num_heads", num_heads),
            ("key_dim", key_dim),
            ("value_dim", value_dim or key_dim),
        ):
            if size <= 0:
                raise ValueError(f"`{name}` must be positive, got {size}.")
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim or key_dim
        self.dropout = dropout
        self.use_bias = use_bias
        self.output_size = output_shape
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, query_shape, value_shape, key_shape=None):
        """Create the four projections."""
        key_shape = key_shape or value_shape
        self._query_dense = self._projection("query", self.key_dim)
        self._key_dense = self._projection("key", self.key_dim)
        self._value_dense = self._projection("value", self.value_dim)
        self._output_dense = keras.layers.EinsumDense(
            "abcd,cde->abe",
            output_shape=(None, self.output_size or query_shape[-1]),
            bias_axes="e" if self.use_bias else None,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            dtype=self.dtype_policy,
            name="attention_output",
        )
        self._dropout_layer = Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
        self._query_dense.build(query_shape)
        self._key_dense.build(key_shape)
        self._value_dense.build(value_shape)
        self._output_dense.build((*query_shape[:-1], self.num_heads, self.value_dim))
        self.built = True

    def _projection(self, name, size):
        return keras.layers.EinsumDense(
            "abc,cde->abde",
            output_shape=(None, self.num_heads, size),
            bias_axes="de" if self.use_bias else None,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        """Attend from `query` to `value`."""
        key = value if key is None else key
        mask = attention_mask_for(
            key_mask=value_mask if key_mask is None else key_mask,
            query_mask=query_mask,
            attention_mask=attention_mask,
            causal=use_causal_mask,
            query_length=ops.shape(query)[1],
            key_length=ops.shape(key)[1],
        )
        outputs, weights = self._attend(
            self._query_dense(query), self._key_dense(key), self._value_dense(value), mask, training
        )
        return (outputs, weights) if return_attention_scores else outputs

    def _attend(self, query, key, value, mask, training):
        """Attend with projected (B, T, H, dh), (B, S, H, dh), (B, S, H, dv); give (B, T, D), (B, H, T, S)."""
        dropout = (lambda w: self._dropout_layer(w, training=True)) if training and self.dropout else None
        heads, weights = dot_product_attention(query, key, value, mask, self.key_dim**-0.5, dropout)
        return self._output_dense(heads), weights

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        """Give the query's shape with the output size last."""
        return (*query_shape[:-1], self.output_size or query_shape[-1])

    def compute_output_spec(self, query, value, key=None, *args, return_attention_scores=False, **kwargs):
        """Describe what `call` returns."""
        shape = self.compute_output_shape(query.shape, value.shape)
        outputs = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        weights = (query.shape[0], self.num_heads, query.shape[1], value.shape[1])
        return outputs, keras.KerasTensor(weights, dtype=self.compute_dtype)

    def get_config(self):
        """Give the constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "output_shape": self.output_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


@keras.saving.register_keras_serializable("keras_attn")
class CachedMultiHeadAttention(MultiHeadAttention):
    """Multi-head attention that can keep its keys and values, as KerasHub's layer of the same name.

    The cache is one tensor (B, 2, S, H, dh): keys, then values. With `cache_update_index` the new keys and
    values are written there first (self-attention); without it the cache is used as it is (cross-attention).

    Call arguments:
        query, value, key, attention_mask: as in `MultiHeadAttention`.
        cache: float tensor (B, 2, S, H, dh) or `None`.
        cache_update_index: int or int32 scalar tensor, position of the first new key.

    Returns:
        `outputs`, followed by the weights with `return_attention_scores`, followed by the updated cache when
        one was given.
    """

    def call(
        self,
        query,
        value,
        key=None,
        attention_mask=None,
        cache=None,
        cache_update_index=None,
        return_attention_scores=False,
        training=None,
    ):
        """Attend from `query` to `value` and to what the cache holds."""
        if cache is None and cache_update_index is not None:
            raise ValueError("`cache_update_index` needs a `cache` to update.")
        if cache is None or cache_update_index is not None:
            keys, values = self.project(value, key)
        if cache is not None:
            if cache_update_index is not None:
                cache = write_cache(cache, keys, values, cache_update_index)
            keys, values = cache[:, 0], cache[:, 1]  # (B, S, H, dh)
        outputs, weights = self._attend(self._query_dense(query), keys, values, attention_mask, training)
        results = [outputs]
        if return_attention_scores:
            results.append(weights)
        if cache is not None:
            results.append(cache)
        return results[0] if len(results) == 1 else tuple(results)

    def project(self, value, key=None):
        """Project (B, S, D) to keys (B, S, H, dh) and values (B, S, H, dv), once per sentence."""
        return self._key_dense(value if key is None else key), self._value_dense(value)

    def compute_output_spec(
        self,
        query,
        value,
        key=None,
        attention_mask=None,
        cache=None,
        cache_update_index=None,
        return_attention_scores=False,
        training=None,
    ):
        """Describe what `call` returns."""
        spec = super().compute_output_spec(query, value, key, return_attention_scores=return_attention_scores)
        if cache is None:
            return spec
        results = spec if isinstance(spec, tuple) else (spec,)
        return (*results, keras.KerasTensor(cache.shape, dtype=cache.dtype))


def write_cache(cache, keys, values, index):
    """Write (B, T, H, dh) keys and values into a cache (B, 2, S, H, dh) from position `index` on."""
    update = ops.cast(ops.stack((keys, values), axis=1), cache.dtype)  # (B, 2, T, H, dh)
    zero = ops.zeros((), dtype="int32")
    return ops.slice_update(cache, [zero, zero, ops.cast(index, "int32"), zero, zero], update)
