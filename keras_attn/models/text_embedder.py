"""One vector per text: an encoder, pooling and normalization."""

import keras
from keras import ops

from keras_attn.layers.masks import MASKED_SCORE
from keras_attn.models.bert import Bert

POOLING = ("mean", "mean_sqrt_len", "max", "cls")


@keras.saving.register_keras_serializable("keras_attn")
class TextEmbedder(keras.Model):
    """Sentence embeddings (Reimers and Gurevych, 2019, arXiv:1908.10084, section 3).

    Args:
        backbone: `Bert` or `BigBird`.
        pooling: `"mean"` of the tokens that exist, `"mean_sqrt_len"` (their sum by the root of their number),
            `"max"`, or `"cls"`, the first token's vector.
        normalize: whether vectors are scaled to length 1, so that their dot product is their cosine.

    Call arguments:
        inputs: as for the backbone.

    Returns:
        float tensor (B, D).

    Raises:
        ValueError: if `pooling` is unknown.
    """

    def __init__(self, backbone, pooling="mean", normalize=True, **kwargs):
        super().__init__(**kwargs)
        if pooling not in POOLING:
            raise ValueError(f"`pooling` must be one of {POOLING}, got {pooling!r}.")
        self.backbone = backbone
        self.pooling = pooling
        self.normalize = normalize
        self.built = True

    def call(self, inputs, training=None):
        """Embed each text."""
        inputs = {**inputs, "padding_mask": self.backbone.padding_mask(inputs)}
        x = self.backbone(inputs, training=training)["sequence_output"]  # (B, T, D)
        x = self._pool(x, ops.expand_dims(inputs["padding_mask"], -1))  # (B, D)
        if not self.normalize:
            return x
        length = ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True))
        return x / ops.maximum(length, 1e-12)

    def _pool(self, x, exists):
        if self.pooling == "cls":
            return x[:, 0]
        if self.pooling == "max":
            return ops.max(ops.where(exists, x, ops.cast(MASKED_SCORE, x.dtype)), axis=1)
        exists = ops.cast(exists, x.dtype)
        number = ops.maximum(ops.sum(exists, axis=1), 1e-9)  # (B, 1)
        return ops.sum(x * exists, axis=1) / (number if self.pooling == "mean" else ops.sqrt(number))

    def get_config(self):
        """Give the constructor's arguments."""
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "pooling": self.pooling,
            "normalize": self.normalize,
        }

    @classmethod
    def from_config(cls, config):
        """Make the model of a configuration."""
        config = dict(config)
        backbone: Bert = keras.saving.deserialize_keras_object(config.pop("backbone"))
        return cls(backbone, **config)
