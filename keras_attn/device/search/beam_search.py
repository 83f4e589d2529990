"""The search for the target of one sentence, greedy or with a beam: what it keeps and how it advances.

``SearchConfig`` advances many of them at once; each sentence may be at a step of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from keras_attn.device.search.forbidden_tokens import forbidden_tokens
from keras_attn.device.search.token_scores import Scores
from keras_attn.errors import ArgumentError


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


@dataclass(frozen=True)
class SearchConfig:
    """The configuration of a search; see ``search`` for its arguments.

    Raises:
        ArgumentError: the end token is suppressed.
    """

    start_id: int
    end_id: int
    beam: int
    n_best: int
    length_penalty: float
    alignments: bool
    suppress: frozenset[int]
    force_end: bool
    renormalize: bool = False
    early_stopping: bool = True
    first_id: int | None = None
    min_length: int = 0
    no_repeat_ngram: int = 0

    def __post_init__(self):
        if self.end_id in self.suppress:
            raise ArgumentError(
                f"suppress holds the end token, {self.end_id}: no sentence could end; leave it out"
            )

    def begin(self, limit: int, source_tokens: int | None = None) -> Greedy | Beam:
        """Begin the search for a sentence's target.

        Args:
            limit: the most tokens of the target.
            source_tokens: columns of its attention that are kept; by default all.
        """
        return (Greedy if self.beam == 1 else Beam)(self, limit, source_tokens)

    def score(self, log_prob: float, length: int) -> float:
        """Return the score by which hypotheses are compared."""
        return log_prob / length**self.length_penalty

    @property
    def forbids(self) -> bool:
        """Whether what may be produced depends on what has been."""
        return self.min_length > 0 or self.no_repeat_ngram > 0

    def forbidden(self, ids: Sequence[int]) -> set[int]:
        """Return the tokens that must not follow the produced ``ids``."""
        return forbidden_tokens(ids, self.start_id, self.end_id, self.min_length, self.no_repeat_ngram)

    def advance(self, live: Sequence[tuple[int, Any]], scores: Scores, alignment: np.ndarray | None) -> None:
        """Advance sentences by a step, each by the scores of its own rows.

        Args:
            live: the first row of each sentence, ascending, and its search.
            scores: of the next token of all rows, (R, V).
            alignment: attention of all rows over the source, (R, S), or None.
        """
        scores = scores.without(self.suppress) if self.renormalize else scores
        if self.beam == 1:
            best = scores.best(self.suppress)
            for row, each in live:
                attention = None if alignment is None else alignment[row]
                token = best[row]
                if self.forbids and token in (forbidden := self.forbidden(each.ids)):
                    token = scores.best_without(row, {*self.suppress, *forbidden})
                each.advance(token, scores.log_prob(row, token), attention)
            return
        beam, count = self.beam, 2 * self.beam + len(self.suppress)
        forbidden = self._forbidden_in_rows(live) if self.forbids else {}
        most = max(map(len, forbidden.values()), default=0)
        totals = np.full(len(scores.logits), -math.inf)
        for first, each in live:
            totals[first : first + beam] = each.totals
        try:
            rows, tokens, log_probs = scores.candidates(totals > -math.inf, count + most)
        except FloatingPointError:
            raise _not_numbers(min(each.step for _, each in live)) from None
        for row, others in forbidden.items():
            log_probs = np.where((rows == row) & np.isin(tokens, list(others)), -math.inf, log_probs)
        firsts = [first for first, _ in live]
        best = _best_of_each(rows, tokens, totals[rows] + log_probs, firsts, count)
        for (first, each), candidates in zip(live, best, strict=True):
            attention = None if alignment is None else alignment[first : first + beam]
            each.advance(candidates, attention)

    def _forbidden_in_rows(self, live: Sequence[tuple[int, Any]]) -> dict[int, set[int]]:
        """Return the tokens that must not follow, for each row that is alive and has such."""
        found = {
            first + row: self.forbidden(each.ids_of(row))
            for first, each in live
            for row, total in enumerate(each.totals)
            if total > -math.inf
        }
        return {row: tokens for row, tokens in found.items() if tokens}


def parent_rows(live: Sequence[tuple[int, Any]], beam: int, rows: int) -> np.ndarray | None:
    """Return the row that each of R rows continues, (R,) int; None if all continue their own.

    Args:
        live: the first row of each sentence, and its search, whose ``parents`` are read.
        beam: rows of a sentence that are in use.
        rows: R.
    """
    own = list(range(rows))
    parents = own.copy()
    for first, each in live:
        parents[first : first + beam] = [first + row for row in each.parents]
    return None if parents == own else np.array(parents)


def _best_of_each(
    rows: np.ndarray, tokens: np.ndarray, totals: np.ndarray, firsts: Sequence[int], count: int
) -> list[list[tuple[int, int, float]]]:
    """Find the best ``count`` candidates of each sentence.

    Args:
        rows: (C,) int, ascending.
        tokens: (C,) int.
        totals: (C,) float64; equal ones are decided by the lower row, then the lower token.
        firsts: first row of each sentence, ascending.
        count: number of candidates per sentence.

    Returns:
        For each sentence row, counted from its first one, token and total, the best first.
    """
    if len(firsts) == 1:  # as mostly on a device, and it takes half the time
        kept, origins, bounds = np.lexsort((tokens, rows, -totals))[:count], firsts[0], [0, count]
    else:
        starts, numbers = np.array(firsts), np.arange(len(firsts))
        sentences = starts.searchsorted(rows, "right") - 1
        order = np.lexsort((-totals, sentences))
        ranked = totals[order]
        if (ranked[1:] == ranked[:-1]).any():  # seldom, and every key takes as long as the others
            order = np.lexsort((tokens, rows, -totals, sentences))
        # Sorted by sentence, candidates are as far from where it begins as they are from its best.
        kept = order[np.arange(len(rows)) - sentences.searchsorted(numbers)[sentences] < count]
        origins = starts[sentences[kept]]
        bounds = [*sentences[kept].searchsorted(numbers).tolist(), len(kept)]
    # Lists: for the few numbers of each sentence that remain, NumPy takes longer than Python.
    found = list(
        zip((rows[kept] - origins).tolist(), tokens[kept].tolist(), totals[kept].tolist(), strict=True)
    )
    return [found[begin:end] for begin, end in itertools.pairwise(bounds)]


def _not_numbers(step: int) -> ValueError:
    return ValueError(f"the model's scores at step {step} are not numbers (NaN)")


class Greedy:
    """Greedy search for the target of one sentence.

    Attributes:
        tokens: what the next step is fed, one token.
        parents: the row that each row continues: its own.
        ids: the tokens produced so far.
        done: whether the sentence has ended.
    """

    parents = (0,)

    def __init__(self, config: SearchConfig, limit: int, source_tokens: int | None):
        self._config, self._limit, self._source_tokens = config, limit, source_tokens
        self.ids: list[int] = []
        self._attention: list[np.ndarray] = []
        self._width: int | None = None
        self._log_prob = 0.0
        self._finished = self.done = False
        self.tokens = config.start_id

    @property
    def step(self) -> int:
        """Number of the next step."""
        return len(self.ids)

    def advance(self, token: int, log_prob: float, attention: np.ndarray | None) -> None:
        """Take the best token; ``attention`` (S,) is what its row attended to."""
        config, last = self._config, self.step + 1 == self._limit
        if self.step == 0 and config.first_id is not None:
            token, log_prob = config.first_id, 0.0
        if last and config.force_end:
            token, log_prob = config.end_id, 0.0
        if log_prob != log_prob:
            raise _not_numbers(self.step)
        if attention is not None:
            attention = attention[: self._source_tokens].copy()
            self._width = len(attention)
        self._log_prob += log_prob
        self._finished = token == config.end_id
        if not self._finished:
            self.ids.append(token)
            if attention is not None:
                self._attention.append(attention)
        self.done = self._finished or last
        self.tokens = config.end_id if self.done else token

    def hypotheses(self) -> list[Hypothesis]:
        """Return the one answer."""
        score = self._config.score(self._log_prob, self.step + self._finished)
        attention = None if self._width is None else _stacked(self._attention, self._width)
        return [Hypothesis(self.ids, score, self._log_prob, self._finished, attention)]


@dataclass
class _History:
    """The history of every row: one entry per step and row, followed backwards to read a hypothesis."""

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
        return ids, _stacked(rows, first.shape[1])


def _stacked(rows: list[np.ndarray], width: int) -> np.ndarray:
    """Stack the attention of each produced token, (T, S)."""
    return np.stack(rows) if rows else np.zeros((0, width), np.float32)


class _Found(NamedTuple):
    """A hypothesis that has ended, of which the history knows the tokens.

    Attributes:
        score: by which it is compared.
        log_prob: sum of its log-probabilities.
        finished: whether it produced the end token, which is at ``step``.
        step: number of tokens without it.
        row: its row before that step.
    """

    score: float
    log_prob: float
    finished: bool
    step: int
    row: int


class Beam:
    """Beam search for the target of one sentence.

    Attributes:
        tokens: what the next step is fed, one token per row.
        parents: the row that each row continues.
        totals: of each row, the sum of its log-probabilities; -inf where nothing continues.
        step: number of the next step.
        done: whether the sentence has ended.
    """

    def __init__(self, config: SearchConfig, limit: int, source_tokens: int | None):
        self._config, self._limit, self._source_tokens = config, limit, source_tokens
        self._history = _History([], [], [])
        self._found: list[_Found] = []
        # All rows are alike at first, so only the first one is alive.
        self.totals = [0.0, *[-math.inf] * (config.beam - 1)]
        self.tokens = [config.start_id] * config.beam
        self.parents = list(range(config.beam))
        self.step = 0
        self.done = False

    def advance(self, candidates: Sequence[tuple[int, int, float]], attention: np.ndarray | None) -> None:
        """Choose among candidates.

        Args:
            candidates: row, token and the sum of log-probabilities up to it, the best first; with
                the best tokens of every row that is alive.
            attention: (B, S), what each row attended to, or None.
        """
        config, beam = self._config, self._config.beam
        last = self.step + 1 == self._limit
        if self.step == 0 and config.first_id is not None:
            candidates = [(0, config.first_id, self.totals[0])]
        if last and config.force_end:
            ends = sorted(enumerate(self.totals), key=lambda end: -end[1])
            candidates = [(row, config.end_id, total) for row, total in ends]
        self._history.attention.append(
            None if attention is None else attention[:, : self._source_tokens].copy()
        )
        ends, others = self._choose(candidates)
        self._found += [self._ended(row, total, finished=True) for row, total in ends]
        self._found = sorted(self._found, key=lambda each: -each.score)[:beam]
        self.totals = [-math.inf] * beam
        self.tokens, self.parents = [config.end_id] * beam, list(range(beam))
        settled = len(self._found) == beam and not (others and self._may_improve(others[0][2]))
        self.done = last or settled or not others
        if not settled:
            for row, (parent, token, total) in enumerate(others):
                self.parents[row], self.tokens[row], self.totals[row] = parent, token, total
        self._history.tokens.append(self.tokens)
        self._history.parents.append(self.parents)
        self.step += 1
        if self.done:
            alive = [(row, total) for row, total in enumerate(self.totals) if total > -math.inf]
            # Where unfinished ones compete, they do as ends do: among the best `beam` candidates.
            most = max(0, config.n_best - len(self._found)) if config.early_stopping else beam - len(ends)
            self._found += [self._ended(row, total, finished=False) for row, total in alive[:most]]
            self.totals = [-math.inf] * beam

    def _may_improve(self, total: float) -> bool:
        """Return whether a hypothesis of this sum, were it to end now, is better than the worst finished."""
        config = self._config
        return not config.early_stopping and config.score(total, self.step + 1) > self._found[-1].score

    def _choose(
        self, candidates: Sequence[tuple[int, int, float]]
    ) -> tuple[list[tuple[int, float]], list[tuple[int, int, float]]]:
        """Return what ends, as (row, total), and what continues, as (row, token, total), best first."""
        config, beam = self._config, self._config.beam
        ends: list[tuple[int, float]] = []
        others: list[tuple[int, int, float]] = []
        seen = 0
        for candidate in candidates:
            row, token, total = candidate
            if seen == 2 * beam or total == -math.inf or (seen >= beam and len(others) == beam):
                break
            if token in config.suppress:
                continue
            seen += 1
            if token == config.end_id:
                if seen <= beam:
                    ends.append((row, total))
            elif len(others) < beam:
                others.append(candidate)
        return ends, others

    def _ended(self, row: int, total: float, finished: bool) -> _Found:
        """Describe what ``row`` held before this step; a finished one has produced the end token at it."""
        score = self._config.score(total, self.step + finished)
        return _Found(score, total, finished, self.step, row)

    def ids_of(self, row: int) -> list[int]:
        """Return the tokens that a row has produced so far."""
        return self._history.path(self.step, row)[0] if self.step else []

    def hypotheses(self) -> list[Hypothesis]:
        """Return the best answers, of equal scores the one found first; the finished ones before others,
        unless these compete: see ``search``.
        """
        apart = self._config.early_stopping
        ranked = sorted(self._found, key=lambda each: (apart and not each.finished, -each.score))
        best = []
        for each in ranked[: self._config.n_best]:
            ids, attention = self._history.path(each.step, each.row)
            best.append(Hypothesis(ids, each.score, each.log_prob, each.finished, attention))
        return best
