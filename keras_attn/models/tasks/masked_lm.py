"""Masked language models: an encoder and a head, by default tied to the token embeddings."""

from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers import MaskedLMHead
from keras_attn.layers.argument_types import Activation, Inputs
from keras_attn.layers.embedding_table import embedding_table
from keras_attn.models.backbones.bert import initializer
from keras_attn.models.tasks.task_model import TaskModel
from keras_attn.models.word_logits import WordScores


@keras.saving.register_keras_serializable("keras_attn")
class MaskedLM(WordScores, TaskModel):
    """Masked language model (Devlin et al., 2019, section 3.1, task 1), tied to the token embeddings.

    Args:
        backbone: `Bert` or another encoder.
        tie_output: whether the output layer is the table of token embeddings, or has its own matrix.
        next_sentence: whether there is a second head, over the backbone's pooler, for task 2: whether the
            text of segment 1 follows that of segment 0 (Hugging Face's `BertForPreTraining`).
        hidden_activation: name of the activation of the dense layer before the output; by default that of the
            backbone's feed-forward networks.
        hidden_use_bias: whether that layer has a bias.

    Call arguments:
        inputs: as for the backbone and, optionally, `mask_positions` (B, M) int32, the positions to predict.
        return_next_sentence: whether to return the second head's logits as well.

    Returns:
        Logits, float tensor (B, M, V), or (B, T, V) of all positions without `mask_positions`; with
        `return_next_sentence` also the second head's, (B, 2): "next" and "random".

    Raises:
        ArgumentError: if a second head is requested and the backbone has no pooler, or its logits are and it
            does not exist.
    """

    def __init__(
        self,
        backbone: keras.Model,
        tie_output: bool = True,
        next_sentence: bool = False,
        hidden_activation: Activation | None = None,
        hidden_use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        self.inputs_read = {**self.inputs_read, "mask_positions": ("int32", ("batch", "masks"))}
        self.tie_output = tie_output
        self.next_sentence = next_sentence
        self.hidden_activation = hidden_activation
        self.hidden_use_bias = hidden_use_bias
        self.head = MaskedLMHead(
            vocabulary_size=backbone.vocabulary_size,
            token_embedding=backbone.token_embedding if tie_output else None,
            intermediate_dim=backbone.token_embedding.output_dim,
            intermediate_activation=hidden_activation or backbone.activation,
            intermediate_use_bias=hidden_use_bias,
            layer_norm_bias=backbone.norm_bias,
            layer_norm_epsilon=backbone.layer_norm_epsilon,
            kernel_initializer=initializer(),
            dtype=self.dtype_policy,
            name="head",
        )
        self.next_sentence_dense = None
        if next_sentence:
            if not backbone.pooler:
                raise ArgumentError("`next_sentence` needs a backbone with a pooler.")
            self.next_sentence_dense = keras.layers.Dense(
                2, kernel_initializer=initializer(), dtype=self.dtype_policy, name="next_sentence_dense"
            )
        self.build()

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        self.head.build((None, None, self.backbone.hidden_dim))
        if self.next_sentence_dense is not None:
            self.next_sentence_dense.build((None, self.backbone.hidden_dim))
        self.built = True

    @property
    def output_embeddings(self):
        """Return the output matrix (V, D) and the bias (V,)."""
        if self.tie_output:
            return embedding_table(self.backbone.token_embedding), self.head.output_bias
        return ops.transpose(self.head.output_kernel), self.head.output_bias

    def hidden(self, inputs, training=None):
        """Run everything except the output layer: `((B, M, D), None)`, without attention weights."""
        outputs, positions = self._encoded(inputs, training)
        return self.head.transform(outputs["sequence_output"], positions), None

    def call(self, inputs: Inputs, training: bool | None = None, return_next_sentence: bool = False) -> Any:
        """Score the vocabulary at the masks, or everywhere."""
        outputs, positions = self._encoded(inputs, training)
        logits = self.head(outputs["sequence_output"], positions)
        if not return_next_sentence:
            return logits
        if self.next_sentence_dense is None:
            raise ArgumentError(
                "`return_next_sentence` is for a model with that head (`next_sentence=True`)."
            )
        return logits, self.next_sentence_dense(outputs["pooled_output"])

    def _encoded(self, inputs, training):
        """Return the backbone's outputs, and the positions to predict (B, M), or `None` for all."""
        inputs = dict(inputs)
        positions = inputs.pop("mask_positions", None)
        return self.backbone(inputs, training=training), positions
