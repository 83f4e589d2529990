"""The encoder of T5 as a backbone."""

from typing import Any

import keras

from keras_attn.layers import RelativePositionBias, RelativeTransformerEncoder
from keras_attn.layers.argument_types import Activation
from keras_attn.models.backbones.bert import Bert, initializer


@keras.saving.register_keras_serializable("keras_attn")
class T5Encoder(Bert):
    """The encoder of T5 (Raffel et al., 2020, arXiv:1910.10683), of which sentence-t5 takes the mean.

    Sentence-T5: Ni et al., 2022 (arXiv:2108.08877). For `gated` and `share_position_bias` see
    `keras_attn.models.T5`.

    Args:
        vocabulary_size: int, V.
        num_layers, num_heads, hidden_dim, intermediate_dim: as in `Bert`.
        key_dim: int, size of a head; by default D / `num_heads`.
        num_buckets: int, buckets of distances.
        max_distance: int; longer distances share a bucket.
        gated: whether the feed-forward networks are gated.
        share_position_bias: whether the layers share a bias.
        activation: activation of the feed-forward networks.
        max_sequence_length, num_segments, pooler, layer_norm_epsilon, pad_id: as in `Bert`; there are no
            segments, no pooler and no limit of the length.
        **kwargs: the further arguments of `Bert`.

    Call arguments:
        inputs, return_attention_scores: as for `Bert`.

    Returns:
        As `Bert`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int = 12,
        num_heads: int = 12,
        hidden_dim: int = 768,
        intermediate_dim: int = 3072,
        key_dim: int | None = None,
        num_buckets: int = 32,
        max_distance: int = 128,
        gated: bool = False,
        share_position_bias: bool = True,
        activation: Activation = "relu",
        max_sequence_length: Any = None,
        num_segments: int = 0,
        pooler: bool = False,
        layer_norm_epsilon: float = 1e-6,
        pad_id: int = 0,
        **kwargs: Any,
    ) -> None:
        self.key_dim = key_dim
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.gated = gated
        self.share_position_bias = share_position_bias
        super().__init__(
            vocabulary_size,
            num_layers,
            num_heads,
            hidden_dim,
            intermediate_dim,
            activation=activation,
            max_sequence_length=max_sequence_length,
            num_segments=num_segments,
            pooler=pooler,
            layer_norm_epsilon=layer_norm_epsilon,
            pad_id=pad_id,
            **kwargs,
        )

    def _positions(self):
        return None

    def _norm(self, name):
        if name == "embedding_norm":
            return keras.layers.Identity(dtype=self.dtype_policy, name=name)
        return keras.layers.RMSNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )

    def _encoder_layers(self):
        self.final_norm = self._norm("final_norm")
        self.position_bias = None
        if self.share_position_bias:
            self.position_bias = RelativePositionBias(
                self.num_heads,
                self.num_buckets,
                self.max_distance,
                embeddings_initializer=initializer(),
                dtype=self.dtype_policy,
                name="position_bias",
            )
        return super()._encoder_layers()

    def _encoder_layer(self, number, make=RelativeTransformerEncoder, **options):
        return super()._encoder_layer(
            number,
            make,
            key_dim=self.key_dim,
            num_buckets=None if self.share_position_bias else self.num_buckets,
            max_distance=self.max_distance,
            gated=self.gated,
            **options,
        )

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if not self.built:
            for layer in (self.position_bias, self.final_norm):
                if layer is not None:
                    layer.build((None, None, self.hidden_dim))
        super().build(input_shape)

    def _shared_by_layers(self, x):
        return {} if self.position_bias is None else {"attention_bias": self.position_bias(x)}

    def _finished(self, x):
        return self.final_norm(x)
