"""A shortlist's steps, held against those of the whole vocabulary in the same file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.decoder import LiteRTStepModel
from keras_attn.device.proof import Proof
from keras_attn.device.shortlist import ShortlistedStepModel


@dataclass
class ShortlistFigures:
    """How the steps of candidates compare with those of the whole vocabulary.

    Attributes:
        max_error: largest difference of a candidate's log-probability, those of the whole vocabulary being
            shared out among the candidates.
        mean_error: mean difference.
        coverage: share of the Keras model's tokens that are candidates.
        candidates: mean number of candidates.
        steps: steps compared.
    """

    max_error: float
    mean_error: float
    coverage: float
    candidates: float
    steps: int

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return dict(self.__dict__)


def measure_shortlist(
    short: ShortlistedStepModel,
    steps: LiteRTStepModel,
    proof: Proof,
    special_ids: Mapping[str, int],
    rows: int = 1,
) -> ShortlistFigures:
    """Compare the two step by step, feeding the reference's tokens.

    Args:
        short: what is measured.
        steps: of the same file.
        proof: gives the inputs and the tokens.
        special_ids: the id of ``start``.
        rows: rows to decode at a time, which are fed the same tokens.
    """
    errors, known, counts = [], [], []
    for i in range(len(proof)):
        source, target = proof.source(i)[None], proof.target(i)
        mask = np.ones(source.shape, bool)
        # One interpreter holds one sentence at a time, so the one is read to its end before the other.
        scores, state = [], None
        for model in (short, steps):
            state = model.for_length(len(target)).start(source, mask).select(np.zeros(rows, np.int64))
            if model is short:
                tokens = state.candidates
            found = []
            for token in [special_ids["start"], *target[:-1].tolist()]:
                step_scores, state = model.step(np.full(rows, token, np.int32), state)
                found.append(np.asarray(step_scores)[rows - 1, tokens])
            scores.append(np.array(found, np.float64))  # (T, C)
        whole = scores[1] - np.log(np.exp(scores[1]).sum(axis=1, keepdims=True))
        errors.append(np.abs(scores[0] - whole).ravel())
        known.append(np.isin(target, tokens))
        counts.append(len(tokens))
    every = np.concatenate(errors)
    if not np.isfinite(every).all():
        every = np.array([np.inf])
    return ShortlistFigures(
        max_error=float(every.max()),
        mean_error=float(every.mean()),
        coverage=float(np.concatenate(known).mean()),
        candidates=float(np.mean(counts)),
        steps=sum(map(len, known)),
    )
