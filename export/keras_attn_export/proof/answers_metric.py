"""The metric of models that find spans or give scores: what the device's task answers to held-out texts."""

from __future__ import annotations

import functools
import time
from typing import Any

from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.tasks.encoder_factory import make_task
from keras_attn.scores.answers import answer_f1
from keras_attn.scores.order import same_order
from keras_attn.scores.spans import span_f1
from keras_attn.sources.examples import Text
from keras_attn.sources.source import EncoderSource
from keras_attn_export.proof.points_metric import PointsMetric
from keras_attn_export.proof.references import spread

ANSWERS = ("token-classification", "question-answering", "scoring")
_WHAT = {
    "token-classification": "F1 of spans, %",
    "question-answering": "F1 of the answers' words, %",
    "scoring": "pairs of texts in the right order, %",
}


class AnswersMetric(PointsMetric):
    """The task's metric, in points: spans and answers are compared, not scores.

    Args:
        source: the encoder that is exported, with held-out texts and what is right for them; without that its
            answers are compared with the Keras model's.
        keras: the Keras model.
        count: the most texts to use.
        limit: points that may be lost.
    """

    def __init__(self, source: EncoderSource, keras: Encoder, count: int, limit: float) -> None:
        chosen: list[int] = spread(range(len(source.texts)), count)
        self._right = [source.references[i] for i in chosen] if source.references else None
        self._source = source
        what = _WHAT[source.task] + ("" if self._right else ", by Keras' answers")
        super().__init__(keras, [source.texts[i] for i in chosen], what, limit)

    @functools.cached_property
    def tokens(self) -> int:
        """Tokens of all texts."""
        encode = self._source.tokenizer.encode
        return sum(len(encode(*([text] if isinstance(text, str) else text))) for text in self.texts)

    def _answers(self, encoder: Encoder) -> tuple[list[Any], list[float]]:
        source = self._source
        labels = source.config.get("labels")
        task = make_task(source.task, encoder, source.tokenizer, labels, source.config)
        found, milliseconds = [], []
        for text in self.texts:
            clock = time.perf_counter()
            found.append(_answer(task, text))
            milliseconds.append(1000 * (time.perf_counter() - clock))
        return found, milliseconds

    def _points(self, answers: list[Any]) -> float:
        right = self._keras_answers if self._right is None else self._right
        if self._source.task == "token-classification":
            return 100 * span_f1(right, answers)
        if self._source.task == "question-answering":
            return 100 * answer_f1([[each] if isinstance(each, str) else each for each in right], answers)
        return 100 * same_order(right, answers)


def _answer(task: Any, text: Text) -> Any:
    """Return what is compared: spans (start, end, label), an answer's text, or a score."""
    if hasattr(task, "entities"):
        return [(each.start, each.end, each.label) for each in task.entities(text)]
    if hasattr(task, "answer"):
        return task.answer(*text).text
    first, second = (text, None) if isinstance(text, str) else text
    return float(task.score(first, second, truncate=True))
