"""Greedy search in one call, compared with the search over steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.proof.decoder_proof import Proof, greedy
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn.device.search.beam_search import Hypothesis
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.one_call import OneCall


@dataclass
class OneCallFigures:
    """How one call compares with the device's search, on a proof's inputs.

    Attributes:
        sentences: inputs compared.
        equal: how many have equal tokens and ends.
        gap: of the others, the largest difference of the scores of the first tokens that differ:
            small where two tokens are as good as each other.
        log_prob_error: largest difference of a log-probability, where the tokens are equal.
        worst: the input with the largest gap; None where all are equal.
    """

    sentences: int
    equal: int
    gap: float
    log_prob_error: float
    worst: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return dict(self.__dict__)


def measure_one_call(
    one_call: OneCall,
    steps: LiteRTStepModel,
    proof: Proof,
    special_ids: Mapping[str, int],
    force_end: bool = False,
) -> OneCallFigures:
    """Compare one call with the search over steps, for each of a proof's inputs.

    Args:
        one_call: what is measured.
        steps: the step model of the same file.
        proof: the inputs.
        special_ids: ids of ``pad``, ``start`` and ``end``.
        force_end: whether the bundle's searches count what reaches its limit as finished.
    """
    figures = OneCallFigures(len(proof), 0, 0.0, 0.0, None)
    for i in range(len(proof)):
        source = proof.source(i)
        # Every other one is cut short, so that the limit is tested too.
        limit = (
            one_call.max_target_tokens(len(source)) if i % 2 else max(1, int(proof.target_lengths[i]) // 2)
        )
        found = one_call(source, limit)
        wanted = greedy(steps.for_length, source, limit, special_ids, force_end)
        if (found.ids, found.finished) == (wanted.ids, wanted.finished):
            figures.equal += 1
            error = abs(found.log_prob - wanted.log_prob)
            figures.log_prob_error = max(figures.log_prob_error, error)
            continue
        gap = _first_gap(steps, source, found, wanted, special_ids, proof.logit_size)
        if figures.worst is None or gap > figures.gap:
            figures.gap, figures.worst = gap, i
    return figures


def _first_gap(
    steps: LiteRTStepModel,
    source: np.ndarray,
    found: Hypothesis,
    wanted: Hypothesis,
    special_ids: Mapping[str, int],
    logit_size: float,
) -> float:
    """Compute the gap between the scores of the first tokens that differ; infinite where one is cut."""
    end = special_ids["end"]
    ids, other_ids = ([*each.ids, end] if each.finished else each.ids for each in (found, wanted))
    step = next((i for i, pair in enumerate(zip(ids, other_ids, strict=False)) if pair[0] != pair[1]), None)
    if step is None:
        return float("inf")
    state = steps.for_length(step + 1).start(source[None], np.ones((1, len(source)), bool))
    scores = np.zeros(0)
    for token in [special_ids["start"], *ids[:step]]:
        scores, state = steps.step(np.array([token], np.int32), state)
    one, other = scores[0, [ids[step]]], scores[0, [other_ids[step]]]
    return float(counted_errors(one, other, logit_size=logit_size)[0])
