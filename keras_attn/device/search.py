"""Greedy and beam search over any model that can score the next token.

The search is written once, in NumPy, against two small protocols. What ships to a device therefore searches
with the very code that evaluates in training, and a difference between the two can only come from the scores.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from keras_attn.device.scores import Scores


class State(Protocol):
    """What a model remembers between two steps, one row per hypothesis."""

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
    they keep.
    """

    def start(self, source_ids: np.ndarray, source_mask: np.ndarray) -> Any:
        """Encode ``source_ids`` (B, S) int32 under ``source_mask`` (B, S) bool into a State of B rows."""
        ...

    def step(self, tokens: np.ndarray, state: Any) -> tuple[np.ndarray | Scores, Any]:
        """Feed ``tokens`` (R,) int32; return the next token's log-probabilities (R, V) and the State."""
        ...


@dataclass(frozen=True)
class Hypothesis:
    """One answer of the search.

    Attributes:
        ids: the produced tokens, without the start and the end token.
        score: ``log_prob / length ** length_penalty``, where the length counts the end token if there is one.
        log_prob: sum of the log-probabilities of the produced tokens, the end token included.
        finished: whether the end token was produced before the length limit.
        alignment: (len(ids), S) float32, the attention with which each id was produced, or None.
    """

    ids: list[int]
    score: float
    log_prob: float
    finished: bool
    alignment: np.ndarray | None = None


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
) -> list[list[Hypothesis]]:
    """Find the most probable target sequences of a batch of sentences.

    With ``beam=1`` this is greedy search. Otherwise each step looks at the best ``2 * beam`` continuations of
    a sentence: an end token among the first ``beam`` of them finishes that hypothesis, which is then set
    aside and never extended, and the best ``beam`` others live on. A sentence ends when ``beam`` hypotheses
    have finished or ``max_length`` is reached. Equal scores are decided by the lower row, then the lower
    token, so a result can be repeated, and no sentence influences another. The model always sees the same
    number of rows.

    Args:
        model: scores the next token.
        source_ids: (B, S) int32.
        source_mask: (B, S) bool, True where there is text.
        start_id: the token every target starts with.
        end_id: the token that ends a target.
        beam: hypotheses kept per sentence.
        max_length: the most tokens to produce, the end token counted; one number, or one per sentence.
        length_penalty: exponent of the length that divides a log-probability; 0 compares the sums themselves.
        n_best: hypotheses to return per sentence, at most ``beam``.
        alignments: whether to keep the model's attention.
        suppress: tokens that are never produced.
        force_end: whether what reaches ``max_length`` ends there, at no cost, and competes with the others.

    Returns:
        For each sentence at most ``n_best`` hypotheses, the best first. Unfinished ones stand behind the
        finished ones, and only if these are fewer than ``n_best``.

    Raises:
        ValueError: an argument is out of its range, or the model's scores are not numbers.
    """
    sentences = len(source_ids)
    limits = _checked_limits(max_length, sentences)
    check_options(beam=beam, n_best=n_best, length_penalty=length_penalty)
    if end_id in suppress:
        raise ValueError("suppress must not hold the end token, since no sentence could end")
    if not sentences:
        return []
    state = model.start(source_ids, source_mask)
    run = _Run(
        model, start_id, end_id, limits, float(length_penalty), alignments, frozenset(suppress), force_end
    )
    if beam == 1:
        return [[hypothesis] for hypothesis in _greedy(run, state)]
    return _beam(run, state, beam, n_best)


class _Run(NamedTuple):
    model: StepModel
    start_id: int
    end_id: int
    limits: list[int]  # per sentence
    length_penalty: float
    alignments: bool
    suppress: frozenset[int]
    force_end: bool

    def score(self, log_prob: float, length: int) -> float:
        return log_prob / length**self.length_penalty

    def at_limit(self, scores: Scores, step: int, beam: int) -> Scores:
        """Leave nothing but the end token to sentences whose last step this is, if they are to end."""
        if not self.force_end or step + 1 not in self.limits:
            return scores
        last = np.repeat(np.asarray(self.limits) == step + 1, beam)
        log_probs = np.where(last[:, None], np.float32(-np.inf), np.asarray(scores))
        log_probs[last, self.end_id] = 0.0
        return Scores(log_probs)


def _checked_limits(max_length: Any, sentences: int) -> list[int]:
    limits = np.asarray(max_length)
    if limits.ndim > 1 or limits.dtype.kind not in "iu" or (limits.ndim and len(limits) != sentences):
        raise ValueError("max_length must be a whole number, or one whole number per sentence")
    if limits.size and limits.min() < 1:
        raise ValueError(f"max_length must be at least 1, not {limits.min()}")
    return np.broadcast_to(limits, (sentences,)).tolist()


def check_options(*, beam: Any, n_best: Any, length_penalty: Any) -> None:
    """Check options that hold for every sentence.

    Raises:
        ValueError: names the option.
    """
    for name, value in (("beam", beam), ("n_best", n_best)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    if n_best > beam:
        raise ValueError(f"n_best is {n_best}, but a beam of {beam} keeps only {beam}; widen the beam")
    if isinstance(length_penalty, bool) or not isinstance(length_penalty, int | float | np.number):
        raise ValueError(f"length_penalty must be a number, not {length_penalty!r}")
    if not (math.isfinite(length_penalty) and length_penalty >= 0):
        raise ValueError(f"length_penalty must be a finite number of at least 0, not {length_penalty!r}")


def _not_numbers(step: int) -> ValueError:
    return ValueError(f"the model's scores at step {step} are not numbers (NaN)")


def _greedy(run: _Run, state: Any) -> list[Hypothesis]:
    model, end = run.model, run.end_id
    sentences = len(run.limits)
    tokens = np.full(sentences, run.start_id, np.int32)
    ids: list[list[int]] = [[] for _ in range(sentences)]
    attention: list[list[np.ndarray]] = [[] for _ in range(sentences)]
    log_probs = [0.0] * sentences
    finished = [False] * sentences
    live = list(range(sentences))
    step = 0
    while live:
        scores, state = model.step(tokens, state)
        scores = run.at_limit(Scores.of(scores), step, 1)
        best = scores.best(run.suppress)
        alignment = state.alignment if run.alignments else None
        still = []
        for row in live:
            token = best[row]
            score = scores.log_prob(row, token)
            if score != score:
                raise _not_numbers(step)
            log_probs[row] += score
            tokens[row] = token
            if token == end:
                finished[row] = True
                continue
            ids[row].append(token)
            if alignment is not None:
                attention[row].append(alignment[row].copy())
            if step + 1 < run.limits[row]:
                still.append(row)
            else:
                tokens[row] = end
        live = still
        step += 1
    return [
        Hypothesis(
            ids[row],
            run.score(log_probs[row], len(ids[row]) + finished[row]),
            log_probs[row],
            finished[row],
            _stacked(attention[row], state, run),
        )
        for row in range(sentences)
    ]


def _stacked(rows: list[np.ndarray], state: Any, run: _Run) -> np.ndarray | None:
    """Stack the attention of each produced token into (T, S); None where the model has none."""
    if not run.alignments or state.alignment is None:
        return None
    return np.stack(rows) if rows else np.zeros((0, state.alignment.shape[1]), np.float32)


@dataclass
class _History:
    """How every row came about: one entry per step and row, followed backwards to read a hypothesis."""

    tokens: list[list[int]]  # tokens[t][row] is the token produced at step t
    parents: list[list[int]]  # parents[t][row] is the row that produced it
    attention: list[np.ndarray | None]  # attention[t] is (R, S), of the rows before they were reordered

    def path(self, step: int, row: int) -> tuple[list[int], np.ndarray | None]:
        """Return the ids (and attention) of what ``row`` holds before ``step``."""
        ids: list[int] = []
        rows: list[np.ndarray] = []
        for t in range(step - 1, -1, -1):
            ids.append(self.tokens[t][row])
            row = self.parents[t][row]
            attention = self.attention[t]
            if attention is not None:
                rows.append(attention[row])
        ids.reverse()
        rows.reverse()
        first = self.attention[0]
        if first is None:
            return ids, None
        return ids, np.stack(rows) if rows else np.zeros((0, first.shape[1]), np.float32)


def _beam(run: _Run, state: Any, beam: int, n_best: int) -> list[list[Hypothesis]]:
    sentences = len(run.limits)
    rows = sentences * beam
    state = state.select(np.repeat(np.arange(sentences), beam))
    history = _History([], [], [])
    # All rows of a sentence are alike at first, so only the first one is alive; a dead row has -inf.
    totals = [0.0 if row % beam == 0 else -math.inf for row in range(rows)]
    tokens = np.full(rows, run.start_id, np.int32)
    identity = list(range(rows))
    found: list[list[Hypothesis]] = [[] for _ in range(sentences)]
    live = list(range(sentences))
    step = 0
    while live:
        scores, state = run.model.step(tokens, state)
        scores = run.at_limit(Scores.of(scores), step, beam)
        attention = state.alignment if run.alignments else None
        history.attention.append(None if attention is None else attention.copy())
        chosen = _extend(run, scores, totals, live, beam, step)
        totals = [-math.inf] * rows
        new_tokens, parents = [run.end_id] * rows, list(identity)
        still = []
        for sentence in live:
            ends, others = chosen[sentence]
            for parent, total in ends:
                found[sentence].append(_hypothesis(run, history, step, parent, total, finished=True))
            if len(found[sentence]) >= beam or not others:
                continue
            still.append(sentence)
            for row, (parent, token, total) in enumerate(others, start=sentence * beam):
                parents[row], new_tokens[row], totals[row] = parent, token, total
        history.tokens.append(new_tokens)
        history.parents.append(parents)
        step += 1
        live = [sentence for sentence in still if step < run.limits[sentence]]
        for sentence in set(still).difference(live):
            for row in range(sentence * beam, (sentence + 1) * beam):
                if totals[row] > -math.inf and len(found[sentence]) < n_best:
                    found[sentence].append(_hypothesis(run, history, step, row, totals[row], finished=False))
                totals[row] = -math.inf
        if live:
            tokens[:] = new_tokens
            if parents != identity:
                state = state.select(np.array(parents))
    return [_ranked(hypotheses)[:n_best] for hypotheses in found]


def _hypothesis(
    run: _Run, history: _History, step: int, row: int, total: float, finished: bool
) -> Hypothesis:
    """Read what ``row`` held before ``step``; a finished one has produced the end token at ``step``."""
    ids, alignment = history.path(step, row)
    return Hypothesis(ids, run.score(total, step + finished), total, finished, alignment)


def _ranked(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    """Best first, finished before unfinished; equal scores stay in the order in which they were found."""
    return sorted(hypotheses, key=lambda hypothesis: (not hypothesis.finished, -hypothesis.score))


def _extend(
    run: _Run, scores: Scores, totals: list[float], live: list[int], beam: int, step: int
) -> dict[int, tuple[list[tuple[int, float]], list[tuple[int, int, float]]]]:
    """Choose how each live sentence goes on.

    Args:
        run: the search's constants.
        scores: of the next token.
        totals: log-probability of each row so far, -inf for dead rows.
        live: the sentences to extend.
        beam: rows per sentence.
        step: number of this step, for the message when scores are NaN.

    Returns:
        For each live sentence the hypotheses that end, as (row, total), and those that go on, as
        (row, token, total), best first.
    """
    before, count = np.array(totals), 2 * beam + len(run.suppress)
    try:
        rows, tokens, log_probs = scores.candidates(before > -np.inf, count)
    except FloatingPointError:
        raise _not_numbers(step) from None
    sums = before[rows] + log_probs
    order = np.lexsort((tokens, rows, -sums))
    if len(live) == 1:
        order = order[:count]  # One sentence looks no further.
    chosen = {sentence: ([], []) for sentence in live}
    seen = dict.fromkeys(live, 0)
    for row, token, total in zip(
        rows[order].tolist(), tokens[order].tolist(), sums[order].tolist(), strict=True
    ):
        sentence = row // beam
        if seen[sentence] == 2 * beam or total == -math.inf or token in run.suppress:
            continue
        seen[sentence] += 1
        ends, others = chosen[sentence]
        if token == run.end_id:
            if seen[sentence] <= beam:
                ends.append((row, total))
        elif len(others) < beam:
            others.append((row, token, total))
    return chosen
