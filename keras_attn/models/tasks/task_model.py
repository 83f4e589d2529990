"""The base of tasks over a backbone, and pooling to one vector per text."""

from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Activation
from keras_attn.layers.gelu import activation_named, fast_equivalent
from keras_attn.layers.layer_normalization import LayerNormalization
from keras_attn.layers.masks import MASKED_SCORE
from keras_attn.models.backbones.bert import initializer
from keras_attn.models.text_model import TextModel

POOLING = ("mean", "mean_sqrt_len", "weighted_mean", "max", "cls", "last")


class TaskModel(TextModel):
    """A model whose first argument is a backbone, such as `Bert`; it is saved and restored with it.

    Args:
        backbone: a model of `keras_attn.models` with `token_ids` among its inputs.
    """

    def __init__(self, backbone: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone
        self.inputs_read = backbone.inputs_read
        self.needs_known_lengths = backbone.needs_known_lengths

    def make_hidden(self, activation: Activation | None, use_bias: bool, norm: bool) -> None:
        """Create a dense layer (D to D) and its normalization, or neither, that `apply_hidden` applies.

        Args:
            activation: of the dense layer; `None` for no such layer.
            use_bias: whether the dense layer has a bias.
            norm: whether it is normalized.

        Raises:
            ArgumentError: if there is a normalization without the dense layer.
        """
        self.hidden_activation, self.hidden_use_bias, self.hidden_norm = activation, use_bias, norm
        self.hidden_dense = self.hidden_layer_norm = None
        if activation is not None:
            self.hidden_dense = keras.layers.Dense(
                self.backbone.hidden_dim,
                activation=fast_equivalent(activation_named(activation)),
                use_bias=use_bias,
                kernel_initializer=initializer(),
                dtype=self.dtype_policy,
                name="hidden_dense",
            )
        if norm:
            if activation is None:
                raise ArgumentError("`hidden_norm` needs a hidden layer: give `hidden_activation`.")
            self.hidden_layer_norm = LayerNormalization(
                epsilon=self.backbone.layer_norm_epsilon,
                center=self.backbone.norm_bias,
                dtype=self.dtype_policy,
                name="hidden_layer_norm",
            )

    def apply_hidden(self, x: Any) -> Any:
        """Apply the layers of `make_hidden` to (..., D)."""
        for layer in (self.hidden_dense, self.hidden_layer_norm):
            x = x if layer is None else layer(x)
        return x

    @property
    def max_sequence_length(self):
        """Maximum number of tokens."""
        return self.backbone.max_sequence_length

    def inputs_by_default(self):
        """Return the names of the backbone's inputs."""
        return self.backbone.inputs_by_default()

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Create the model from a configuration."""
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects)
        return super().from_config({**config, "backbone": backbone}, custom_objects)


def default_pooling(backbone):
    """Return the pooling with which a classifier over such a backbone was published."""
    if backbone.causal:
        return "last"
    return "pooled" if backbone.pooler else "mean"


def check_pooling(pooling, backbone, more=()):
    """Raise an ArgumentError if `pooling` is not in `POOLING` or `more`, or does not fit the backbone."""
    # The first token of a causal model sees no other.
    known = tuple(way for way in (*more, *POOLING) if way != "cls" or not backbone.causal)
    if pooling not in known:
        raise ArgumentError(f"`pooling` must be one of {known} here, got {pooling!r}.")


def padding_mask_or_ones(backbone, inputs):
    """Return the mask (B, T) of the inputs or the backbone, or else all `True`."""
    mask = backbone.padding_mask(inputs)
    return ops.ones_like(inputs["token_ids"], dtype="bool") if mask is None else mask


def pool(x, padding_mask, pooling):
    """Pool the vectors of a text to one.

    Args:
        x: float tensor (B, T, D).
        padding_mask: boolean tensor (B, T), `True` where there is a token.
        pooling: `"mean"` of the tokens that exist, `"mean_sqrt_len"` (their sum by the root of their number),
            `"weighted_mean"`, where the i-th token counts i times (Muennighoff, 2022, arXiv:2202.08904),
            `"max"`, `"cls"`, the first token's vector, or `"last"`, that of the last token that exists.

    Returns:
        float tensor (B, D); for a text without tokens zeros, or the first vector (`"cls"`, `"last"`).
    """
    if pooling == "cls":
        return x[:, 0]
    if pooling == "last":
        positions = ops.arange(ops.shape(x)[1], dtype="int32") * ops.cast(padding_mask, "int32")  # (B, T)
        last = ops.max(positions, axis=1, keepdims=True)  # (B, 1)
        return ops.take_along_axis(x, ops.expand_dims(last, -1), axis=1)[:, 0]
    exists, dtype = ops.expand_dims(padding_mask, -1), x.dtype  # (B, T, 1)
    x = ops.cast(x, "float32")  # sums overflow in half precision, and so does MASKED_SCORE
    if pooling == "max":
        pooled = ops.max(ops.where(exists, x, MASKED_SCORE), axis=1)
        return ops.cast(ops.where(ops.any(exists, axis=1), pooled, 0.0), dtype)
    exists = ops.cast(exists, "float32")
    if pooling == "weighted_mean":
        places = ops.arange(1, ops.shape(x)[1] + 1, dtype="int32")
        exists = exists * ops.cast(places, "float32")[None, :, None]  # (B, T, 1)
    number = ops.maximum(ops.sum(exists, axis=1), 1e-9)  # (B, 1)
    pooled = ops.sum(x * exists, axis=1) / (ops.sqrt(number) if pooling == "mean_sqrt_len" else number)
    return ops.cast(pooled, dtype)
