"""The Keras model's references in `proof.npz`, with which every device compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.tolerance import comparable
from keras_attn.device.text.tokenizer import never_produced
from keras_attn.models.word_logits import WordScores
from keras_attn_export.buckets import Bucket

BEST, OTHERS = 4, 4
"""Scores kept per step: of the best tokens and of random ones, so that every token may be compared."""


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Return at most `count` of the items, evenly spread."""
    chosen = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[i] for i in chosen]


def choose_sources(
    encoded: Sequence[Sequence[int]],
    buckets: Sequence[Bucket],
    special_ids: Mapping[str, int],
    vocabulary_size: int,
    count: int,
    seed: int = 0,
) -> list[list[int]]:
    """Return inputs for the proof: real ones spread over the lengths, and random ones for every bucket.

    Args:
        encoded: token ids of held-out texts, the end token included; may be empty.
        buckets: ascending; each gets the shortest source that falls into it, so that nearly all is padding
            and the mask matters, and one that fills it.
        special_ids: ids of `end` and the other special tokens, which random sources do not contain.
        vocabulary_size: V.
        count: the most inputs from `encoded`.
        seed: random seed of the generated ones.
    """
    rng = np.random.default_rng(seed)
    longest = buckets[-1].source
    fitting = sorted((list(ids) for ids in encoded if 1 < len(ids) <= longest), key=len)
    chosen = spread(fitting, count)
    ordinary = np.setdiff1d(np.arange(vocabulary_size), list(special_ids.values()))
    ends = [bucket.source for bucket in buckets]
    lengths = {2, *ends, *(end + 1 for end in ends[:-1])}
    if not chosen:  # Without texts, more lengths are used.
        lengths |= {max(2, end * part // 4) for end in ends for part in (1, 2, 3)}
    for length in sorted(length for length in lengths if length <= longest):
        chosen.append([*rng.choice(ordinary, length - 1).tolist(), special_ids["end"]])
    return chosen


class Sized:
    """A model that decodes, whose steps have the largest logit of each row behind its scores: (R, V + 1).

    Of a class with a `step` of its own the logits are not known; they count as 0.
    """

    def __init__(self, model: Any) -> None:
        self.variables, self.start, self._model = model.variables, model.start, model

    def step(self, tokens: Any, memory: Any, state: Any) -> tuple[Any, Any, Any]:
        """Decode one token per row."""
        from keras import ops

        if type(self._model).step is not WordScores.step:
            scores, alignment, state = self._model.step(tokens, memory, state)
            return ops.concatenate([scores, ops.zeros_like(scores[:, :1])], axis=-1), alignment, state
        hidden, alignment, new = self._model.read_token(tokens, memory, state)
        logit = ops.expand_dims(self._model.largest_logit(hidden), -1)
        scores = ops.concatenate([self._model.log_probabilities(hidden), logit], axis=-1)
        return scores, alignment, self._model.with_rows(state, new)


def make_proof(
    step_model: Any,
    sources: Sequence[Sequence[int]],
    limits: Sequence[int],
    special_ids: Mapping[str, int],
    seed: int = 0,
) -> Proof:
    """Decode greedily with the Keras model and keep tokens and scores.

    Args:
        step_model: `keras_attn.device.search.search.StepModel` over the Keras model, made with `Sized`.
        sources: N lists of source ids.
        limits: N numbers, the most target tokens of each.
        special_ids: ids of `pad`, `start` and `end`.
        seed: random seed of the other tokens that are compared at each step.

    Returns:
        The proof, without tolerances. Its scores are log-probabilities after the start token and the previous
        targets.
    """
    pad, end = special_ids["pad"], special_ids["end"]
    rng = np.random.default_rng(seed)
    count, longest_target = len(sources), max(limits)
    source_ids = np.full((count, max(map(len, sources))), pad, np.int32)
    for row, source in enumerate(sources):
        source_ids[row, : len(source)] = source
    source_lengths = np.array([len(source) for source in sources], np.int32)
    state = step_model.start(source_ids, np.arange(source_ids.shape[1])[None] < source_lengths[:, None])
    targets = np.full((count, longest_target), pad, np.int32)
    check_ids = np.zeros((count, longest_target, BEST + OTHERS), np.int32)
    check_scores = np.zeros((count, longest_target, BEST + OTHERS), np.float32)
    lengths = np.zeros(count, np.int32)
    live = np.ones(count, bool)
    tokens = np.full(count, special_ids["start"], np.int32)
    logits: list[np.ndarray] = []
    for step in range(longest_target):
        scores, state = step_model.step(tokens, state)
        scores, largest = np.array(scores[:, :-1], np.float32), scores[:, -1]
        logits.append(np.abs(largest[live]))
        best = np.argsort(-scores, axis=-1, kind="stable")[:, :BEST]
        checked = np.concatenate([best, rng.integers(0, scores.shape[1], (count, OTHERS))], 1)
        allowed = scores.copy()
        allowed[:, list(never_produced(special_ids))] = -np.inf  # As in every search.
        best = allowed.argmax(-1) if step or "first" not in special_ids else special_ids["first"]
        tokens = np.where(live, best, end).astype(np.int32)
        targets[live, step] = tokens[live]
        check_ids[live, step] = checked[live]
        check_scores[live, step] = comparable(np.take_along_axis(scores, checked, 1))[live]
        lengths[live] += 1
        live &= (tokens != end) & (lengths < np.asarray(limits))
        if not live.any():
            break
    used = int(lengths.max())
    return Proof(
        source_ids=source_ids,
        source_lengths=source_lengths,
        target_ids=targets[:, :used],
        target_lengths=lengths,
        check_ids=check_ids[:, :used],
        check_scores=check_scores[:, :used],
        logit_size=float(np.median(np.concatenate(logits))),
    )
