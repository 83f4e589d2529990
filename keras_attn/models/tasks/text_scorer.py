"""One number per text, or per pair of texts: an encoder, pooling and an output layer of one unit."""

from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Activation
from keras_attn.models.tasks.pooled_model import PooledModel

ACTIVATIONS = ("sigmoid", "linear")


@keras.saving.register_keras_serializable("keras_attn")
class TextScorer(PooledModel):
    """Scores texts or pairs of texts: rerankers (Nogueira and Cho, 2019, arXiv:1901.04085) and regression.

    Args:
        backbone: `Bert` or another encoder, or `GPT2`.
        activation: `"sigmoid"`, which makes a probability of the logit, or `"linear"`, which leaves it as it
            is, as for regression. The model returns the logit; the activation belongs to the score.
        pooling, hidden_activation, dropout, use_bias, hidden_use_bias, hidden_norm: as those of
            `TextClassifier`.

    Call arguments:
        inputs: as for the backbone; the second of two texts has the `segment_ids` 1.

    Returns:
        Logits, float tensor (B, 1).

    Raises:
        ArgumentError: if `activation` is unknown, or `pooling` is, or does not fit the backbone.
    """

    def __init__(
        self,
        backbone: keras.Model,
        activation: str = "sigmoid",
        pooling: str | None = None,
        hidden_activation: Activation | None = None,
        dropout: float = 0.1,
        use_bias: bool | None = None,
        hidden_use_bias: bool = True,
        hidden_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ArgumentError(f"`activation` must be one of {ACTIVATIONS}, got {activation!r}.")
        super().__init__(backbone, **kwargs)
        self.activation = activation
        self.make_head(1, pooling, hidden_activation, dropout, use_bias, hidden_use_bias, hidden_norm)
