"""Drawing the next token, and the text that grows from it, over any step model.

Temperature divides the scores, then the ``top_k`` best tokens stay, then the fewest that hold ``top_p`` of
the probability (nucleus sampling: Holtzman et al., 2020, arXiv:1904.09751), in this order, as elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.search.search import StepModel, alone
from keras_attn.errors import ArgumentError


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen.

    Attributes:
        temperature: 0 takes the most probable token; above, scores are divided by it before drawing.
        top_k: draw from so many most probable tokens only; None for all.
        top_p: draw from the fewest most probable tokens whose probabilities reach this; None for all.

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
            raise ArgumentError(
                "top_k and top_p choose what is drawn from: give a temperature above 0 as well"
            )

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return the probability with which each token is drawn, (V,) float64.

        Args:
            scores: (V,) log-probabilities; -inf for tokens that must not be.
        """
        if self.temperature == 0:
            chosen = np.zeros(len(scores))
            chosen[int(scores.argmax())] = 1.0
            return chosen
        scaled = scores.astype(np.float64) / self.temperature
        if self.top_k is not None and self.top_k < len(scaled):
            least = np.partition(scaled, -self.top_k)[-self.top_k]
            scaled = np.where(scaled < least, -np.inf, scaled)
        shares = np.exp(scaled - scaled.max())
        shares /= shares.sum()
        if self.top_p is not None and self.top_p < 1:
            order = np.argsort(-shares, kind="stable")
            # A token stays while those before it have not reached top_p: at least the first.
            before = np.cumsum(shares[order]) - shares[order]
            shares[order[before >= self.top_p]] = 0.0
            shares /= shares.sum()
        return shares

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
) -> Iterator[tuple[int, float]]:
    """Yield token by token what follows a prompt, the end token included if it comes.

    The model is held while it computes a token, and free for others in between.

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

    Yields:
        A token and its log-probability by the model, whatever the temperature.

    Raises:
        ArgumentError: the model's scores are not numbers.
    """
    state: Any = None
    token, forbidden = start_id, list(suppress)
    for step in range(max_length):
        with alone(model):
            if state is None:
                state = model.start(prompt, mask)
            scores, state = model.step(np.array([token], np.int32), state)
            row = np.array(scores[0])
        if np.isnan(row).any():
            raise ArgumentError(f"the model's scores at step {step} are not numbers (NaN)")
        row[forbidden] = -np.inf
        token = sampling.choose(row, rng)
        yield token, float(row[token])
        if token == end_id:
            return


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
