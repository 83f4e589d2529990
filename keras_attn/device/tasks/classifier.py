"""Classification of texts: the classifier and its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from keras_attn.device.errors import InputError
from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.tasks.encoder_task import EncoderTask
from keras_attn.device.tasks.result_views import html_table, shortened
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.errors import ArgumentError, ArgumentTypeError

_LIKELY = 0.5
HYPOTHESIS = "This example is {}."
"""What is asked of each candidate, as transformers' zero-shot pipeline does."""
_ENTAILS, _CONTRADICTS = "entail", "contradict"


@dataclass(frozen=True)
class Label:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """The labels of a text, or of two, the most probable first; ``str()`` is that one.

    Attributes:
        input: the text.
        outputs: all labels with their probabilities.
        pair: the second text, if there is one.
        several: whether a text may have several labels or none, so that the probabilities are not shares.
    """

    input: str
    outputs: list[Label]
    pair: str | None = None
    several: bool = False

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.outputs[0].label

    @property
    def score(self) -> float:
        """Its probability."""
        return self.outputs[0].score

    @property
    def labels(self) -> list[str]:
        """The most probable label or, of a text that may have several, those of more than one half."""
        return [each.label for each in self.outputs if each.score > _LIKELY] if self.several else [self.label]

    def __str__(self) -> str:
        return ", ".join(self.labels)

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
        encoder: computes log-probabilities of the labels, or their logits.
        tokenizer: the model's tokenizer.
        labels: their names.
        multi_label: whether a text may have several labels or none, each with a probability of its own.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: EncoderTokenizer,
        labels: Sequence[str],
        multi_label: bool = False,
    ):
        super().__init__(encoder, tokenizer)
        self.labels = list(labels)
        self.multi_label = multi_label

    @overload
    def classify(
        self,
        text: str,
        *,
        pair: str | None = None,
        truncate: bool = False,
        candidates: Sequence[str] | None = None,
        hypothesis: str = HYPOTHESIS,
        several: bool = False,
    ) -> Classification: ...

    @overload
    def classify(
        self,
        text: Sequence[str],
        *,
        pair: str | None = None,
        truncate: bool = False,
        candidates: Sequence[str] | None = None,
        hypothesis: str = HYPOTHESIS,
        several: bool = False,
    ) -> list[Classification]: ...

    def classify(
        self,
        text: str | Sequence[str],
        *,
        pair: str | None = None,
        truncate: bool = False,
        candidates: Sequence[str] | None = None,
        hypothesis: str = HYPOTHESIS,
        several: bool = False,
    ) -> Classification | list[Classification]:
        """Classify one text, or each of a list, with or without a second text after it.

        Args:
            text: one text, or several.
            pair: the second text, such as the one that may follow.
            truncate: whether to read only the beginning of a text that is too long; otherwise it raises.
            candidates: labels of your own, among which a model of natural language inference chooses (Yin et
                al., 2019, arXiv:1909.00161): for each it reads whether the text entails the ``hypothesis``.
            hypothesis: a sentence with ``{}`` for the candidate.
            several: whether a text may have several of the candidates or none.

        Raises:
            TextTooLong: a text has more tokens than the model takes.
            InputError: a text is not valid Unicode, a pair is given to a model of single texts, or candidates
                to one that knows no entailment.
            ArgumentTypeError: a text or a candidate is not a string.
            ArgumentError: there are no candidates or two are equal, ``hypothesis`` has no ``{}``, or
                ``hypothesis`` and ``several`` are given without candidates.
        """
        if candidates is not None:
            asked = self._hypotheses(candidates, hypothesis, pair)
            return self.answer_each(text, lambda one: self._chosen(one, asked, several, truncate))
        if several or hypothesis != HYPOTHESIS:
            raise ArgumentError("hypothesis and several are for candidates: give these, or leave them out")

        def answer(one: str) -> Classification:
            scores = self.encoder.run(self.ids(one, truncate, pair))
            scores = np.exp(scores if self.multi_label else _log_softmax(scores))
            return Classification(one, _sorted(self.labels, scores), pair, self.multi_label)

        return self.answer_each(text, answer)

    def _hypotheses(self, candidates: Sequence[str], hypothesis: str, pair: str | None) -> dict[str, str]:
        """Return the hypothesis of each candidate."""
        if isinstance(candidates, str) or not all(isinstance(each, str) for each in candidates):
            raise ArgumentTypeError("candidates must be a list of strings")
        names = list(candidates)
        if not names or len(set(names)) < len(names):
            raise ArgumentError(f"candidates must be one or more different labels, not {names}")
        if hypothesis.count("{}") != 1:
            raise ArgumentError(f"hypothesis must have one {{}} for the candidate, not {hypothesis!r}")
        if pair is not None:
            raise ArgumentError("pair: with candidates the second text is their hypothesis; leave it out")
        if entailment(self.labels) is None or self.multi_label:
            raise InputError(
                "Only a model of natural language inference chooses among candidates, and this one has no "
                f"label for entailment: {', '.join(self.labels)}."
            )
        return {name: hypothesis.replace("{}", name) for name in names}

    def _chosen(self, text: str, asked: Mapping[str, str], several: bool, truncate: bool) -> Classification:
        """Choose among candidates: by a softmax over their logits of entailment or, if there may be several,
        for each over its own logits of contradiction and entailment."""
        ids = [self.first_cut(text, each, truncate) for each in asked.values()]
        logits = np.stack([self.encoder.run(each) for each in ids]).astype(np.float64)  # (N, C)
        entails = entailment(self.labels)
        assert entails is not None
        if several or len(ids) == 1:
            against = _starting_with(self.labels, _CONTRADICTS)
            if against is None:
                against = -1 if entails == 0 else 0
            scores = np.exp(_log_softmax(logits[:, [against, entails]])[:, -1])
        else:
            scores = np.exp(_log_softmax(logits[:, entails]))
        return Classification(text, _sorted(list(asked), scores), None, several)


def entailment(labels: Sequence[str]) -> int | None:
    """Return the number of the label for a text that entails the next one; None if there is none."""
    return _starting_with(labels, _ENTAILS)


def _sorted(labels: Sequence[str], scores: np.ndarray) -> list[Label]:
    return [Label(labels[int(i)], float(scores[i])) for i in np.argsort(-scores, kind="stable")]


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log-probabilities (..., C); those that are given remain what they are."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _starting_with(labels: Sequence[str], start: str) -> int | None:
    return next((i for i, label in enumerate(labels) if label.lower().startswith(start)), None)
