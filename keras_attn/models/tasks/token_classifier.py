"""One label per token: an encoder and an output layer."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers import Dropout
from keras_attn.layers.argument_types import Activation, Inputs
from keras_attn.models.backbones.bert import initializer
from keras_attn.models.tasks.task_model import TaskModel

STRATEGIES = ("simple", "first", "average", "max")


@keras.saving.register_keras_serializable("keras_attn")
class TokenClassifier(TaskModel):
    """Labels the tokens of texts, such as those of names (Devlin et al., 2019, section 5.3).

    Hugging Face's `BertForTokenClassification`, and those over DistilBERT and BigBird.

    Args:
        backbone: `Bert` or another encoder, or `GPT2`.
        labels: list of str, the names of the C classes, such as `"O"`, `"B-PER"` and `"I-PER"`. The model
            computes nothing with them; on the device they say which tokens are a span.
        dropout: float, before the output layer.
        use_bias: whether the output layer has a bias.
        hidden_activation, hidden_use_bias, hidden_norm: as those of `TextClassifier`.
        strategy: how a word gets its label where nothing else is said: as `entities` documents it. A model
            of which only the first piece of each word was trained needs `"first"`.

    Call arguments:
        inputs: as for the backbone.

    Returns:
        Logits, float tensor (B, T, C).

    Raises:
        ArgumentError: if there are fewer than two labels or two are equal, or `strategy` is unknown.
    """

    def __init__(
        self,
        backbone: keras.Model,
        labels: Sequence[str],
        dropout: float = 0.1,
        use_bias: bool = True,
        hidden_activation: Activation | None = None,
        hidden_use_bias: bool = True,
        hidden_norm: bool = False,
        strategy: str = "simple",
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        if strategy not in STRATEGIES:
            raise ArgumentError(f"`strategy` must be one of {STRATEGIES}, got {strategy!r}.")
        self.strategy = strategy
        self.labels = [str(label) for label in labels]
        if len(set(self.labels)) < max(2, len(self.labels)):
            raise ArgumentError(f"`labels` must be two or more different names, got {self.labels}.")
        self.dropout = dropout
        self.use_bias = use_bias
        self.make_hidden(hidden_activation, hidden_use_bias, hidden_norm)
        self.output_dropout = Dropout(dropout, dtype=self.dtype_policy, name="output_dropout")
        self.output_dense = keras.layers.Dense(
            len(self.labels),
            use_bias=use_bias,
            kernel_initializer=initializer(),
            dtype=self.dtype_policy,
            name="output_dense",
        )
        self.build()

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        for layer in (self.hidden_dense, self.hidden_layer_norm, self.output_dense):
            if layer is not None:
                layer.build((None, None, self.backbone.hidden_dim))
        self.built = True

    def call(self, inputs: Inputs, training: bool | None = None) -> Any:
        """Score the labels of each token."""
        x = self.backbone(inputs, training=training)["sequence_output"]  # (B, T, D)
        return self.output_dense(self.output_dropout(self.apply_hidden(x), training=training))
