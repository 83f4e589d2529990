"""Multi-head attention whose dot-product attention is correct and fast on every backend."""

import functools
from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.attention.dot_product import dot_product_attention
from keras_attn.layers.dense import EinsumDense
from keras_attn.layers.dropout import hashed_dropout
from keras_attn.layers.masks import merge_masks
from keras_attn.layers.output_specs import traced_spec
from keras_attn.layers.quantization import QuantizedParts


@keras.saving.register_keras_serializable("keras_attn")
class MultiHeadAttention(QuantizedParts, keras.layers.MultiHeadAttention):
    r"""`keras.layers.MultiHeadAttention` whose attention is correct and fast on every backend.

    $$\mathrm{head}_i = \mathrm{softmax}\Big(\frac{Q W_i^Q (K W_i^K)^\top}{\sqrt{d_h}}\Big) V W_i^V, \quad
    \mathrm{output} = [\mathrm{head}_1; ...; \mathrm{head}_H] W^O$$

    Vaswani et al., 2017, "Attention Is All You Need" (arXiv:1706.03762), section 3.2.2. Constructor, call
    arguments, weights and sublayers are those of Keras' layer, of which this is a subclass. The attention
    itself is `dot_product_attention`, which is correct on TPU, where Keras' is not, and computes explicitly
    only in calls that need it. Masks are boolean, `True` means attend; an explicit mask and the inputs' own
    Keras masks are intersected.

    Args:
        num_heads: int, H.
        key_dim: int, size of each head's queries and keys, dh.
        value_dim: int, size of each head's values, dv; by default `key_dim`.
        dropout: float, dropout on the attention weights.
        use_bias: whether the projections have biases.
        output_shape: int or tuple, size of the output; by default the query's.
        attention_axes: axes to attend over, for inputs of a rank above 3.
        sliding_window: int, a query sees only keys fewer than this many positions away.
        flash_attention: `True` to require a fused kernel, `False` for none, `None` to choose.
        num_key_value_heads: int K, heads of keys and values, shared by groups of query heads (Ainslie et al.,
            2023); by default H.
        scale: float, factor of the scores; by default 1 / sqrt(dh). T5 has 1.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
        kernel_constraint, bias_constraint, use_gate, seed: as in Keras' layer.

    Call arguments:
        query: float tensor (B, T, D).
        value: float tensor (B, S, D).
        key: float tensor (B, S, D); by default `value`.
        query_mask, value_mask, key_mask: boolean (B, T), (B, S), (B, S).
        attention_mask: boolean (T, S), (B, T, S) or (B, H, T, S).
        return_attention_scores: whether to return the weights as well.
        use_causal_mask: whether a query sees only keys up to its own position.
        attention_bias: float tensor that broadcasts to (B, H, T, S), added to the scores.

    Returns:
        (B, T, D), or `((B, T, D), (B, H, T, S))` with `return_attention_scores`.

    Raises:
        ArgumentError: if a size is not positive, `num_key_value_heads` does not divide `num_heads`, or a mask
            has a wrong shape.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import MultiHeadAttention

        text, image = np.ones((2, 3, 32)), np.ones((2, 5, 48))
        layer = MultiHeadAttention(num_heads=4, key_dim=8)
        outputs, weights = layer(text, image, return_attention_scores=True)  # (2, 3, 32), (2, 4, 3, 5)
        ```
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        *args: Any,
        num_key_value_heads: int | None = None,
        flash_attention: bool | None = None,
        scale: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_heads, key_dim, *args, flash_attention=flash_attention, **kwargs)
        self.num_key_value_heads = num_heads if num_key_value_heads is None else num_key_value_heads
        if self.num_key_value_heads <= 0 or num_heads % self.num_key_value_heads:
            raise ArgumentError(
                f"`num_key_value_heads` must divide `num_heads`: {num_key_value_heads} does not divide "
                f"{num_heads}."
            )
        self.flash_attention = flash_attention
        self.scale = scale
        self._score_scale = key_dim**-0.5 if scale is None else scale

    def build(self, query_shape, value_shape, key_shape=None):
        """Create the projections, under the names and in the order of Keras' layer."""
        key_shape = value_shape if key_shape is None else key_shape
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ArgumentError(
                "All dimensions of `value` and `key` but the last must be equal, got shapes "
                f"{tuple(value_shape)} and {tuple(key_shape)}."
            )
        for name, shape in (("query", query_shape), ("value", value_shape), ("key", key_shape)):
            if len(shape) < 3:
                raise ArgumentError(
                    f"{type(self).__name__}: `{name}` must have the shape (batch, length, depth), got "
                    f"{tuple(shape)}."
                )
        grouped, heads_out = self.num_key_value_heads, (self.num_heads, self.value_dim)
        self._query_dense = self._projection("query", query_shape, (self.num_heads, self.key_dim))
        self._key_dense = self._projection("key", key_shape, (grouped, self.key_dim))
        if self._use_gate:
            self._gate_dense = self._projection("gate", query_shape, heads_out, activation="sigmoid")
        self._value_dense = self._projection("value", value_shape, (grouped, self.value_dim))
        self._build_attention(len(value_shape) + 1)
        depth = self._output_shape or query_shape[-1:]
        self._output_dense = self._projection(
            "attention_output", (*query_shape[:-1], *heads_out), depth, summed=2
        )

    def _projection(self, name, shape, appended, summed=1, activation=None):
        """Project inputs of `shape` from their last `summed` axes to axes of sizes `appended`."""
        kept, old, new = "abcdefgh"[: len(shape) - summed], "uv"[:summed], "wxyz"[: len(appended)]
        dense = EinsumDense(
            f"{kept}{old},{old}{new}->{kept}{new}",
            output_shape=(*(None,) * (len(kept) - 1), *appended),
            bias_axes=new if self.use_bias else None,
            activation=activation,
            name=name,
            **self._get_common_kwargs_for_sublayer(),
        )
        dense.supports_masking = True  # masks are applied here; without this Keras warns that they end
        dense.build(shape)
        return dense

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor = None,
        query_mask: Tensor = None,
        value_mask: Tensor = None,
        key_mask: Tensor = None,
        attention_mask: Tensor = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        attention_bias: Tensor = None,
    ) -> Any:
        """Attend from `query` to `value`."""
        overridden = type(self)._compute_attention is not MultiHeadAttention._compute_attention
        if overridden or len(query.shape) != 3:
            if attention_bias is not None:
                raise ArgumentError(
                    f"`attention_bias` needs inputs (batch, length, depth), got {tuple(query.shape)}."
                )
            # Keras' own call merges all masks into a dense one, which such subclasses expect.
            return super().call(
                query,
                value,
                key,
                query_mask=query_mask,
                value_mask=value_mask,
                key_mask=key_mask,
                attention_mask=attention_mask,
                return_attention_scores=return_attention_scores,
                training=training,
                use_causal_mask=use_causal_mask,
            )
        key = value if key is None else key
        queries, keys = self._placed(self._query_dense(query), self._key_dense(key))
        outputs, weights = self._compute_attention(
            queries,
            keys,
            self._value_dense(value),
            attention_mask,
            training,
            return_attention_scores,
            use_causal_mask,
            key_mask=merge_masks(value_mask, key_mask),
            query_mask=query_mask,
            bias=attention_bias,
        )
        if self._use_gate:
            outputs = outputs * self._gate_dense(query)
        outputs = self._output_dense(outputs)
        return (outputs, weights) if return_attention_scores else outputs

    def _placed(self, query, key):
        """Return projected queries (B, T, H, dh) and keys (B, S, K, dh) with positions; here as they are."""
        return query, key

    def _compute_attention(
        self,
        query,
        key,
        value,
        attention_mask=None,
        training=None,
        return_attention_scores=False,
        use_causal_mask=False,
        key_mask=None,
        query_mask=None,
        start_index=0,
        bias=None,
    ):
        """Attend with projected (B, T, H, dh), (B, S, K, dh), (B, S, K, dv)."""
        if len(query.shape) != 4:
            arguments = (attention_mask, training, return_attention_scores, use_causal_mask)
            return super()._compute_attention(query, key, value, *arguments)
        dropout = None
        if training and self.dropout > 0:
            generator = self._dropout_layer.seed_generator
            dropout = functools.partial(hashed_dropout, rate=self.dropout, seed_generator=generator)
        if self.flash_attention and return_attention_scores:
            raise ArgumentError(
                "Returning attention scores is not supported when flash attention is enabled. Please disable "
                "flash attention to access attention scores."
            )
        return dot_product_attention(
            query,
            key,
            value,
            attention_mask,
            key_mask=key_mask,
            query_mask=query_mask,
            causal=use_causal_mask,
            sliding_window=self._sliding_window,
            start_index=start_index,
            scale=self._score_scale,
            dropout=dropout,
            bias=bias,
            fused=self.flash_attention,
            return_scores=return_attention_scores,
        )

    def compute_output_spec(self, *args, **kwargs):
        """Describe what `call` returns, by tracing it."""
        return traced_spec(self, *args, **kwargs)
