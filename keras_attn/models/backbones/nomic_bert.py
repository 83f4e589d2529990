"""NomicBERT: BERT with rotary positions and gated feed-forward networks."""

from typing import Any

import keras

from keras_attn.layers import RotaryTransformerEncoder
from keras_attn.layers.argument_types import Activation
from keras_attn.models.backbones.bert import Bert


@keras.saving.register_keras_serializable("keras_attn")
class NomicBert(Bert):
    """BERT with rotary positions and gated linear units (Nussbaum et al., 2024, arXiv:2402.01613, section 3).

    Args:
        vocabulary_size: int, V.
        max_wavelength: number, base of the rotary wavelengths.
        dropout: float, on embeddings and on what each sublayer adds.
        max_sequence_length: int, maximum number of tokens.
        pooler: whether the first token's output goes through a dense layer with tanh.
        activation: name of the gates' activation.
        **kwargs: the further arguments of `Bert`.

    Call arguments:
        inputs, return_attention_scores: as for `Bert`.

    Returns:
        As `Bert`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        max_wavelength: float = 1000.0,
        dropout: float = 0.0,
        max_sequence_length: int = 2048,
        pooler: bool = False,
        activation: Activation = "silu",
        **kwargs: Any,
    ) -> None:
        self.max_wavelength = max_wavelength
        super().__init__(
            vocabulary_size,
            dropout=dropout,
            max_sequence_length=max_sequence_length,
            pooler=pooler,
            activation=activation,
            **kwargs,
        )

    def _positions(self):
        return None

    def _encoder_layer(self, number, make=RotaryTransformerEncoder, **options):
        return super()._encoder_layer(
            number,
            make,
            max_wavelength=self.max_wavelength,
            norm_bias=True,
            normalize_first=False,
            **options,
        )
