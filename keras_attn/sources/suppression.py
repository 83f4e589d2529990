"""A translator whose tokens share all probability without those that its search never produces."""

from collections.abc import Collection
from typing import Any

import numpy as np

# Less than e to the minus so much of a probability is lost when probabilities are added in float32.
_MARGIN = 25.0


def without_suppressed(model: Any, suppressed: Collection[int]) -> Any:
    """Return a `Transformer` that computes what generate() does with `renormalize_logits`.

    Its search passes over these tokens anyway. Here their bias leaves them nothing, so that the others'
    probabilities add up to 1 on whatever runtime the model is searched.

    Args:
        model: of MarianMT's layout, which ends in a layer normalization.
        suppressed: tokens that are never produced.
    """
    twin = type(model).from_config({**model.get_config(), "output_bias": True})
    values = {variable.path: variable for variable in model.variables}
    for variable in twin.variables:
        if variable.path in values:
            variable.assign(values[variable.path])
    bias, vectors = twin.final_logits_bias.numpy(), np.asarray(twin.output_embeddings[0])  # (V,), (V, D)
    norm = twin.decoder_layers[-1]._feedforward_layer_norm
    gamma, beta = np.asarray(norm.gamma), np.asarray(norm.beta)
    # The longest vector that a normalization can give.
    longest = np.abs(gamma).max() * np.sqrt(len(gamma)) + np.linalg.norm(beta)
    others = np.setdiff1d(np.arange(len(bias)), list(suppressed))
    for token in suppressed:
        # By how much its product can be ahead of the best other logit, whatever the text.
        ahead = longest * np.linalg.norm(vectors[others] - vectors[token], axis=-1) - bias[others]
        bias[token] = -(ahead.min() + _MARGIN)
    twin.final_logits_bias.assign(bias)
    return twin
