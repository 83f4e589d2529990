"""T5: a Transformer that knows distances instead of positions, of which mT5, Flan-T5 and UMT5 are layouts."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers import RelativePositionBias, RelativeTransformerDecoder, RelativeTransformerEncoder
from keras_attn.layers.argument_types import Activation
from keras_attn.models.translators.transformer import Transformer

# Arguments of `Transformer` that T5 decides.
LAYOUT: dict[str, Any] = {
    "max_sequence_length": None,
    "normalize_first": True,
    "position_encoding": "relative",
    "scale_embedding": False,
    "share_embeddings": True,
    "output_bias": False,
    "normalize_embedding": False,
    "position_offset": 0,
}


@keras.saving.register_keras_serializable("keras_attn")
class T5(Transformer):
    """Encoder-decoder Transformer with relative position biases (Raffel et al., 2020, arXiv:1910.10683).

    T5 itself is `activation="relu"` with `scale_output=True`. T5 1.1, Flan-T5 and mT5 (Xue et al., 2021,
    arXiv:2010.11934) have `gated=True, activation="gelu_approximate", tie_output=False`, and UMT5 (Chung et
    al., 2023, arXiv:2304.09151) also `share_position_bias=False`. The presets are `"tiny"`, `"small"`,
    `"base"`, `"flan-small"` and `"flan-base"`.

    Args:
        vocabulary_size: int, V, shared by source and target.
        hidden_dim: int, D.
        intermediate_dim: int, size of the feed-forward networks' hidden layers.
        num_heads: int, H.
        num_encoder_layers, num_decoder_layers: int.
        key_dim: int, size of a head; by default D / `num_heads`.
        num_buckets: int, buckets of distances.
        max_distance: int; longer distances share a bucket.
        gated: whether the feed-forward networks are gated.
        activation: activation of the feed-forward networks.
        share_position_bias: whether the layers of the encoder, and those of the decoder, share a bias.
        tie_output: whether the output layer is the table of embeddings.
        scale_output: whether what it multiplies is divided by sqrt(D).
        dropout: float, on embeddings and on what each sublayer adds.
        attention_dropout: float, on attention weights.
        layer_norm_epsilon: float.
        pad_id: int, source token that is padding when no mask is given.

    Raises:
        ArgumentError: as `RelativeTransformerEncoder`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int = 512,
        intermediate_dim: int = 2048,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        key_dim: int | None = None,
        num_buckets: int = 32,
        max_distance: int = 128,
        gated: bool = False,
        activation: Activation = "relu",
        share_position_bias: bool = True,
        tie_output: bool = True,
        scale_output: bool = False,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        layer_norm_epsilon: float = 1e-6,
        pad_id: int = 0,
        **kwargs: Any,
    ) -> None:
        self.key_dim = key_dim
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.gated = gated
        self.share_position_bias = share_position_bias
        self.scale_output = scale_output
        self.encoder_position_bias = self.decoder_position_bias = None
        super().__init__(
            vocabulary_size,
            hidden_dim,
            intermediate_dim,
            num_heads,
            num_encoder_layers,
            num_decoder_layers,
            tie_output=tie_output,
            dropout=dropout,
            attention_dropout=attention_dropout,
            activation=activation,
            layer_norm_epsilon=layer_norm_epsilon,
            pad_id=pad_id,
            **LAYOUT,
            **kwargs,
        )

    def get_config(self):
        """Return the constructor's arguments."""
        return {name: value for name, value in super().get_config().items() if name not in LAYOUT}

    @property
    def head_dim(self):
        """Size of a head."""
        return self.key_dim or self.hidden_dim // self.num_heads

    def _positions(self, name):
        if self.share_position_bias:
            half = name.partition("_")[0]
            bias = RelativePositionBias(
                self.num_heads,
                self.num_buckets,
                self.max_distance,
                bidirectional=half == "encoder",
                dtype=self.dtype_policy,
                name=f"{half}_position_bias",
            )
            setattr(self, f"{half}_position_bias", bias)

    def _norm(self, name):
        return keras.layers.RMSNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )

    def _block(self, half, number) -> Any:
        make = RelativeTransformerEncoder if half == "encoder" else RelativeTransformerDecoder
        return make(
            **self._block_arguments(),
            key_dim=self.key_dim,
            num_buckets=None if self.share_position_bias else self.num_buckets,
            max_distance=self.max_distance,
            gated=self.gated,
            name=f"{half}_layer_{number}",
        )

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        for bias in () if self.built else (self.encoder_position_bias, self.decoder_position_bias):
            if bias is not None:
                bias.build((None, None, self.hidden_dim))
        super().build(input_shape)

    def _shared_by_layers(self, half, x):
        bias = getattr(self, f"{half}_position_bias")
        return {} if bias is None else {"attention_bias": bias(x)}

    def _shared_by_steps(self, position, slots):
        bias = self.decoder_position_bias
        return {} if bias is None else {"attention_bias": bias.of_step(position, slots)}

    def _finished(self, half, x):
        x = super()._finished(half, x)
        scaled = self.scale_output and half == "decoder"
        return x * ops.cast(self.hidden_dim**-0.5, x.dtype) if scaled else x
