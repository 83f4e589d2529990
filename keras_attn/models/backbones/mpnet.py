"""MPNet: BERT with a bias of attention for each distance."""

from typing import Any

import keras

from keras_attn.layers import RelativePositionBias
from keras_attn.models.backbones.bert import Bert, initializer


@keras.saving.register_keras_serializable("keras_attn")
class MPNet(Bert):
    """BERT whose layers share a bias of attention by relative position (Song et al., 2020, arXiv:2004.09297).

    Args:
        vocabulary_size: int, V.
        num_buckets: int, buckets of distances.
        num_segments: int, number of segment types; MPNet has none.
        position_offset: int, rows of the position embeddings before that of the first token.
        pad_id: int, token that is padding when no mask is given.
        **kwargs: the further arguments of `Bert`.

    Call arguments:
        inputs, return_attention_scores: as for `Bert`; the length of the texts must be known when the model
            is traced.

    Returns:
        As `Bert`.
    """

    needs_known_lengths = True

    def __init__(
        self,
        vocabulary_size: int,
        num_buckets: int = 32,
        num_segments: int = 0,
        position_offset: int = 2,
        pad_id: int = 1,
        **kwargs: Any,
    ) -> None:
        self.num_buckets = num_buckets
        super().__init__(
            vocabulary_size,
            num_segments=num_segments,
            position_offset=position_offset,
            pad_id=pad_id,
            **kwargs,
        )

    def _encoder_layers(self):
        self.position_bias = RelativePositionBias(
            self.num_heads,
            self.num_buckets,
            embeddings_initializer=initializer(),
            dtype=self.dtype_policy,
            name="position_bias",
        )
        return super()._encoder_layers()

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if not self.built:
            self.position_bias.build((None, None, self.hidden_dim))
        super().build(input_shape)

    def _shared_by_layers(self, x):
        return {"attention_bias": self.position_bias(x)}
