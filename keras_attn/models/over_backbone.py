"""What the tasks share: a backbone, how it is saved, and pooling its outputs to one vector per text."""

import keras
from keras import ops

from keras_attn.layers.masks import MASKED_SCORE

POOLING = ("mean", "mean_sqrt_len", "max", "cls")


class OverBackbone(keras.Model):
    """A model whose first argument is a backbone, such as `Bert`; it is saved and restored with it.

    Args:
        backbone: a model of `keras_attn.models` with `token_ids` among its inputs.
    """

    def __init__(self, backbone, **kwargs):
        super().__init__(**kwargs)
        self.backbone = backbone

    def get_config(self):
        """Give the constructor's arguments."""
        return {**super().get_config(), "backbone": keras.saving.serialize_keras_object(self.backbone)}

    @classmethod
    def from_config(cls, config):
        """Make the model of a configuration."""
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("backbone")), **config)


def check_pooling(pooling, known=POOLING):
    """Raise a ValueError if a way of pooling is unknown."""
    if pooling not in known:
        raise ValueError(f"`pooling` must be one of {known}, got {pooling!r}.")


def pool(x, padding_mask, pooling):
    """Make one vector of those of a text.

    Args:
        x: float tensor (B, T, D).
        padding_mask: boolean tensor (B, T), `True` where there is a token.
        pooling: `"mean"` of the tokens that exist, `"mean_sqrt_len"` (their sum by the root of their number),
            `"max"`, or `"cls"`, the first token's vector.

    Returns:
        float tensor (B, D).
    """
    if pooling == "cls":
        return x[:, 0]
    exists = ops.expand_dims(padding_mask, -1)  # (B, T, 1)
    if pooling == "max":
        return ops.max(ops.where(exists, x, ops.cast(MASKED_SCORE, x.dtype)), axis=1)
    exists = ops.cast(exists, x.dtype)
    number = ops.maximum(ops.sum(exists, axis=1), 1e-9)  # (B, 1)
    return ops.sum(x * exists, axis=1) / (number if pooling == "mean" else ops.sqrt(number))
