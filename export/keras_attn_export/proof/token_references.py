"""References of results that are matrices: labels of each token, or positions of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.device.proof.encoder_proof import TokenProof
from keras_attn.device.proof.tolerance import comparable
from keras_attn_export.proof.references import BEST, OTHERS

ROWS = 32
"""Rows of a matrix that are compared: all of a short text, and some of a long one."""


def token_references(
    results: Sequence[np.ndarray], inputs: Mapping[str, Any], rng: np.random.Generator
) -> TokenProof:
    """Keep some values of each text's matrix.

    Args:
        results: of each text, (T, C) or (2, T).
        inputs: the other arrays of the proof.
        rng: draws which values are compared besides the best.
    """
    count = min(ROWS, max(len(result) for result in results))
    rows, best, ids, scores = [], [], [], []
    for result in results:
        # A row that occurs twice is compared twice; first and last are always among them.
        chosen = np.linspace(0, len(result) - 1, count).round().astype(int)
        some = result[chosen]
        order = np.argsort(-some, axis=1, kind="stable")[:, :BEST]
        order = np.pad(order, ((0, 0), (0, BEST - order.shape[1])), mode="edge")
        checked = np.concatenate([order, rng.integers(0, some.shape[1], (count, OTHERS))], 1)
        rows.append(chosen)
        best.append(some.argmax(1))
        ids.append(checked)
        scores.append(comparable(np.take_along_axis(some, checked, 1)))
    return TokenProof(
        **inputs,
        rows=np.array(rows, np.int32),
        best=np.array(best, np.int32),
        check_ids=np.array(ids, np.int32),
        check_scores=np.array(scores, np.float32),
    )
