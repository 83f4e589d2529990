"""Where in a text the answer to a question is: an encoder that scores each position as its start and end."""

from typing import Any, cast

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers import Dropout
from keras_attn.layers.argument_types import Activation, Inputs
from keras_attn.layers.gelu import activation_named, fast_equivalent
from keras_attn.layers.layer_normalization import LayerNormalization
from keras_attn.layers.masks import MASKED_SCORE
from keras_attn.models.backbones.bert import initializer
from keras_attn.models.tasks.task_model import TaskModel, padding_mask_or_ones


@keras.saving.register_keras_serializable("keras_attn")
class QuestionAnswerer(TaskModel):
    """Finds the start and the end of an answer in a text (Devlin et al., 2019, section 4.2 and 4.3).

    Hugging Face's `BertForQuestionAnswering` and `DistilBertForQuestionAnswering`; BigBird's has a
    feed-forward network before the output layer. The question is the first text and the context the second;
    a span at the first token means that the context has no answer.

    Args:
        backbone: `Bert` or `BigBird`.
        dropout: float, before and after the feed-forward network, if there is one.
        intermediate_dim: int, hidden units of a feed-forward network with a residual connection and a
            normalization before the output layer; by default there is none.
        head_activation: of a dense layer before the output layer, such as ModernBERT's; by default none.
        head_use_bias: whether that layer has a bias.

    Call arguments:
        inputs: as for the backbone; the context has the `segment_ids` 1.

    Returns:
        Logits, float tensor (B, 2, T), of each position to be the answer's start, and its end. Where there is
        no token they are so low that a softmax over the positions makes them 0: the loss is
        `keras.losses.SparseCategoricalCrossentropy(from_logits=True)` of the two positions, (B, 2).

    Raises:
        ArgumentError: if the backbone is causal, which sees no answer at its first token.
    """

    def __init__(
        self,
        backbone: keras.Model,
        dropout: float = 0.0,
        intermediate_dim: int | None = None,
        head_activation: Activation | None = None,
        head_use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        if backbone.causal:
            raise ArgumentError("`backbone` must read texts in both directions, such as Bert.")
        super().__init__(backbone, **kwargs)
        self.dropout = dropout
        self.intermediate_dim = intermediate_dim
        shared = {"kernel_initializer": initializer(), "dtype": self.dtype_policy}
        self.intermediate_dense = self.hidden_dense = self.hidden_norm = cast(Any, None)
        self.hidden_dropout = Dropout(dropout, dtype=self.dtype_policy, name="hidden_dropout")
        if intermediate_dim is not None:
            self.intermediate_dense = keras.layers.Dense(
                intermediate_dim,
                activation=fast_equivalent(activation_named(backbone.activation)),
                **shared,
                name="intermediate_dense",
            )
            self.hidden_dense = keras.layers.Dense(backbone.hidden_dim, **shared, name="hidden_dense")
            self.hidden_norm = keras.layers.LayerNormalization(
                epsilon=backbone.layer_norm_epsilon, dtype=self.dtype_policy, name="hidden_norm"
            )
        self.head_activation, self.head_use_bias = head_activation, head_use_bias
        self.head_dense = self.head_layer_norm = cast(Any, None)
        if head_activation is not None:
            self.head_dense = keras.layers.Dense(
                backbone.hidden_dim,
                activation=fast_equivalent(activation_named(head_activation)),
                use_bias=head_use_bias,
                **shared,
                name="head_dense",
            )
            self.head_layer_norm = LayerNormalization(
                epsilon=backbone.layer_norm_epsilon,
                center=backbone.norm_bias,
                dtype=self.dtype_policy,
                name="head_layer_norm",
            )
        self.output_dense = keras.layers.Dense(2, **shared, name="output_dense")
        self.build()

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        hidden = (None, None, self.backbone.hidden_dim)
        if self.intermediate_dense is not None:
            self.intermediate_dense.build(hidden)
            self.hidden_dense.build((None, None, self.intermediate_dim))
            self.hidden_norm.build(hidden)
        for layer in (self.head_dense, self.head_layer_norm):
            if layer is not None:
                layer.build(hidden)
        self.output_dense.build(hidden)
        self.built = True

    def call(self, inputs: Inputs, training: bool | None = None) -> Any:
        """Score the positions."""
        mask = padding_mask_or_ones(self.backbone, inputs)
        x = self.backbone({**inputs, "padding_mask": mask}, training=training)["sequence_output"]
        if self.head_dense is not None:
            x = self.head_layer_norm(self.head_dense(x))
        y = self.hidden_dropout(x, training=training)  # (B, T, D)
        if self.intermediate_dense is not None:
            y = self.hidden_dense(self.intermediate_dense(y))
            y = self.hidden_norm(x + self.hidden_dropout(y, training=training))
        logits = ops.cast(self.output_dense(y), "float32")  # MASKED_SCORE overflows in half precision
        logits = ops.transpose(logits, (0, 2, 1))  # (B, 2, T)
        return ops.where(ops.expand_dims(ops.cast(mask, "bool"), 1), logits, MASKED_SCORE)
