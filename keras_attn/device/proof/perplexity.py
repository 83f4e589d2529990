"""Perplexity: the log-likelihood of each token of a text, over any language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.device.proof.decoder_proof import StepModels

LEAST = float(np.log(np.finfo(np.float32).smallest_subnormal))
"""Least log-probability that is counted, about -103, so that perplexities stay finite."""


def text_loss(
    step_models: StepModels, texts: Sequence[Sequence[int]], special_ids: Mapping[str, int], batch: int = 1
) -> tuple[float, int]:
    """Compute the mean loss of all tokens but the first of each text; none counts less than `LEAST`.

    Args:
        step_models: of a language model.
        texts: ids.
        special_ids: ids of `pad` and `start`.
        batch: number of texts that the model reads together.

    Returns:
        The mean loss in nats, and the number of tokens.
    """
    width = max(map(len, texts))
    model, total, tokens = step_models(width - 1), 0.0, 0
    for first in range(0, len(texts), batch):
        chosen = texts[first : first + batch]
        ids = np.full((batch, width), special_ids["pad"], np.int32)
        for row, text in enumerate(chosen):
            ids[row, : len(text)] = text
        lengths = np.array([len(text) for text in chosen] + [0] * (batch - len(chosen)))
        state: Any = model.start(ids[:, :1], np.ones((batch, 1), bool))
        fed = np.full(batch, special_ids["start"], np.int32)
        for position in range(1, int(lengths.max())):
            scores, state = model.step(fed, state)
            fed = ids[:, position].copy()
            alive = np.flatnonzero(lengths > position)
            found = np.maximum(np.asarray(scores)[alive, fed[alive]], LEAST)
            total -= float(found.sum(dtype=np.float64))
            tokens += len(alive)
    return total / tokens, tokens
