"""Texts to ids as Keras' `TextVectorization` has them: words, characters or n-grams, cut and padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tokenizers

from keras_attn.device.errors import InputError
from keras_attn.device.preprocessing.bags import DROPPED
from keras_attn.device.preprocessing.fields import field, is_integer, is_size, list_of, optional
from keras_attn.device.preprocessing.lookups import shown, texts_of
from keras_attn.device.text.tokenizer_check import reading

_NOT_UNICODE = "The text is not valid Unicode: it holds a lone surrogate."
_SEPARATOR = " "


@dataclass(frozen=True)
class TextVectors:
    """A tokenizer with what a file of its kind has no place for.

    Attributes:
        tokenizer: standardizes a text, splits it and knows the ids of words and n-grams.
        length: ids of every text, cut or padded to it; `None` for those of the longest.
        padding: the id behind a text's last: 0, or ``DROPPED`` where vectors are made of the ids.
        unknown: the id of what the vocabulary lacks.
        widths: numbers of words in an n-gram, in the order in which a text's n-grams are listed; `None` where
            each word has an id.
        split: whether a text is split; otherwise it is one word.
    """

    tokenizer: tokenizers.Tokenizer
    length: int | None = None
    padding: int = 0
    unknown: int = 1
    widths: tuple[int, ...] | None = None
    split: bool = True

    def ids(self, texts: Any) -> np.ndarray:
        """Return the ids, (B, length) int32, of the texts of B examples, (B,) or (B, N).

        Raises:
            InputError: a value is not a text, or not valid Unicode.
        """
        given = texts_of(texts)
        rows = [
            self._row(row.tolist()) for row in given.reshape(len(given), given.size // max(1, len(given)))
        ]
        length = max(map(len, rows), default=0) if self.length is None else self.length
        ids = np.full((len(rows), length), self.padding, np.int32)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row[:length]
        return ids

    def _row(self, texts: Sequence[str]) -> list[int]:
        try:
            with reading("the tokenizer fails on this text"):
                if self.widths is None:
                    return [number for text in texts for number in self._word_ids(text)]
                return self._ngram_ids([word for text in texts for word in self._words(text)])
        except (UnicodeEncodeError, TypeError):
            raise InputError(_NOT_UNICODE) from None

    def _word_ids(self, text: str) -> list[int]:
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        # A text that is not split is a word, even where nothing is left of it.
        return ids if ids or self.split else [self.padding]

    def _words(self, text: str) -> list[str]:
        normalizer, splitter = self.tokenizer.normalizer, self.tokenizer.pre_tokenizer
        if normalizer is not None:
            text = normalizer.normalize_str(text)
        if splitter is None:
            return [text]
        return [word for word, _ in splitter.pre_tokenize_str(text)]

    def _ngram_ids(self, words: Sequence[str]) -> list[int]:
        joined = (
            _SEPARATOR.join(words[begin : begin + width])
            for width in self.widths or ()
            for begin in range(len(words) - width + 1)
        )
        return [self._id(ngram) for ngram in joined]

    def _id(self, ngram: str) -> int:
        if not ngram:
            return self.padding
        found = self.tokenizer.token_to_id(ngram)
        return self.unknown if found is None else found

    def to_json(self) -> dict[str, Any]:
        """Return all but the tokenizer as plain values."""
        widths = None if self.widths is None else list(self.widths)
        return {
            "kind": "text",
            "length": self.length,
            "padding": self.padding,
            "unknown": self.unknown,
            "widths": widths,
            "split": self.split,
        }

    @classmethod
    def from_json(cls, described: Mapping[str, Any], tokenizer: tokenizers.Tokenizer) -> TextVectors:
        """Read what ``to_json`` returned.

        Raises:
            BundleError: a field is missing or damaged.
        """
        widths = field(described, "widths", optional(list_of(lambda value: is_size(value) and value > 0)))
        return cls(
            tokenizer,
            field(described, "length", optional(is_size)),
            field(described, "padding", lambda value: is_integer(value) and value in (0, DROPPED)),
            field(described, "unknown", is_size),
            None if widths is None else tuple(widths),
            field(described, "split", lambda value: isinstance(value, bool)),
        )


def check_shape(name: str, values: np.ndarray, shape: Sequence[int | None]) -> np.ndarray:
    """Return the values of an input as (B, *shape); an axis of 1 may be left out or be too many.

    Raises:
        InputError: the shape is another.
    """
    if not values.ndim:
        raise InputError(
            f"Input {name!r} is {shown(values.item())}: give a list with a value for each example."
        )
    if values.ndim == len(shape) and list(shape[-1:]) == [1]:
        values = values[..., None]
    elif values.ndim == len(shape) + 2 and values.shape[-1] == 1:
        values = values[..., 0]
    found = values.shape[1:]
    if len(found) != len(shape) or any(
        size not in (None, have) for size, have in zip(shape, found, strict=True)
    ):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"Input {name!r} has the shape {found} an example, and the model takes ({wanted}).")
    return values
