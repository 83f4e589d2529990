"""A shortlist's steps, compared with those of the whole vocabulary in the same file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.shortlist import ShortlistedStepModel


@dataclass
class ShortlistFigures:
    """How the steps of candidates compare with those of the whole vocabulary.

    Attributes:
        max_error: largest difference of a candidate's log-probability, those of the whole vocabulary
            renormalized over the candidates.
        mean_error: mean difference.
        coverage: fraction of the Keras model's tokens that are candidates.
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
    whole_steps: LiteRTStepModel,
    proof: Proof,
    special_ids: Mapping[str, int],
    rows: int = 1,
) -> ShortlistFigures:
    """Compare the two step by step, feeding the reference's tokens.

    Args:
        short: the step model to measure.
        whole_steps: the step model of the whole vocabulary, of the same file.
        proof: the inputs and the tokens.
        special_ids: the id of ``start``.
        rows: rows to decode at a time, which are fed the same tokens.
    """
    errors, known, counts = [], [], []
    for i in range(len(proof)):
        source, target = proof.source(i), proof.target(i)
        tokens = short.shortlist.candidates(source, short.size)
        fed = [special_ids["start"], *target[:-1].tolist()]
        # An interpreter holds one sentence at a time, so one is decoded to its end before the other.
        found, whole = (_log_probs(steps, source, fed, tokens, rows) for steps in (short, whole_steps))
        largest = whole.max(axis=1, keepdims=True)
        total = largest + np.log(np.exp(whole - largest).sum(axis=1, keepdims=True))  # of all candidates
        errors.append(counted_errors(found + total, whole, logit_size=proof.logit_size).ravel())
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


def _log_probs(
    steps: LiteRTStepModel, source: np.ndarray, fed: list[int], tokens: np.ndarray, rows: int
) -> np.ndarray:
    """Return the log-probabilities of the candidates (C,) after each token that is fed, (T, C) float64."""
    state = steps.for_length(len(fed)).start(source[None], np.ones((1, len(source)), bool))
    state = state.select(np.zeros(rows, np.int64))
    found = []
    for token in fed:
        scores, state = steps.step(np.full(rows, token, np.int32), state)
        found.append(np.asarray(scores)[rows - 1, tokens])
    return np.array(found, np.float64)
