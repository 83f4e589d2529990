"""One decoder block of the Transformer."""

import keras
from keras import ops

from keras_attn.layers.dropout import Dropout
from keras_attn.layers.feed_forward import FeedForward
from keras_attn.layers.initializers import fresh
from keras_attn.layers.masks import attention_mask_for
from keras_attn.layers.multi_head_attention import CachedMultiHeadAttention
from keras_attn.layers.transformer_encoder import head_size, residual


@keras.saving.register_keras_serializable("keras_attn")
class TransformerDecoder(keras.layers.Layer):
    """Causal self-attention, attention to an encoder's output, and a feed-forward network.

    Vaswani et al., 2017, section 3.1; pre-norm with `normalize_first`. Arguments, defaults and caches are
    those of KerasHub's layer; without an encoder sequence it is a decoder-only block (GPT).

    Args:
        intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, kernel_initializer,
        bias_initializer, normalize_first, attention_dropout: as in `TransformerEncoder`.

    Call arguments:
        decoder_sequence: float tensor (B, T, D).
        encoder_sequence: float tensor (B, S, D), or `None` for a decoder-only block.
        decoder_padding_mask, encoder_padding_mask: boolean (B, T), (B, S).
        decoder_attention_mask, encoder_attention_mask: boolean (B, T, T), (B, T, S).
        self_attention_cache, cross_attention_cache: float tensors (B, 2, T', H, dh), (B, 2, S, H, dh).
        self_attention_cache_update_index: int or scalar tensor, position of the first decoder token.
        cross_attention_cache_update_index: int; 0 fills the cross-attention cache, `None` uses it as it is.
        use_causal_mask: whether a position sees only itself and those before it.
        return_attention_scores: whether to return both attentions' weights.

    Returns:
        `outputs` (B, T, D); then, with `return_attention_scores`, the dict `{"self": (B, H, T, T'),
        "cross": (B, H, T, S) or None}`; then the caches that were given, updated.

    Raises:
        ValueError: if `num_heads` does not divide D, or the block was built with an encoder sequence and is
            called without one (or the other way round).
    """

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        dropout=0,
        activation="relu",
        layer_norm_epsilon=1e-05,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        normalize_first=False,
        attention_dropout=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.normalize_first = normalize_first
        self.attention_dropout = attention_dropout
        self.supports_masking = True
        self._cross_attention_layer = None

    def build(self, decoder_sequence_shape, encoder_sequence_shape=None):
        """Create the attentions, the feed-forward network and their norms."""
        shape = decoder_sequence_shape
        self._self_attention_layer = self._attention("self_attention", shape, shape)
        self._self_attention_layer_norm = self._norm("self_attention_layer_norm", shape)
        self._self_attention_dropout = self._drop("self_attention_dropout")
        if encoder_sequence_shape is not None:
            self._cross_attention_layer = self._attention("cross_attention", shape, encoder_sequence_shape)
            self._cross_attention_layer_norm = self._norm("cross_attention_layer_norm", shape)
            self._cross_attention_dropout = self._drop("cross_attention_dropout")
        self._feedforward = FeedForward(
            self.intermediate_dim,
            self.activation,
            self.kernel_initializer,
            self.bias_initializer,
            dtype=self.dtype_policy,
            name="feedforward",
        )
        self._feedforward.build(shape)
        self._feedforward_layer_norm = self._norm("feedforward_layer_norm", shape)
        self._feedforward_dropout = self._drop("feedforward_dropout")
        self.built = True

    def _attention(self, name, query_shape, value_shape):
        layer = CachedMultiHeadAttention(
            self.num_heads,
            head_size(query_shape[-1], self.num_heads),
            dropout=self.dropout if self.attention_dropout is None else self.attention_dropout,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(query_shape, value_shape)
        return layer

    def _norm(self, name, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )
        norm.build(shape)
        return norm

    def _drop(self, name):
        return Dropout(self.dropout, dtype=self.dtype_policy, name=name)

    def call(
        self,
        decoder_sequence,
        encoder_sequence=None,
        decoder_padding_mask=None,
        decoder_attention_mask=None,
        encoder_padding_mask=None,
        encoder_attention_mask=None,
        self_attention_cache=None,
        self_attention_cache_update_index=None,
        cross_attention_cache=None,
        cross_attention_cache_update_index=None,
        use_causal_mask=True,
        training=None,
        return_attention_scores=False,
    ):
        """Decode (B, T, D) given (B, S, D)."""
        has_memory = encoder_sequence is not None or cross_attention_cache is not None
        if has_memory != (self._cross_attention_layer is not None):
            raise ValueError(
                f"{self.name} was built {'without' if has_memory else 'with'} `encoder_sequence` "
                f"and is called {'with' if has_memory else 'without'} it."
            )
        length = ops.shape(decoder_sequence)[1]
        mask = attention_mask_for(
            key_mask=decoder_padding_mask,
            attention_mask=decoder_attention_mask,
            causal=use_causal_mask,
            query_length=length,
            key_length=length if self_attention_cache is None else self_attention_cache.shape[2],
            start_index=0 if self_attention_cache_update_index is None else self_attention_cache_update_index,
        )
        x, self_weights, self_attention_cache = self._attend(
            "self",
            decoder_sequence,
            None,
            mask,
            self_attention_cache,
            self_attention_cache_update_index,
            training,
        )
        cross_weights = None
        if has_memory:
            mask = attention_mask_for(
                key_mask=encoder_padding_mask,
                attention_mask=encoder_attention_mask,
                query_length=length,
                key_length=None,
            )
            x, cross_weights, cross_attention_cache = self._attend(
                "cross",
                x,
                encoder_sequence,
                mask,
                cross_attention_cache,
                cross_attention_cache_update_index,
                training,
            )
        x, _ = residual(
            x,
            self._feedforward,
            self._feedforward_layer_norm,
            self._feedforward_dropout,
            self.normalize_first,
            training,
        )
        results = [x]
        if return_attention_scores:
            results.append({"self": self_weights, "cross": cross_weights})
        results.extend(cache for cache in (self_attention_cache, cross_attention_cache) if cache is not None)
        return results[0] if len(results) == 1 else tuple(results)

    def _attend(self, kind, x, memory, mask, cache, index, training):
        """Run one attention sublayer; give its output, weights and cache."""
        attention, norm, dropout = (
            getattr(self, f"_{kind}_attention_{part}") for part in ("layer", "layer_norm", "dropout")
        )

        def attend(query):
            # A filled cross-attention cache needs no memory; the query then only stands in for the argument.
            return attention(
                query,
                query if memory is None else memory,
                attention_mask=mask,
                cache=cache,
                cache_update_index=index,
                return_attention_scores=True,
                training=training,
            )

        x, extra = residual(x, attend, norm, dropout, self.normalize_first, training)
        weights, cache = extra if isinstance(extra, tuple) else (extra, None)
        return x, weights, cache

    def project_memory(self, encoder_sequence):
        """Project (B, S, D) once to a filled cross-attention cache (B, 2, S, H, dh).

        Raises:
            ValueError: if the block was built without an encoder sequence.
        """
        if self._cross_attention_layer is None:
            raise ValueError(f"{self.name} was built without `encoder_sequence`: it has no cross-attention.")
        return ops.stack(self._cross_attention_layer.project(encoder_sequence), axis=1)

    def compute_output_shape(self, decoder_sequence_shape, encoder_sequence_shape=None):
        """Give the decoder sequence's shape."""
        return decoder_sequence_shape

    def get_config(self):
        """Give the constructor's arguments."""
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "normalize_first": self.normalize_first,
            "attention_dropout": self.attention_dropout,
        }
