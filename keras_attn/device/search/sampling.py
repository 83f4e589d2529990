"""Sampling: drawing the next token, and so a text, over any step model.

Temperature divides the scores, then the ``top_k`` most likely tokens are kept, then the fewest of them that
hold ``top_p`` of the probability mass (nucleus sampling: Holtzman et al., 2020, arXiv:1904.09751), in this
order, as elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.search.search import StepModel, exclusive
from keras_attn.errors import ArgumentError


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen.

    Attributes:
        temperature: scores are divided by it before drawing; 0 takes the most likely token.
        top_k: sample from the k most likely tokens; None for all.
        top_p: nucleus sampling, from the smallest set of tokens with this probability mass; None for all.

    Raises:
        ArgumentError: names the option that is out of its range.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self):
        if not _is_number(self.temperature) or not (
            math.isfinite(self.temperature) and self.temperature >= 0
        ):
            raise ArgumentError(
                f"temperature must be a finite number of at least 0, not {self.temperature!r}"
            )
        if self.top_k is not None and (not _is_whole(self.top_k) or self.top_k < 1):
            raise ArgumentError(f"top_k must be a whole number of at least 1, not {self.top_k!r}")
        if self.top_p is not None and (not _is_number(self.top_p) or not 0 < self.top_p <= 1):
            raise ArgumentError(f"top_p must be above 0 and at most 1, not {self.top_p!r}")
        if self.temperature == 0 and (self.top_k, self.top_p) != (None, None):
            raise ArgumentError("top_k and top_p apply to sampling: give a temperature above 0 as well")

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return the probability with which each token is drawn, (V,) float64.

        Args:
            scores: (V,) log-probabilities; -inf for tokens that must not be drawn.
        """
        if self.temperature == 0:
            chosen = np.zeros(len(scores))
            chosen[int(scores.argmax())] = 1.0
            return chosen
        scaled = scores.astype(np.float64) / self.temperature
        if self.top_k is not None and self.top_k < len(scaled):
            least = np.partition(scaled, -self.top_k)[-self.top_k]
            scaled = np.where(scaled < least, -np.inf, scaled)
        probabilities = np.exp(scaled - scaled.max())
        probabilities /= probabilities.sum()
        if self.top_p is not None and self.top_p < 1:
            order = np.argsort(-probabilities, kind="stable")
            # A token stays while those before it have not reached top_p: at least the first.
            before = np.cumsum(probabilities[order]) - probabilities[order]
            probabilities[order[before >= self.top_p]] = 0.0
            probabilities /= probabilities.sum()
        return probabilities

    def choose(self, scores: np.ndarray, rng: np.random.Generator) -> int:
        """Choose a token by its scores (V,)."""
        if self.temperature == 0:
            return int(scores.argmax())
        return int(rng.choice(len(scores), p=self.probabilities(scores)))


def continue_prompt(
    model: StepModel,
    prompt: np.ndarray,
    mask: np.ndarray,
    *,
    start_id: int,
    end_id: int,
    max_length: int,
    sampling: Sampling,
    rng: np.random.Generator,
    suppress: Collection[int] = (),
    first_id: int | None = None,
    forbidden: Callable[[Sequence[int]], Collection[int]] | None = None,
) -> Iterator[tuple[int, float]]:
    """Yield the tokens that follow a prompt, the end token included if it comes.

    The model's lock is held while it computes a token, and free in between.

    Args:
        model: scores the next token.
        prompt: (1, S) int32.
        mask: (1, S) bool, True where there is text.
        start_id: what the first step is fed; a language model takes the prompt's last token instead.
        end_id: the token that ends a text.
        max_length: the most tokens, the end token counted.
        sampling: how they are chosen.
        rng: decides what is drawn.
        suppress: tokens that are never produced.
        first_id: the token that the text begins with, whatever its score.
        forbidden: given what has been produced, returns tokens that must not follow.

    Yields:
        A token and its log-probability by the model, before temperature.

    Raises:
        ArgumentError: the model's scores are not numbers.
    """
    state: Any = None
    token, never, produced = start_id, list(suppress), list[int]()
    for step in range(max_length):
        with exclusive(model):
            if state is None:
                state = model.start(prompt, mask)
            scores, state = model.step(np.array([token], np.int32), state)
            row = np.array(scores[0])
        if np.isnan(row).any():
            raise ArgumentError(f"the model's scores at step {step} are not numbers (NaN)")
        row[never] = -np.inf
        if forbidden is not None:
            row[list(forbidden(produced))] = -np.inf
        token = sampling.choose(row, rng) if step or first_id is None else first_id
        produced.append(token)
        yield token, float(row[token])
        if token == end_id:
            return


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
