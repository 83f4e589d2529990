"""One decoder block of the Transformer."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.attention.cached_multi_head_attention import CachedMultiHeadAttention
from keras_attn.layers.attention.step_attention import filled_slots
from keras_attn.layers.masks import padding_of
from keras_attn.layers.quantization import parts_of, quantization_of, restore_quantization
from keras_attn.layers.transformer.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable("keras_attn")
class TransformerDecoder(TransformerBlock):
    """Causal self-attention, attention to an encoder's output, and a feed-forward network.

    Vaswani et al., 2017, section 3.1; pre-norm with `normalize_first`. Arguments, defaults, weights and
    caches are those of KerasHub's layer; without an encoder sequence it is a decoder-only block (GPT).

    Args:
        intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, kernel_initializer,
        bias_initializer, normalize_first, attention_dropout: as in `TransformerEncoder`.
        sliding_window: int, self-attention sees only this many positions, its own counted; by default all.

    Call arguments:
        decoder_sequence: float tensor (B, T, D).
        encoder_sequence: float tensor (B, S, D), or `None` for a decoder-only block.
        decoder_padding_mask, encoder_padding_mask: boolean (B, T), (B, S); by default the sequences' own
            Keras masks. With a self-attention cache the first one is over its positions, (B, T'), by default
            all `True`.
        decoder_attention_mask, encoder_attention_mask: boolean (B, T, T), (B, T, S).
        self_attention_cache, cross_attention_cache: float tensors (B, 2, T', H, dh), (B, 2, S, H, dh).
        self_attention_cache_update_index: int or scalar tensor, position of the first decoder token.
        cross_attention_cache_update_index: int; 0 fills the cross-attention cache, `None` uses it unchanged,
            and then `encoder_sequence` may be left out.
        use_causal_mask: whether a position sees only itself and those before it.
        return_attention_scores: whether to return both attentions' weights.
        attention_bias: float tensor that broadcasts to (B, H, T, T'), added to the self-attention's scores.

    Returns:
        `outputs` (B, T, D); then, with `return_attention_scores`, the dict `{"self": (B, H, T, T'),
        "cross": (B, H, T, S) or None}`; then the caches that were given, updated.

    Raises:
        ArgumentError: if `num_heads` does not divide D, the block was built with an encoder sequence and is
            called without one (or the other way round), a mask has a wrong shape, only one of the two
            caches is given, or a cache is too short.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import TransformerDecoder

        target, source = np.ones((2, 3, 32)), np.ones((2, 5, 32))
        layer = TransformerDecoder(intermediate_dim=64, num_heads=4)
        outputs, weights = layer(target, source, return_attention_scores=True)
        weights["cross"].shape  # (2, 4, 3, 5)
        ```
    """

    call_axes = MappingProxyType(
        {
            "decoder_sequence": ("batch", "length", "depth"),
            "encoder_sequence": ("batch", "source length", "depth"),
        }
    )

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        *args: Any,
        sliding_window: int | None = None,
        decoder_sequence_shape: Sequence[int | None] | None = None,
        encoder_sequence_shape: Sequence[int | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(intermediate_dim, num_heads, *args, **kwargs)
        self.sliding_window = sliding_window
        self._cross_attention_layer = None
        self.decoder_sequence_shape = self.encoder_sequence_shape = None
        # As KerasHub's layer, this one is restored from its configuration in built form.
        if decoder_sequence_shape:
            self.build(decoder_sequence_shape, encoder_sequence_shape)

    def build(self, decoder_sequence_shape, encoder_sequence_shape=None):
        """Create the attentions, the feed-forward network and their norms, in KerasHub's order."""
        self.decoder_sequence_shape = decoder_sequence_shape
        self.encoder_sequence_shape = encoder_sequence_shape
        shape, attention = decoder_sequence_shape, CachedMultiHeadAttention
        window = {"sliding_window": self.sliding_window}
        self._self_attention_layer = self._attention(attention, "self_attention", shape, shape, **window)
        self._self_attention_layer_norm = self._norm("self_attention", shape)
        self._self_attention_dropout = self._drop("self_attention")
        if encoder_sequence_shape:
            self._cross_attention_layer = self._attention(
                attention, "cross_attention", shape, encoder_sequence_shape
            )
            self._cross_attention_layer_norm = self._norm("cross_attention", shape)
            self._cross_attention_dropout = self._drop("cross_attention")
        self._build_feedforward(shape)
        self._feedforward_layer_norm = self._norm("feedforward", shape)
        self._feedforward_dropout = self._drop("feedforward")
        self.built = True

    def call(
        self,
        decoder_sequence: Tensor,
        encoder_sequence: Tensor = None,
        decoder_padding_mask: Tensor = None,
        decoder_attention_mask: Tensor = None,
        encoder_padding_mask: Tensor = None,
        encoder_attention_mask: Tensor = None,
        self_attention_cache: Tensor = None,
        self_attention_cache_update_index: int | Tensor = None,
        cross_attention_cache: Tensor = None,
        cross_attention_cache_update_index: int | Tensor = None,
        use_causal_mask: bool = True,
        training: bool | None = None,
        return_attention_scores: bool = False,
        attention_bias: Tensor = None,
    ) -> Any:
        """Decode (B, T, D) given (B, S, D)."""
        has_memory = encoder_sequence is not None or cross_attention_cache is not None
        self._check(has_memory, self_attention_cache, cross_attention_cache)
        if attention_bias is None:
            attention_bias = self._own_bias(
                decoder_sequence, self_attention_cache, self_attention_cache_update_index
            )
        x, self_scores, caches = self._attend(
            "self_attention",
            decoder_sequence,
            None,
            padding_mask=padding_of(
                # A cache is masked explicitly: the mask of the new tokens does not apply to it.
                decoder_sequence if self_attention_cache is None else None,
                decoder_padding_mask,
                "decoder_padding_mask",
                None if self_attention_cache is None else self_attention_cache.shape[2],
            ),
            attention_mask=decoder_attention_mask,
            use_causal_mask=use_causal_mask,
            cache=self_attention_cache,
            cache_update_index=self_attention_cache_update_index,
            attention_bias=attention_bias,
            return_attention_scores=return_attention_scores,
            training=training,
        )
        cross_scores = None
        if has_memory:
            x, cross_scores, cross_caches = self._attend(
                "cross_attention",
                x,
                encoder_sequence,
                padding_mask=padding_of(
                    encoder_sequence,
                    encoder_padding_mask,
                    "encoder_padding_mask",
                    None if cross_attention_cache is None else cross_attention_cache.shape[2],
                ),
                attention_mask=encoder_attention_mask,
                cache=cross_attention_cache,
                cache_update_index=cross_attention_cache_update_index,
                return_attention_scores=return_attention_scores,
                training=training,
            )
            caches = [*caches, *cross_caches]
        (x,) = self._residual("feedforward", self._feedforward, x, training)
        scores = [{"self": self_scores, "cross": cross_scores}] if return_attention_scores else []
        results = (x, *scores, *caches)
        return x if len(results) == 1 else results

    def _own_bias(self, decoder_sequence, cache, first):
        """Return what the block itself adds to the self-attention's scores, or `None`."""
        return None

    def _attend(self, name, x, memory, training, return_attention_scores, **arguments):
        """Run one attention with its residual connection; return its output, weights and caches."""
        layer = getattr(self, f"_{name}_layer")

        def attention(query):
            # A filled cross-attention cache needs no memory; the query is then only a placeholder.
            found = layer(
                query,
                query if memory is None else memory,
                return_attention_scores=return_attention_scores,
                training=training,
                **arguments,
            )
            return found if isinstance(found, tuple) else (found,)

        x, *found = self._residual(name, attention, x, training)
        return x, (found.pop(0) if return_attention_scores else None), found

    def _check(self, has_memory, self_attention_cache, cross_attention_cache):
        built_with_memory = self._cross_attention_layer is not None
        if has_memory != built_with_memory:
            raise ArgumentError(
                f"{self.name} was built {'with' if built_with_memory else 'without'} `encoder_sequence` and "
                f"is called {'with' if has_memory else 'without'} it: the number of call arguments must not "
                "change."
            )
        caches = {
            "self_attention_cache": self_attention_cache,
            "cross_attention_cache": cross_attention_cache,
        }
        given = [name for name, cache in caches.items() if cache is not None]
        if built_with_memory and len(given) == 1:
            raise ArgumentError(
                "With cross-attention, `self_attention_cache` and `cross_attention_cache` should both be set "
                f"or both be `None`, got only `{given[0]}`."
            )

    def read_token(
        self,
        x: Tensor,
        position: Tensor,
        keys: Tensor,
        values: Tensor,
        memory: Sequence[Tensor] | None = None,
        memory_mask: Tensor = None,
        attention_bias: Tensor = None,
    ) -> tuple[Any, Any, Any]:
        """Decode one new token of each row, without writing its key and value.

        Args:
            x: float tensor (R, 1, D).
            position: int32 tensor (R,), how many tokens each row has in the caches.
            keys: float tensor (R, H, T, dh) of these tokens.
            values: float tensor (R, H, T, dh) of these tokens.
            memory: keys and values (R, H, S, dh) of the encoder sequence; `None` without one.
            memory_mask: boolean tensor (R, S).
            attention_bias: float tensor that broadcasts to (R, H, T + 1), added to the self-attention's
                scores; the last is for the token itself.

        Returns:
            `(outputs, weights, present)`: (R, 1, D), the cross-attention's weights (R, H, S) or `None`, and
            the key and value (R, H, dh) of the new token.
        """
        seen = filled_slots(position, keys.shape[2], self.sliding_window)

        def attend_to_past(query):
            return self._self_attention_layer.attend_from_token(
                query, keys, values, seen, past=True, bias=attention_bias
            )

        x, _, present = self._residual("self_attention", attend_to_past, x, False)
        weights = None
        if memory is not None:
            attention: Any = self._cross_attention_layer
            source_keys, source_values = memory

            def attend_to_memory(query):
                return attention.attend_from_token(query, source_keys, source_values, memory_mask, past=False)

            x, weights, _ = self._residual("cross_attention", attend_to_memory, x, False)
        (x,) = self._residual("feedforward", self._feedforward, x, False)
        return x, weights, present

    def project_memory(self, encoder_sequence):
        """Project (B, S, D) once to a filled cross-attention cache (B, 2, S, H, dh).

        Raises:
            ArgumentError: if the block was built without an encoder sequence.
        """
        if self._cross_attention_layer is None:
            raise ArgumentError(
                f"{self.name} was built without `encoder_sequence`: it has no cross-attention."
            )
        return ops.stack(self._cross_attention_layer.project(encoder_sequence), axis=1)

    def compute_output_shape(self, decoder_sequence_shape, encoder_sequence_shape=None):
        """Return the decoder sequence's shape."""
        return decoder_sequence_shape

    def get_config(self):
        """Return the constructor's arguments, and the shapes it was built with."""
        config, quantization = super().get_config(), quantization_of(parts_of(self))
        return {**config, "quantization": quantization} if quantization else config

    @classmethod
    def from_config(cls, config):
        """Create the layer from a configuration; if it was built, restore its quantization."""
        config = dict(config)
        quantization = config.pop("quantization", {})
        layer = super().from_config(config)
        restore_quantization(parts_of(layer), quantization)
        return layer
