"""The check of exported heads: the attention weights of a file, compared with the Keras model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_attn.device.proof.checks import Check
from keras_attn_export.proof.references import spread
from keras_attn_export.recipes import FP32_SCORE_TOLERANCE, Recipe

TEXTS = 4
"""Texts that are compared, spread over the lengths."""
QUANTIZED_TOLERANCE = 0.05
"""Largest accepted mean difference of an attention weight from the Keras model's."""

Heads = Callable[[Sequence[int]], np.ndarray]


def heads_check(
    name: str, recipe: Recipe, found: Heads, keras: Heads, texts: Sequence[Sequence[int]]
) -> Check:
    """Compare every head's attention in a few texts.

    Args:
        name: the file's.
        recipe: the file's.
        found: computes (layers, heads, T, T) of a text's tokens with the file.
        keras: the same with the Keras model.
        texts: tokens; a few of them are taken.
    """
    errors = []
    for ids in spread(sorted(texts, key=len), TEXTS):
        errors.append(np.abs(found(ids) - keras(ids)).ravel())
    differences = np.concatenate(errors)
    largest, mean = float(differences.max()), float(differences.mean())
    held, limit = (mean, QUANTIZED_TOLERANCE) if recipe.quantized else (largest, FP32_SCORE_TOLERANCE)
    ok = held <= limit
    detail = (
        f"largest difference of an attention weight {largest:.3g}, mean {mean:.3g}; "
        f"{held:.3g} of {limit:.3g} accepted, over {len(errors)} texts"
    )
    return Check(f"{name} heads", ok, detail, {"max_error": largest, "mean_error": mean})
