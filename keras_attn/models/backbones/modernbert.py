"""ModernBERT: rotary positions, local and global attention, gated feed-forward networks, no biases."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers import RotaryTransformerEncoder
from keras_attn.models.backbones.bert import Bert


@keras.saving.register_keras_serializable("keras_attn")
class ModernBert(Bert):
    """Encoder for long texts (Warner et al., 2024, arXiv:2412.13663): most layers see only near tokens.

    Args:
        vocabulary_size: int, V.
        num_layers, num_heads, hidden_dim, intermediate_dim: as in `Bert`.
        global_layers: list of int, numbers of the layers that see all tokens; by default every third, from
            the first on.
        local_attention: int, the other layers see `local_attention // 2` tokens on each side.
        global_wavelength, local_wavelength: numbers, bases of the rotary wavelengths of either.
        attention_bias, feedforward_bias, norm_bias: whether these have biases.
        dropout, max_sequence_length, num_segments, pooler, layer_norm_epsilon, pad_id: as in `Bert`.
        **kwargs: the further arguments of `Bert`.

    Call arguments:
        inputs, return_attention_scores: as for `Bert`.

    Returns:
        As `Bert`.

    Raises:
        ArgumentError: if `global_layers` are not numbers of layers, or as `Bert`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int = 22,
        num_heads: int = 12,
        hidden_dim: int = 768,
        intermediate_dim: int = 1152,
        global_layers: Sequence[int] | None = None,
        local_attention: int = 128,
        global_wavelength: float = 160000.0,
        local_wavelength: float = 10000.0,
        attention_bias: bool = False,
        feedforward_bias: bool = False,
        norm_bias: bool = False,
        dropout: float = 0.0,
        max_sequence_length: int = 8192,
        num_segments: int = 0,
        pooler: bool = False,
        layer_norm_epsilon: float = 1e-5,
        pad_id: int = 50283,
        **kwargs: Any,
    ) -> None:
        every_third = range(0, num_layers, 3)
        self.global_layers = [int(i) for i in (every_third if global_layers is None else global_layers)]
        if not set(self.global_layers) <= set(range(num_layers)):
            raise ArgumentError(
                f"`global_layers` must be from 0 to {num_layers - 1}, got {self.global_layers}."
            )
        self.local_attention = local_attention
        self.global_wavelength = global_wavelength
        self.local_wavelength = local_wavelength
        self.attention_bias = attention_bias
        self.feedforward_bias = feedforward_bias
        self.norm_bias = norm_bias
        super().__init__(
            vocabulary_size,
            num_layers,
            num_heads,
            hidden_dim,
            intermediate_dim,
            dropout=dropout,
            max_sequence_length=max_sequence_length,
            num_segments=num_segments,
            pooler=pooler,
            layer_norm_epsilon=layer_norm_epsilon,
            pad_id=pad_id,
            **kwargs,
        )

    def _positions(self):
        return None

    def _encoder_layers(self):
        self.final_norm = self._norm("final_norm")
        return super()._encoder_layers()

    def _encoder_layer(self, number, make=RotaryTransformerEncoder, **options):
        seen = {"max_wavelength": self.global_wavelength}
        if number not in self.global_layers:
            window = self.local_attention // 2 + 1
            seen = {"max_wavelength": self.local_wavelength, "sliding_window": window}
        return super()._encoder_layer(
            number,
            make,
            attention_bias=self.attention_bias,
            feedforward_bias=self.feedforward_bias,
            norm_bias=self.norm_bias,
            attention_norm=number > 0,
            **seen,
            **options,
        )

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if not self.built:
            self.final_norm.build((None, None, self.hidden_dim))
        super().build(input_shape)

    def _finished(self, x):
        return self.final_norm(x)
