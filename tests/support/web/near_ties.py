"""Where a search decided against another hypothesis, and by how little.

Two runtimes whose scores differ in the last digits may find different translations. Whether that is all is
seen from the margin: in the search of one of them, the difference of log-probabilities by which the other's
hypothesis was let go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.search.search import StepModel
from keras_attn.device.search.token_scores import Scores

Prefix = tuple[int, ...]


class WatchedStepModel:
    """A step model that remembers what a search of one sentence kept at each step.

    Args:
        model: the step model that is searched.

    Attributes:
        kept: for each step, the log-probability of each prefix that was continued.
        scores: for each step, (V,) float32 for each of these prefixes.
    """

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self.kept: list[dict[Prefix, float]] = []
        self.scores: list[dict[Prefix, np.ndarray]] = []

    def start(self, source_ids: np.ndarray, source_mask: np.ndarray) -> _State:
        """Encode one sentence."""
        return _State(self._model.start(source_ids, source_mask), [()])

    def step(self, tokens: np.ndarray, state: _State) -> tuple[np.ndarray | Scores, _State]:
        """Remember the prefixes, and score their continuations."""
        scores, inner = self._model.step(tokens, state.inner)
        prefixes = [(*row, int(token)) for row, token in zip(state.prefixes, tokens, strict=True)]
        log_probs = np.array(scores)  # (R, V): the model may use its buffer again
        self.kept.append({prefix: self.log_prob(prefix) for prefix in prefixes})
        self.scores.append(dict(zip(prefixes, log_probs, strict=True)))
        return scores, _State(inner, prefixes)

    def log_prob(self, prefix: Prefix) -> float:
        """Return the log-probability of a prefix whose own beginning was kept; starting costs nothing."""
        length = len(prefix) - 1
        if length == 0:
            return 0.0
        return self.kept[length - 1][prefix[:-1]] + float(self.scores[length - 1][prefix[:-1]][prefix[-1]])


@dataclass(frozen=True)
class _State:
    inner: Any
    prefixes: list[Prefix]

    @property
    def alignment(self) -> np.ndarray | None:
        return self.inner.alignment

    def select(self, rows: np.ndarray) -> _State:
        return _State(self.inner.select(rows), [self.prefixes[row] for row in rows])


def margin(
    watched: WatchedStepModel, hypothesis: Sequence[int], found: float, length_penalty: float
) -> float:
    """Return by how much a search decided against a hypothesis.

    Args:
        watched: the step model, after its search.
        hypothesis: tokens from the start token to the end token; what lies beyond the search's last step does
            not count.
        found: the score of what the search returned.
        length_penalty: of the search.

    Returns:
        The worst log-probability that was kept less that of the hypothesis, at the step that dropped it; if
        none did, the difference of the scores at the end.
    """
    for step, kept in enumerate(watched.kept):
        prefix = tuple(hypothesis[: step + 1])
        if len(prefix) <= step:
            break
        if prefix not in kept:
            gap = min(kept.values()) - watched.log_prob(prefix)
            if gap > 0:
                return gap
            break  # It was set aside, for it ended among the best.
    whole = tuple(hypothesis[: len(watched.kept) + 1])
    return found - watched.log_prob(whole) / (len(whole) - 1) ** length_penalty
