"""A dense head over one vector per text, which classifiers and scorers share."""

from typing import Any

import keras

from keras_attn.layers import Dropout
from keras_attn.layers.argument_types import Activation, Inputs
from keras_attn.models.backbones.bert import initializer
from keras_attn.models.tasks.task_model import (
    TaskModel,
    check_pooling,
    default_pooling,
    padding_mask_or_ones,
    pool,
)


class PooledModel(TaskModel):
    """A task whose output layer reads one vector per text; `make_head` belongs into its constructor."""

    def make_head(
        self,
        outputs: int,
        pooling: str | None,
        hidden_activation: Activation | None,
        dropout: float,
        use_bias: bool | None,
        hidden_use_bias: bool,
        hidden_norm: bool,
    ) -> None:
        """Create the layers over the backbone, and their weights.

        Args:
            outputs: units of the output layer.
            pooling: as `TextClassifier` documents it, and so the next ones.
            hidden_activation: of a dense layer before the output layer.
            dropout: before the output layer.
            use_bias: whether the output layer has a bias.
            hidden_use_bias: whether the hidden layer has one.
            hidden_norm: whether the hidden layer is normalized.

        Raises:
            ArgumentError: if `pooling` is unknown, or does not fit the backbone, or there is a normalization
                without a hidden layer.
        """
        backbone = self.backbone
        self.pooling = pooling or default_pooling(backbone)
        check_pooling(self.pooling, backbone, ("pooled",) if backbone.pooler else ())
        self.dropout = dropout
        self.use_bias = not backbone.causal if use_bias is None else use_bias
        shared = {"kernel_initializer": initializer(), "dtype": self.dtype_policy}
        self.make_hidden(hidden_activation, hidden_use_bias, hidden_norm)
        self.output_dropout = Dropout(dropout, dtype=self.dtype_policy, name="output_dropout")
        self.output_dense = keras.layers.Dense(outputs, use_bias=self.use_bias, **shared, name="output_dense")
        self.build()

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        for layer in (self.hidden_dense, self.hidden_layer_norm, self.output_dense):
            if layer is not None:
                layer.build((None, self.backbone.hidden_dim))
        self.built = True

    def call(self, inputs: Inputs, training: bool | None = None) -> Any:
        """Compute the outputs (B, C) of each text."""
        mask = padding_mask_or_ones(self.backbone, inputs)
        outputs = self.backbone({**inputs, "padding_mask": mask}, training=training)
        if self.pooling == "pooled":
            x = outputs["pooled_output"]  # (B, D)
        else:
            x = pool(outputs["sequence_output"], mask, self.pooling)
        return self.output_dense(self.output_dropout(self.apply_hidden(x), training=training))
