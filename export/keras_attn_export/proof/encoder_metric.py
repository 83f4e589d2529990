"""The metric of encoders on held-out texts: accuracy, hidden words found, or neighbours equal to Keras'."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_attn.device.runtime.encoder import Encoder
from keras_attn.sources.source import EncoderSource
from keras_attn_export.proof.points_metric import PointsMetric
from keras_attn_export.proof.references import spread

_WHAT = {
    "classification": "accuracy, %",
    "embedding": "nearest neighbours equal to Keras', %",
    "masked-lm": "hidden words found, %",
}


class EncoderMetric(PointsMetric):
    """The task's metric, in points.

    Args:
        source: the encoder that is exported.
        keras: the Keras model.
        encoded: tokens of held-out texts.
        labels: of each text, for a classifier, or a list of them where it may have several; without any its
            answers are compared with the Keras model's.
        count: the most texts to use.
        limit: points that may be lost.
        seed: random seed of the words that are hidden.
    """

    def __init__(
        self,
        source: EncoderSource,
        keras: Encoder,
        encoded: Sequence[list[int]],
        labels: Sequence[Any],
        count: int,
        limit: float,
        seed: int,
    ) -> None:
        chosen = spread(range(len(encoded)), count)
        texts, self._task = [encoded[i] for i in chosen], source.task
        self.positions, self._right = [0] * len(chosen), np.zeros(0)
        if source.task == "masked-lm":
            words, rng = texts, np.random.default_rng(seed)
            texts, self.positions = hidden_words(words, source.special_ids["mask"], rng)
            self._right = np.array([text[i] for text, i in zip(words, self.positions, strict=True)])
        self._several = bool(source.config.get("multi_label"))
        if source.task == "classification" and labels:
            names = source.config["labels"]
            right: list[Any] = [labels[i] for i in chosen]
            if self._several:
                self._right = np.array([[name in _as_list(each) for name in names] for each in right])
            else:
                self._right = np.array([names.index(each) for each in right])
        self._labelled = source.task != "classification" or bool(labels)
        shown = "micro F1 of labels, %" if self._several else _WHAT[self._task]
        what = shown if self._labelled else "answers equal to Keras', %"
        super().__init__(keras, texts, what, limit)

    @functools.cached_property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(map(len, self.texts))

    def _answers(self, encoder: Encoder) -> tuple[np.ndarray, list[float]]:
        """Return the vector of each text, or its best answer, and the milliseconds that each took."""
        found, milliseconds = [], []
        for ids, position in zip(self.texts, self.positions, strict=True):
            clock = time.perf_counter()
            result = encoder.run(ids, position)
            milliseconds.append(1000 * (time.perf_counter() - clock))
            if self._several:
                result = result > np.log(0.5)
            elif self._task != "embedding":
                result = result.argmax()
            found.append(result)
        return np.stack(found), milliseconds

    def _points(self, answers: np.ndarray) -> float:
        if self._task == "embedding":
            return 100 * float(np.mean(_nearest(self._keras_answers) == _nearest(answers)))
        if self._several:
            return 100 * _micro_f1(self._right if self._labelled else self._keras_answers, answers)
        if not self._labelled:
            return 100 * float(np.mean(self._keras_answers == answers))
        return 100 * float(np.mean(answers == self._right))


def hidden_words(
    texts: Sequence[Sequence[int]], mask_id: int, rng: np.random.Generator
) -> tuple[list[list[int]], list[int]]:
    """Replace one word of each text, not the first or last token, by the mask."""
    hidden, positions = [], []
    for text in texts:
        position = int(rng.integers(1, max(2, len(text) - 1)))
        hidden.append([*text[:position], mask_id, *text[position + 1 :]])
        positions.append(position)
    return hidden, positions


def _as_list(labels: str | Sequence[str]) -> Sequence[str]:
    return [labels] if isinstance(labels, str) else labels


def _micro_f1(right: np.ndarray, found: np.ndarray) -> float:
    """Return the F1 of labels (N, C), bool, over all texts."""
    total = right.sum() + found.sum()
    return float(2 * (right & found).sum() / total) if total else 1.0


def _nearest(vectors: np.ndarray) -> np.ndarray:
    """Return for each vector the index of the other with the largest cosine."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines.argmax(1)
