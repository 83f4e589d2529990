"""Spans of texts with labels, such as names, places and amounts: the recognizer and its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import numpy as np

from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.tasks.encoder_task import EncoderTask
from keras_attn.device.tasks.label_scheme import STRATEGIES, find_spans, read_scheme
from keras_attn.device.tasks.result_views import html_table, shortened
from keras_attn.device.text.token_spans import TokenSpans
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.errors import ArgumentError

_OVERLAP = 4
"""A window shares this part of its tokens, a fourth, with the next one."""
_SHOWN = 5  # entities in a repr


class Entity(NamedTuple):
    """A labelled span of a text.

    Attributes:
        label: its kind, such as ``PER``.
        text: the span itself.
        start: index of its first character in the text, a str.
        end: index behind its last character.
        score: mean probability of its tokens' labels.
    """

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Entities(Sequence[Entity]):
    """The labelled spans of a text, in their order; a sequence of them."""

    input: str
    outputs: list[Entity]

    def __len__(self) -> int:
        return len(self.outputs)

    def __getitem__(self, index: Any) -> Any:
        return self.outputs[index]

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.outputs)

    def __str__(self) -> str:
        return ", ".join(f"{each.text} ({each.label})" for each in self.outputs)

    def __repr__(self) -> str:
        some = ", ".join(f"{each.label} {each.text!r}" for each in self.outputs[:_SHOWN])
        more = ", …" if len(self.outputs) > _SHOWN else ""
        return f"Entities({shortened(self.input)}, [{some}{more}])"

    def _repr_html_(self) -> str:
        rows = ((e.label, e.text, str(e.start), str(e.end), f"{e.score:.3f}") for e in self.outputs)
        return html_table(self.input, ("label", "text", "start", "end", "score"), rows)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {"input": self.input, "outputs": [each._asdict() for each in self.outputs]}


class EntityRecognizer(EncoderTask):
    """Finds labelled spans in texts of any length.

    A text that is longer than the model takes is read in windows, which overlap by a fourth; each token is
    labelled in the window where it stands farther from the end.

    Args:
        encoder: computes log-probabilities of the labels, (T, C) of a text of T tokens.
        tokenizer: the model's tokenizer.
        labels: their names, in the scheme BIO, BIOES, BILOU or IO; others are kinds of spans.
        strategy: how a word gets its label by default: see ``entities``.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: EncoderTokenizer,
        labels: Sequence[str],
        strategy: str = "simple",
    ):
        super().__init__(encoder, tokenizer)
        self.strategy = strategy
        self.labels = list(labels)
        self._tags = read_scheme(self.labels)

    @overload
    def entities(self, text: str, *, strategy: str | None = None) -> Entities: ...

    @overload
    def entities(self, text: Sequence[str], *, strategy: str | None = None) -> list[Entities]: ...

    def entities(
        self, text: str | Sequence[str], *, strategy: str | None = None
    ) -> Entities | list[Entities]:
        """Find the labelled spans of one text, or of each of a list.

        Args:
            text: one text, or several, of any length.
            strategy: ``"simple"`` joins tokens by their labels. The others give a word one label: that of its
                ``"first"`` token, the best of the ``"average"`` of its tokens, or that of the token with the
                ``"max"`` probability. They are those of transformers' pipelines. By default the model's,
                which is ``"simple"`` unless it was trained for another one.

        Raises:
            InputError: a text is not valid Unicode.
            ArgumentTypeError: a text is not a string.
            ArgumentError: there is no such strategy.
        """
        chosen = self.strategy if strategy is None else strategy
        if chosen not in STRATEGIES:
            raise ArgumentError(f"strategy must be one of {', '.join(STRATEGIES)}, not {chosen!r}")
        return self.answer_each(text, lambda one: self._find(one, chosen))

    def _find(self, text: str, strategy: str) -> Entities:
        self.check(text)
        spans = self.tokenizer.spans(text)
        if not spans.ids:
            return Entities(text, [])
        found = []
        words = self.tokenizer.words(text, spans)
        for span in find_spans(self.probabilities(spans), self._tags, words, strategy):
            start, end = spans.characters(span.first, span.last, text)
            found.append(Entity(span.kind, text[start:end], start, end, span.score))
        return Entities(text, found)

    def probabilities(self, spans: TokenSpans) -> np.ndarray:
        """Compute the probabilities of each token's labels, (T, C) float64."""
        limit = self.encoder.max_tokens
        room = limit - len(spans.before) - len(spans.after)
        windows = list(spans.windows(limit, room // _OVERLAP))
        found = np.zeros((len(spans.ids), len(self.labels)))
        begin = 0
        for window, following in zip(windows, [*windows[1:], None], strict=True):
            # In the middle of what two windows share, the farther end changes.
            stop = window.behind if following is None else (following.first + window.behind) // 2
            scores = self.encoder.run(window.ids)
            first = window.offset + begin - window.first
            found[begin:stop] = np.exp(scores[first : first + stop - begin].astype(np.float64))
            begin = stop
        return found
