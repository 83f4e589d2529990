"""One label per text, or several: an encoder, pooling and an output layer."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Activation
from keras_attn.models.tasks.pooled_model import PooledModel


@keras.saving.register_keras_serializable("keras_attn")
class TextClassifier(PooledModel):
    """Classifies texts (Devlin et al., 2019, section 4.1).

    BERT's classifier is `pooling="pooled"` (Hugging Face's `BertForSequenceClassification`); DistilBERT's is
    `pooling="cls", hidden_activation="relu"`, BigBird's `pooling="cls"` with the activation of its
    feed-forward networks, and GPT-2's `pooling="last", use_bias=False`.

    Args:
        backbone: `Bert` or another encoder, or `GPT2`.
        labels: list of str, the names of the C classes.
        pooling: `"pooled"` for the backbone's pooler, or one of `TextEmbedder`'s; by default `"last"` for
            `GPT2`, `"pooled"` if the backbone has a pooler, else `"mean"`.
        hidden_activation: name of the activation of a dense layer (D to D) before the output layer; `None`
            for no such layer.
        dropout: float, before the output layer.
        use_bias: whether the output layer has a bias; by default `True`, over `GPT2` `False`.
        hidden_use_bias: whether the hidden layer has a bias.
        hidden_norm: whether the hidden layer is followed by a layer normalization, as ModernBERT's is.
        multi_label: whether a text may have several labels or none, so that each has a probability of its
            own, the sigmoid of its logit; by default one, by a softmax.

    Call arguments:
        inputs: as for the backbone.

    Returns:
        Logits, float tensor (B, C).

    Raises:
        ArgumentError: if there are fewer than two labels (with `multi_label`, none) or two are equal, or
            `pooling` is unknown or needs a pooler that the backbone lacks, or is `"cls"` over a causal
            backbone.
    """

    def __init__(
        self,
        backbone: keras.Model,
        labels: Sequence[str],
        pooling: str | None = None,
        hidden_activation: Activation | None = None,
        dropout: float = 0.1,
        use_bias: bool | None = None,
        hidden_use_bias: bool = True,
        hidden_norm: bool = False,
        multi_label: bool = False,
        **kwargs: Any,
    ) -> None:
        names = [str(label) for label in labels]
        least = 1 if multi_label else 2
        if len(set(names)) < max(least, len(names)):
            raise ArgumentError(
                f"`labels` must be {'one' if multi_label else 'two'} or more different names, got {names}."
            )
        super().__init__(backbone, **kwargs)
        self.labels = names
        self.multi_label = multi_label
        self.make_head(
            len(names), pooling, hidden_activation, dropout, use_bias, hidden_use_bias, hidden_norm
        )
