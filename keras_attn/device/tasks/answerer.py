"""Answers to questions, as spans of a text: the answerer and its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from keras_attn.device.errors import InputError
from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.tasks.encoder_task import EncoderTask
from keras_attn.device.tasks.result_views import html_table, shortened
from keras_attn.device.text.token_spans import TokenSpans, Window
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.errors import ArgumentError, ArgumentTypeError

WINDOW, OVERLAP = 384, 128
"""Most tokens of a window of question and context, and tokens of the context that two windows share."""
LONGEST = 15
"""Most tokens of an answer."""


class AnswerSpan(NamedTuple):
    """A span of the context.

    Attributes:
        text: the span itself; empty where there is no answer.
        start: index of its first character in the context, a str.
        end: index behind its last character.
        score: probability of its start times that of its end.
    """

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Answer:
    """The answers to a question, the best first; it unpacks as the best one's text, start, end and score.

    Attributes:
        input: the question.
        context: the text in which the answer is.
        outputs: the answers.
        no_answer: the probability that the context has none.
    """

    input: str
    context: str
    outputs: list[AnswerSpan]
    no_answer: float

    @property
    def text(self) -> str:
        """The best answer's text."""
        return self.outputs[0].text

    @property
    def start(self) -> int:
        """Index of its first character in the context."""
        return self.outputs[0].start

    @property
    def end(self) -> int:
        """Index behind its last character."""
        return self.outputs[0].end

    @property
    def score(self) -> float:
        """Its score."""
        return self.outputs[0].score

    def __iter__(self) -> Iterator[Any]:
        return iter(self.outputs[0])

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Answer({shortened(self.input)}, text={self.text!r}, score={self.score:.3f})"

    def _repr_html_(self) -> str:
        rows = ((o.text, str(o.start), str(o.end), f"{o.score:.3f}") for o in self.outputs)
        return html_table(self.input, ("answer", "start", "end", "score"), rows)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        outputs = [each._asdict() for each in self.outputs]
        return {"input": self.input, "context": self.context, "outputs": outputs}


class Answerer(EncoderTask):
    """Finds the answers to questions in a text of any length.

    Args:
        encoder: computes log-probabilities of the T positions of question and context, (2, T): to be the
            answer's start, and its end.
        tokenizer: the model's tokenizer.
    """

    def __init__(self, encoder: Encoder, tokenizer: EncoderTokenizer):
        super().__init__(encoder, tokenizer)

    def answer(
        self, question: str | Sequence[str], context: str, *, top: int = 1, no_answer: bool = False
    ) -> Any:
        """Answer one question, or each of a list, by a span of a text.

        A long context is read in windows of at most 384 tokens, of which two share 128; in each a softmax
        over the positions makes probabilities, as transformers' pipelines do.

        Args:
            question: one question, or several.
            context: the text in which the answer is, of any length.
            top: the most answers.
            no_answer: whether there may be none: then an empty one, at 0, stands among the answers with the
                least of the windows' probabilities of the first token, which means that.

        Returns:
            An `Answer`, or a list of them.

        Raises:
            InputError: a question or the context is empty or not valid Unicode.
            TextTooLong: a question leaves no room for the context.
            ArgumentTypeError: a text is not a string.
            ArgumentError: ``top`` is below 1.
        """
        if isinstance(top, bool) or not isinstance(top, int) or top < 1:
            raise ArgumentError(f"top must be a whole number of at least 1, not {top!r}")
        if not isinstance(context, str):
            raise ArgumentTypeError(f"context must be a string, not {type(context).__name__}")
        return self.answer_each(question, lambda one: self._answer(one, context, top, no_answer))

    def _answer(self, question: str, context: str, top: int, no_answer: bool) -> Answer:
        for name, text in (("question", question), ("context", context)):
            if not isinstance(text, str):
                raise ArgumentTypeError(f"{name} must be a string, not {type(text).__name__}")
            if not text.strip():
                raise InputError(f"The {name} is empty.")
        spans = self.tokenizer.spans(question, context, 1)
        if not spans.ids:
            raise InputError("The context has no tokens.")
        limit = min(self.encoder.max_tokens, WINDOW)
        found: dict[tuple[int, int], float] = {}
        null = 1.0
        for window in spans.windows(limit, min(limit // 2, OVERLAP)):
            start, end = self._probabilities(window)
            null = min(null, float(start[0] * end[0]))
            for first, last, score in best_spans(start[1:], end[1:], top):
                place = _whole_words(spans, window, window.first + first, window.first + last)
                found[place] = max(score, found.get(place, 0.0))
        outputs = []
        for (first, last), score in found.items():
            begin, behind = spans.characters(first, last, context)
            outputs.append(AnswerSpan(context[begin:behind], begin, behind, score))
        if no_answer:
            outputs.append(AnswerSpan("", 0, 0, null))
        outputs.sort(key=lambda each: -each.score)
        return Answer(question, context, outputs[:top], null)

    def _probabilities(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities of the first token, then of the context's, as start and as end: (1 + T,).

        The softmax is over these: question and special tokens cannot be an answer.
        """
        scores = self.encoder.run(window.ids).astype(np.float64)
        behind = window.offset + window.behind - window.first
        some = np.concatenate([scores[:, :1], scores[:, window.offset : behind]], axis=1)
        some = np.exp(some - some.max(axis=1, keepdims=True))
        start, end = some / some.sum(axis=1, keepdims=True)
        return start, end


def best_spans(
    start: np.ndarray, end: np.ndarray, top: int, longest: int = LONGEST
) -> list[tuple[int, int, float]]:
    """Return the best spans, with the products of their probabilities.

    Args:
        start: (T,) probabilities of the positions to be the first.
        end: (T,) those to be the last.
        top: the most spans.
        longest: most tokens of a span.
    """
    firsts = np.arange(len(start))[:, None]
    lasts = firsts + np.arange(longest)[None]  # (T, longest)
    scores = np.where(lasts < len(end), start[:, None] * end[np.minimum(lasts, len(end) - 1)], -1.0)
    best = np.argsort(-scores, axis=None, kind="stable")[:top]
    found = [(int(i // longest), int(i // longest + i % longest), float(scores.flat[i])) for i in best]
    return [each for each in found if each[2] >= 0]


def _whole_words(spans: TokenSpans, window: Window, first: int, last: int) -> tuple[int, int]:
    """Return a span of tokens with all tokens of its first and of its last word that are in the window."""
    words = spans.words
    while first > window.first and words[first] >= 0 and words[first - 1] == words[first]:
        first -= 1
    while last + 1 < window.behind and words[last] >= 0 and words[last + 1] == words[last]:
        last += 1
    return first, last
