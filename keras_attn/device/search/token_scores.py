"""Scores of the next token: of the whole vocabulary, and the best tokens where the model computes them.

A bundle's step returns logits with one normalizer per row instead of log-probabilities, and for beams the
best tokens of each row: a search then reads a few numbers, not the vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

# Columns per block when a row of scores is searched for its best tokens; see ``_dense_candidates``.
_BLOCK = 64


class Scores:
    """Scores of the next token of R rows, valid until the model's next step.

    As an array (``np.asarray(scores)``, ``scores[row]``) it is the log-probabilities, (R, V) float32.

    Args:
        logits: (R, V) float32.
        normalizer: (R, 1) float32, what is subtracted from logits to make log-probabilities; None where they
            are log-probabilities already.
        top_tokens: (R, K) int32, the best tokens of each row, or None if the model does not compute them.
        top_logits: (R, K) float32, their logits, descending.
    """

    def __init__(
        self,
        logits: np.ndarray,
        normalizer: np.ndarray | None = None,
        top_tokens: np.ndarray | None = None,
        top_logits: np.ndarray | None = None,
    ):
        self.logits = logits
        self.normalizer = normalizer
        self.top_tokens = top_tokens
        self.top_logits = top_logits

    @classmethod
    def of(cls, scores: Any) -> Scores:
        """Return log-probabilities (R, V) as Scores; Scores are returned as they are."""
        return scores if isinstance(scores, Scores) else cls(np.asarray(scores))

    def first(self, rows: int) -> Scores:
        """Return the scores of only the first rows."""
        others = (self.normalizer, self.top_tokens, self.top_logits)
        return Scores(self.logits[:rows], *(None if part is None else part[:rows] for part in others))

    def without(self, tokens: Collection[int]) -> Scores:
        """Return the scores scaled so that the probabilities of all tokens but these add up to 1."""
        others = self.logits.copy()
        others[:, list(tokens)] = -np.inf
        largest = others.max(axis=1, keepdims=True)
        normalizer = largest + np.log(np.exp(others - largest).sum(axis=1, keepdims=True))
        return Scores(self.logits, normalizer, self.top_tokens, self.top_logits)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        log_probs = self.logits if self.normalizer is None else self.logits - self.normalizer
        # NumPy 1 knows no copy=None.
        return np.asarray(log_probs, dtype) if copy is None else np.array(log_probs, dtype, copy=copy)

    def __getitem__(self, index: Any) -> Any:
        return np.asarray(self)[index]

    def log_prob(self, row: int, token: int) -> float:
        """Return the log-probability of one token."""
        logit = self.logits.item(row, token)
        return logit if self.normalizer is None else logit - self.normalizer.item(row, 0)

    def best(self, suppress: Collection[int]) -> list[int]:
        """Return each row's best token, passing over the suppressed ones; NaN counts as the best."""
        best = self.logits.argmax(axis=1).tolist()
        for row, token in enumerate(best):
            if token in suppress:  # rare, so the row is copied only now
                best[row] = self.best_without(row, suppress)
        return best

    def best_without(self, row: int, suppress: Collection[int]) -> int:
        """Return the best token of a row that is not suppressed."""
        allowed = self.logits[row].copy()
        allowed[list(suppress)] = -np.inf
        return int(allowed.argmax())

    def candidates(self, live: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find, in each live row, tokens that hold the best ``count`` ones.

        Args:
            live: (R,) bool, rows to look at.
            count: number of best tokens wanted per row.

        Returns:
            Rows and tokens, (C,) int, ordered by row, and the log-probabilities (C,) float32.

        Raises:
            FloatingPointError: a score of a live row is NaN.
        """
        if self.top_tokens is None or self.top_logits is None or self.top_tokens.shape[1] < count:
            rows, tokens = _dense_candidates(self.logits, live, count)
            logits = self.logits[rows, tokens]
        else:
            (alive,) = live.nonzero()
            rows = alive.repeat(count)
            # Whole rows first: choosing rows and columns at once takes NumPy twice as long.
            tokens = self.top_tokens[alive][:, :count].ravel()
            logits = self.top_logits[alive][:, :count].ravel()
            if np.isnan(logits).any():
                raise FloatingPointError
        return rows, tokens, logits if self.normalizer is None else logits - self.normalizer[rows, 0]


def _dense_candidates(scores: np.ndarray, live: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Find, in each live row, a few tokens that surely hold the best ``count`` ones, all ties included.

    The ``count``-th best of the maxima of disjoint blocks is never better than the ``count``-th best score,
    so whatever reaches it is enough. This reads the scores twice and sorts nothing of the vocabulary's size.

    Args:
        scores: (R, V) float32.
        live: (R,) bool, rows to look at.
        count: number of best tokens wanted per row.

    Returns:
        Rows and tokens, both (C,) int, ordered by row and then by token.

    Raises:
        FloatingPointError: a score of a live row is NaN.
    """
    vocabulary = scores.shape[1]
    block = min(_BLOCK, vocabulary // count)
    if block <= 1:
        threshold = np.full(len(scores), -np.inf, scores.dtype)
        known = scores
    else:
        blocks = vocabulary // block
        known = scores[:, : blocks * block].reshape(len(scores), block, blocks).max(axis=1)  # (R, blocks)
        threshold = np.partition(known, blocks - count, axis=1)[:, blocks - count]
    if np.isnan(known[live]).any():
        raise FloatingPointError
    threshold[~live] = np.inf
    # Ten times faster than a two-dimensional nonzero.
    rows, tokens = np.divmod(np.flatnonzero(scores >= threshold[:, None]), vocabulary)
    return rows, tokens
