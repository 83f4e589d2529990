"""One label per text: an encoder, pooling and an output layer."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers import Dropout
from keras_attn.layers.argument_types import Activation, Inputs
from keras_attn.layers.gelu import activation_named, fast_equivalent
from keras_attn.models.backbones.bert import initializer
from keras_attn.models.tasks.task_model import (
    TaskModel,
    check_pooling,
    default_pooling,
    padding_mask_or_ones,
    pool,
)


@keras.saving.register_keras_serializable("keras_attn")
class TextClassifier(TaskModel):
    """Classifies texts (Devlin et al., 2019, section 4.1).

    BERT's classifier is `pooling="pooled"` (Hugging Face's `BertForSequenceClassification`); DistilBERT's is
    `pooling="cls", hidden_activation="relu"`, BigBird's `pooling="cls"` with the activation of its
    feed-forward networks, and GPT-2's `pooling="last", use_bias=False`.

    Args:
        backbone: `Bert`, `BigBird` or `GPT2`.
        labels: list of str, the names of the C classes.
        pooling: `"pooled"` for the backbone's pooler, or one of `TextEmbedder`'s; by default `"last"` for
            `GPT2`, `"pooled"` if the backbone has a pooler, else `"mean"`.
        hidden_activation: name of the activation of a dense layer (D to D) before the output layer; `None`
            for no such layer.
        dropout: float, before the output layer.
        use_bias: whether the output layer has a bias; by default `True`, over `GPT2` `False`.

    Call arguments:
        inputs: as for the backbone.

    Returns:
        Logits, float tensor (B, C).

    Raises:
        ArgumentError: if there are fewer than two labels or two are equal, or `pooling` is unknown or needs a
            pooler that the backbone lacks, or is `"cls"` over a causal backbone.
    """

    def __init__(
        self,
        backbone: keras.Model,
        labels: Sequence[str],
        pooling: str | None = None,
        hidden_activation: Activation | None = None,
        dropout: float = 0.1,
        use_bias: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        self.labels = [str(label) for label in labels]
        if len(set(self.labels)) < max(2, len(self.labels)):
            raise ArgumentError(f"`labels` must be two or more different names, got {self.labels}.")
        self.pooling = pooling or default_pooling(backbone)
        check_pooling(self.pooling, backbone, ("pooled",) if backbone.pooler else ())
        self.hidden_activation = hidden_activation
        self.dropout = dropout
        self.use_bias = not backbone.causal if use_bias is None else use_bias
        shared = {"kernel_initializer": initializer(), "dtype": self.dtype_policy}
        self.hidden_dense = None
        if hidden_activation is not None:
            self.hidden_dense = keras.layers.Dense(
                backbone.hidden_dim,
                activation=fast_equivalent(activation_named(hidden_activation)),
                **shared,
                name="hidden_dense",
            )
        self.output_dropout = Dropout(dropout, dtype=self.dtype_policy, name="output_dropout")
        self.output_dense = keras.layers.Dense(
            len(self.labels), use_bias=self.use_bias, **shared, name="output_dense"
        )
        self.build()

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        for layer in (self.hidden_dense, self.output_dense):
            if layer is not None:
                layer.build((None, self.backbone.hidden_dim))
        self.built = True

    def call(self, inputs: Inputs, training: bool | None = None) -> Any:
        """Score the labels."""
        mask = padding_mask_or_ones(self.backbone, inputs)
        outputs = self.backbone({**inputs, "padding_mask": mask}, training=training)
        if self.pooling == "pooled":
            x = outputs["pooled_output"]  # (B, D)
        else:
            x = pool(outputs["sequence_output"], mask, self.pooling)
        if self.hidden_dense is not None:
            x = self.hidden_dense(x)
        return self.output_dense(self.output_dropout(x, training=training))
