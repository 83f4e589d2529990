"""A metric in points on held-out texts: what a file may lose of the Keras model's."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from keras_attn.device.proof.checks import Check
from keras_attn.device.runtime.encoder import Encoder
from keras_attn_export.proof.decoder_checks import ENOUGH_SENTENCES


class PointsMetric:
    """What metrics of encoders share; a subclass says how texts are answered and what answers are worth.

    Args:
        keras: the Keras model.
        texts: the held-out texts, in the form that `_answers` reads.
        what: the metric's name.
        limit: points that may be lost.
    """

    def __init__(self, keras: Encoder, texts: Sequence[Any], what: str, limit: float) -> None:
        self.texts = texts
        self._keras, self._what, self._limit = keras, what, limit
        self.enough = len(texts) >= ENOUGH_SENTENCES

    @functools.cached_property
    def tokens(self) -> int:
        """Tokens of all texts."""
        raise NotImplementedError

    def _answers(self, encoder: Encoder) -> tuple[Any, list[float]]:
        """Return the answers to all texts, and the milliseconds that each took."""
        raise NotImplementedError

    def _points(self, answers: Any) -> float:
        """Return what answers are worth."""
        raise NotImplementedError

    @functools.cached_property
    def keras_points(self) -> float:
        """Points of the Keras model."""
        return self._points(self._keras_answers)

    @functools.cached_property
    def _keras_answers(self) -> Any:
        return self._answers(self._keras)[0]

    def score(self, encoder: Encoder) -> tuple[float, list[float]]:
        """Return the points of an encoder, and the milliseconds that each text took."""
        answers, milliseconds = self._answers(encoder)
        return self._points(answers), milliseconds

    def holds(self, points: float) -> bool:
        """Return whether the loss of points is accepted."""
        return self.keras_points - points <= self._limit or not self.enough

    def check(self, points: Mapping[str, float]) -> Check:
        """Compare the points of the last kind of file with the Keras model's."""
        last = list(points)[-1]
        found, loss = {"Keras": self.keras_points, **points}, self.keras_points - points[last]
        detail = f"{self._what}: " + ", ".join(f"{kind} {value:.2f}" for kind, value in found.items())
        detail += f" on {len(self.texts)} texts"
        if not self.enough:
            detail += f" (fewer than {ENOUGH_SENTENCES}: not compared with the {self._limit} points accepted)"
        figures = {**found, "loss": loss, "accepted": self._limit}
        return Check("metric", self.holds(points[last]), detail, figures)
