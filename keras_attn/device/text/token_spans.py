"""Where in a text its tokens stand, and long texts in windows that a model can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tokenizers

from keras_attn.device.errors import TextTooLong


@dataclass(frozen=True)
class TokenSpans:
    """The tokens of the last text that was encoded, and what stands before and after them.

    Attributes:
        before: ids in front of the text's: a special token, and a first text if there is one.
        ids: of the text.
        after: ids behind the text's.
        offsets: first character of each token in the text and the one behind its last, as indices of a str.
        words: number of the word of each token.
    """

    before: list[int]
    ids: list[int]
    after: list[int]
    offsets: list[tuple[int, int]]
    words: list[int]

    @classmethod
    def of(cls, encoding: tokenizers.Encoding, sequence: int = 0) -> TokenSpans:
        """Read them from an encoding of one text (``sequence`` 0), or of two (1 for the second)."""
        inside = [i for i, each in enumerate(encoding.sequence_ids) if each == sequence]
        first, behind = (inside[0], inside[-1] + 1) if inside else (len(encoding), len(encoding))
        words = encoding.word_ids[first:behind]
        return cls(
            encoding.ids[:first],
            encoding.ids[first:behind],
            encoding.ids[behind:],
            [(start, end) for start, end in encoding.offsets[first:behind]],
            [-1 if word is None else word for word in words],
        )

    def windows(self, limit: int, overlap: int) -> Iterator[Window]:
        """Yield windows of at most ``limit`` tokens, special ones counted, that overlap by ``overlap``.

        A text that fits is one window.

        Raises:
            TextTooLong: what stands around the text leaves no room for it.
        """
        around = len(self.before) + len(self.after)
        room = limit - around
        if len(self.ids) <= room:
            yield Window(0, len(self.ids), self._with(self.ids), len(self.before))
            return
        if room <= overlap or room < 1:
            raise TextTooLong(around + overlap + 1, limit)
        for first in range(0, len(self.ids), room - overlap):
            some = self.ids[first : first + room]
            yield Window(first, first + len(some), self._with(some), len(self.before))
            if first + len(some) == len(self.ids):
                return

    def _with(self, ids: Sequence[int]) -> list[int]:
        return [*self.before, *ids, *self.after]

    def characters(self, first: int, last: int, text: str) -> tuple[int, int]:
        """Return the span of characters from a token to another, without white space around it."""
        start, end = self.offsets[first][0], self.offsets[last][1]
        part = text[start:end]
        stripped = part.strip()
        if not stripped:
            return start, end
        start += len(part) - len(part.lstrip())
        return start, start + len(stripped)


@dataclass(frozen=True)
class Window:
    """A part of a text's tokens.

    Attributes:
        first, behind: its tokens among those of the text.
        ids: what the model reads, with what stands around the text.
        offset: index in ``ids`` of the first of its tokens.
    """

    first: int
    behind: int
    ids: list[int]
    offset: int
