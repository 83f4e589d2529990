"""Greedy and beam search over any model that can score the next token.

The search is written once, in NumPy, against two small protocols. What ships to a device therefore searches
with the very code that evaluates in training, and a difference between the two can only come from the scores.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np

from keras_attn.device.search.beam_search import Hypothesis, SearchConfig, parent_rows
from keras_attn.device.search.token_scores import Scores
from keras_attn.errors import ArgumentError


class State(Protocol):
    """A model's state between two steps, one row per hypothesis."""

    @property
    def alignment(self) -> np.ndarray | None:
        """Attention of the last step over the source, (R, S) float32; None when the model has none."""
        ...

    def select(self, rows: np.ndarray) -> State:
        """Return the state whose row i is row ``rows[i]`` of this one; ``rows`` is (R2,) int."""
        ...


class StepModel(Protocol):
    """A model that scores target tokens one step at a time.

    A step may reuse its buffers: scores and alignment are valid until the next call, and callers copy what
    they keep. Threads that share a model which does so take turns by its ``lock``, see ``exclusive``.
    """

    def start(self, source_ids: np.ndarray, source_mask: np.ndarray) -> Any:
        """Encode ``source_ids`` (B, S) int32 under ``source_mask`` (B, S) bool into a State of B rows."""
        ...

    def step(self, tokens: np.ndarray, state: Any) -> tuple[np.ndarray | Scores, Any]:
        """Feed ``tokens`` (R,) int32; return the next token's log-probabilities (R, V) and the State."""
        ...


def exclusive(model: Any) -> AbstractContextManager:
    """Return a context that keeps other threads from a model's buffers: its ``lock``, if it has one."""
    return getattr(model, "lock", None) or nullcontext()


def search(
    model: StepModel,
    source_ids: np.ndarray,
    source_mask: np.ndarray,
    *,
    start_id: int,
    end_id: int,
    beam: int = 1,
    max_length: int | Sequence[int] | np.ndarray,
    length_penalty: float = 1.0,
    n_best: int = 1,
    alignments: bool = False,
    suppress: Collection[int] = (),
    force_end: bool = False,
    renormalize: bool = False,
    early_stopping: bool = True,
    first_id: int | None = None,
    min_length: int = 0,
    no_repeat_ngram: int = 0,
) -> list[list[Hypothesis]]:
    """Find the most probable target sequences of a batch of sentences.

    With ``beam=1`` this is greedy search. Otherwise each step looks at the best ``2 * beam`` continuations of
    a sentence: an end token among the first ``beam`` of them finishes that hypothesis, and the best ``beam``
    others continue. A sentence ends when ``beam`` hypotheses
    have finished or ``max_length`` is reached. Equal scores are decided by the lower row, then the lower
    token, so results are reproducible, and no sentence influences another. The model always sees the same
    number of rows.

    Args:
        model: scores the next token.
        source_ids: (B, S) int32.
        source_mask: (B, S) bool, True where there is text.
        start_id: the token every target starts with.
        end_id: the token that ends a target.
        beam: the beam size; 1 is greedy search.
        max_length: the most tokens to produce, the end token counted; one number, or one per sentence.
        length_penalty: exponent of the length that divides a log-probability; 0 compares the sums themselves.
        n_best: hypotheses to return per sentence, at most ``beam``.
        alignments: whether to keep the model's attention.
        suppress: tokens that are never produced.
        force_end: whether a hypothesis that reaches ``max_length`` counts as finished, at no cost.
        renormalize: whether the probabilities of the tokens that are not suppressed are scaled to add up to
            1.
        early_stopping: whether a sentence ends as soon as ``beam`` hypotheses have finished. If not, it
            continues while the best unfinished one, divided by its length so far, is better than the worst of
            the best ``beam`` finished ones, and at ``max_length`` the unfinished ones compete with these, as
            generate() does by default.
        first_id: the token that every target begins with, at no cost; it is one of the produced tokens.
        min_length: tokens to produce before the end token may come.
        no_repeat_ngram: the length of the sequences of tokens that a target, its start token included, may
            have only once; 0 for no such rule.

    Returns:
        For each sentence at most ``n_best`` hypotheses, the best first. With ``early_stopping`` unfinished
        ones follow the finished ones, only if these are fewer than ``n_best``.

    Raises:
        ArgumentError: an argument is out of its range, or the model's scores are not numbers.
    """
    sentences = len(source_ids)
    limits = _checked_limits(max_length, sentences)
    check_options(beam=beam, n_best=n_best, length_penalty=length_penalty)
    if not sentences:
        return []
    config = SearchConfig(
        start_id,
        end_id,
        beam,
        n_best,
        float(length_penalty),
        alignments,
        frozenset(suppress),
        force_end,
        renormalize,
        early_stopping,
        first_id,
        min_length,
        no_repeat_ngram,
    )
    searches = [config.begin(limit) for limit in limits]
    with exclusive(model):
        _run(model, source_ids, source_mask, searches, config)
    return [each.hypotheses() for each in searches]


def _run(
    model: StepModel,
    source_ids: np.ndarray,
    source_mask: np.ndarray,
    searches: Sequence[Any],
    config: SearchConfig,
) -> None:
    """Run the searches of all sentences to their ends."""
    beam, sentences = config.beam, len(searches)
    live = [(number * beam, each) for number, each in enumerate(searches)]
    state = model.start(source_ids, source_mask)
    if beam > 1:
        state = state.select(np.repeat(np.arange(sentences), beam))
    tokens = np.full(sentences * beam, config.start_id, np.int32)
    while live:
        scores, state = model.step(tokens, state)
        config.advance(live, Scores.of(scores), state.alignment if config.alignments else None)
        for first, each in live:
            tokens[first : first + beam] = each.tokens
        parents = parent_rows(live, beam, len(tokens)) if beam > 1 else None
        live = [(first, each) for first, each in live if not each.done]
        if live and parents is not None:
            state = state.select(parents)


def _checked_limits(max_length: Any, sentences: int) -> list[int]:
    limits = np.asarray(max_length)
    if limits.ndim > 1 or limits.dtype.kind not in "iu" or (limits.ndim and len(limits) != sentences):
        raise ArgumentError("max_length must be a whole number, or one whole number per sentence")
    if limits.size and limits.min() < 1:
        raise ArgumentError(f"max_length must be at least 1, not {limits.min()}")
    return limits.tolist() if limits.ndim else [limits.item()] * sentences


def check_options(*, beam: Any, n_best: Any, length_penalty: Any) -> None:
    """Check options that hold for every sentence.

    Raises:
        ArgumentError: names the option.
    """
    for name, value in (("beam", beam), ("n_best", n_best)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")
    if n_best > beam:
        raise ArgumentError(f"n_best is {n_best}, but a beam of {beam} finds only {beam}; increase beam")
    if isinstance(length_penalty, bool) or not isinstance(length_penalty, int | float | np.number):
        raise ArgumentError(f"length_penalty must be a number, not {length_penalty!r}")
    if not (math.isfinite(length_penalty) and length_penalty >= 0):
        raise ArgumentError(f"length_penalty must be a finite number of at least 0, not {length_penalty!r}")
