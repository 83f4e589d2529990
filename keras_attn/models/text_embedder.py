"""One vector per text: an encoder, pooling and normalization."""

import keras
from keras import ops

from keras_attn.models.over_backbone import POOLING, OverBackbone, check_pooling, existing, pool

__all__ = ["POOLING", "TextEmbedder"]


@keras.saving.register_keras_serializable("keras_attn")
class TextEmbedder(OverBackbone):
    """Sentence embeddings (Reimers and Gurevych, 2019, arXiv:1908.10084, section 3).

    Args:
        backbone: `Bert`, `BigBird` or `GPT2`.
        pooling: `"mean"` of the tokens that exist, `"mean_sqrt_len"` (their sum by the root of their number),
            `"max"`, `"cls"`, the first token's vector, or `"last"`, that of the last token that exists.
        normalize: whether vectors are scaled to length 1, so that their dot product is their cosine.

    Call arguments:
        inputs: as for the backbone.

    Returns:
        float tensor (B, D).

    Raises:
        ValueError: if `pooling` is unknown, or `"cls"` of a backbone whose first token sees no other.
    """

    def __init__(self, backbone, pooling="mean", normalize=True, **kwargs):
        super().__init__(backbone, **kwargs)
        check_pooling(pooling, backbone)
        self.pooling = pooling
        self.normalize = normalize
        self.built = True

    def call(self, inputs, training=None):
        """Embed each text."""
        mask = existing(self.backbone, inputs)
        outputs = self.backbone({**inputs, "padding_mask": mask}, training=training)
        x = pool(outputs["sequence_output"], mask, self.pooling)  # (B, D)
        if not self.normalize:
            return x
        wide = ops.cast(x, "float32")  # squares overflow in half precision
        length = ops.sqrt(ops.sum(ops.square(wide), axis=-1, keepdims=True))
        return ops.cast(wide / ops.maximum(length, 1e-12), x.dtype)

    def get_config(self):
        """Give the constructor's arguments."""
        return {**super().get_config(), "pooling": self.pooling, "normalize": self.normalize}
