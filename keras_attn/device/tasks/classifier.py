"""Classification of texts: the classifier and its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.tasks.encoder_task import EncoderTask
from keras_attn.device.tasks.result_views import html_table, shortened
from keras_attn.device.text.tokenizer import EncoderTokenizer


@dataclass(frozen=True)
class Label:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """The labels of a text, or of two, the most probable first; ``str()`` is that one."""

    input: str
    outputs: list[Label]
    pair: str | None = None

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.outputs[0].label

    @property
    def score(self) -> float:
        """Its probability."""
        return self.outputs[0].score

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        pair = "" if self.pair is None else f"pair={shortened(self.pair)}, "
        return f"Classification({shortened(self.input)}, {pair}label={self.label!r}, score={self.score:.3f})"

    def _repr_html_(self) -> str:
        caption = self.input if self.pair is None else f"{self.input} / {self.pair}"
        return html_table(caption, ("label", "score"), ((o.label, f"{o.score:.3f}") for o in self.outputs))

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        pair = {} if self.pair is None else {"pair": self.pair}
        return {"input": self.input, **pair, "outputs": [dict(vars(output)) for output in self.outputs]}


class Classifier(EncoderTask):
    """Finds labels for texts.

    Args:
        encoder: computes log-probabilities of the labels.
        tokenizer: the model's tokenizer.
        labels: their names.
    """

    def __init__(self, encoder: Encoder, tokenizer: EncoderTokenizer, labels: Sequence[str]):
        super().__init__(encoder, tokenizer)
        self.labels = list(labels)

    @overload
    def classify(self, text: str, *, pair: str | None = None, truncate: bool = False) -> Classification: ...

    @overload
    def classify(
        self, text: Sequence[str], *, pair: str | None = None, truncate: bool = False
    ) -> list[Classification]: ...

    def classify(
        self, text: str | Sequence[str], *, pair: str | None = None, truncate: bool = False
    ) -> Classification | list[Classification]:
        """Classify one text, or each of a list, with or without a second text after it.

        Args:
            text: one text, or several.
            pair: the second text, such as the one that may follow.
            truncate: whether to read only the beginning of a text that is too long; otherwise it raises.

        Raises:
            TextTooLong: a text has more tokens than the model takes.
            InputError: a text is not valid Unicode, or a pair is given to a model of single texts.
            ArgumentTypeError: a text is not a string.
        """

        def answer(one: str) -> Classification:
            scores = np.exp(self.encoder.run(self.ids(one, truncate, pair)))
            order = np.argsort(-scores, kind="stable")
            return Classification(one, [Label(self.labels[i], float(scores[i])) for i in order], pair)

        return self.answer_each(text, answer)
