"""Fine-tuning layer by layer: frozen layers, and learning rates that fall towards the embeddings."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_attn.training.errors import TrainingError

BELOW = (
    "token_embedding",
    "position_embedding",
    "segment_embedding",
    "embedding_norm",
    "embedding_projection",
    "relative_embedding",
    "relative_norm",
    "position_bias",
)
BESIDE_THE_FIRST = ("convolution_layer", "convolution_norm")
"""DeBERTa's convolution, whose output is added to the first layer's."""


class LayerwiseAdam(keras.optimizers.Adam):
    """Adam with its own learning rate for each variable.

    Args:
        learning_rate: float or schedule, multiplied by the factors.
        factors: one float for each variable that `build` receives, in the same order.
        **kwargs: Adam's.
    """

    def __init__(self, learning_rate, factors: Sequence[float], **kwargs: Any):
        super().__init__(learning_rate, **kwargs)
        self.factors = list(factors)

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable; every backend calls this."""
        factor = self.factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)


def embedding_layers(backbone) -> list:
    """Return the layers below the first attention layer, and those that all attention layers share."""
    layers = [name for name in BELOW if getattr(backbone, name, None) is not None]
    return [getattr(backbone, name) for name in layers]


def blocks(backbone) -> list[list]:
    """Return the attention layers with what is beside them, lowest first."""
    layers = backbone.decoder_layers if backbone.causal else backbone.encoder_layers
    found = [[layer] for layer in layers]
    found[0] += [layer for name in BESIDE_THE_FIRST if (layer := getattr(backbone, name, None)) is not None]
    return found


def freeze(backbone, layers: int) -> None:
    """Freeze the embeddings and the first `layers` attention layers; with -1 nothing.

    Raises:
        TrainingError: if there are fewer layers, or they share their weights.
    """
    found = blocks(backbone)
    if not -1 <= layers <= backbone.num_layers:
        raise TrainingError(f"`freeze_layers` is {layers}, but the model has {backbone.num_layers} layers.")
    if layers > 0 and len(found) < backbone.num_layers:
        raise TrainingError(
            f"`freeze_layers` is {layers}, but {backbone.num_layers} layers share the weights of "
            f"{len(found)}: choose 0 or -1."
        )
    if layers == -1:
        return
    for layer in (*embedding_layers(backbone), *(each for block in found[:layers] for each in block)):
        layer.trainable = False


def rate_factors(model, decay: float) -> list[float]:
    """Compute the factors of a model's trainable variables: 1 for the head, `decay` less per layer below it.

    Args:
        model: a task over an encoder, or `GPT2`.
        decay: float.
    """
    backbone = model.backbone
    levels = [embedding_layers(backbone), *blocks(backbone)]
    factors = {}
    for depth, layers in enumerate(reversed(levels), start=1):
        for layer in layers:
            factors.update({variable.path: decay**depth for variable in layer.variables})
    return [factors.get(variable.path, 1.0) for variable in model.trainable_variables]
