"""Strings or whole numbers to ids by a vocabulary: Keras' `StringLookup` and `IntegerLookup`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError, InputError, one_line
from keras_attn.device.preprocessing.bags import DROPPED
from keras_attn.device.preprocessing.fields import field, is_integer, is_size, is_text, list_of, optional

Word = str | int
_SHOWN = 60


@dataclass(frozen=True)
class Lookup:
    """A vocabulary of strings or of whole numbers.

    Attributes:
        words: the vocabulary, without the mask and what stands for unknown values.
        strings: whether the words are strings; whole numbers otherwise.
        mask: the value that stands for a missing one; `None` for none.
        mask_id: the id of ``mask``: 0, or ``DROPPED`` where no vector has a place for it.
        unknown: ids for unknown values: 0, where they are refused; 1; more for numbers, by remainder.
    """

    words: tuple[Word, ...]
    strings: bool
    mask: Word | None = None
    mask_id: int = 0
    unknown: int = 1

    def __post_init__(self) -> None:
        first = self.first_unknown + self.unknown
        table = {word: first + place for place, word in enumerate(self.words)}
        if self.mask is not None:
            table[self.mask] = self.mask_id
        object.__setattr__(self, "_table", table)

    @property
    def first_unknown(self) -> int:
        """The smallest id of an unknown value."""
        return 1 if self.mask is not None and self.mask_id == 0 else 0

    def ids(self, values: Any) -> np.ndarray:
        """Return the ids, int32, of an array of values of any shape.

        Raises:
            InputError: a value is not a string, not a whole number, or unknown where that is refused.
        """
        given = texts_of(values) if self.strings else _numbers_of(values)
        flat = given.ravel().tolist()
        ids = [self._id(value) for value in flat]
        return np.array(ids, np.int32).reshape(given.shape)

    def _id(self, value: Word) -> int:
        found = self._table.get(value)  # type: ignore[attr-defined]
        if found is not None:
            return found
        if not self.unknown:
            raise InputError(f"The model does not know {shown(value)}; it knows {self._examples()}.")
        return self.first_unknown + (value % self.unknown if isinstance(value, int) else 0)

    def _examples(self) -> str:
        some = ", ".join(shown(word) for word in self.words[:5])
        more = len(self.words) - 5
        return f"{some} and {more} more" if more > 0 else some

    def to_json(self) -> dict[str, Any]:
        """Return the lookup as plain values."""
        return {
            "kind": "lookup",
            "strings": self.strings,
            "words": list(self.words),
            "mask": self.mask,
            "mask_id": self.mask_id,
            "unknown": self.unknown,
        }

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Lookup:
        """Read what ``to_json`` returned.

        Raises:
            BundleError: a field is missing or damaged.
        """
        strings = field(described, "strings", lambda value: isinstance(value, bool))
        is_word = is_text if strings else is_integer
        lookup = cls(
            tuple(field(described, "words", list_of(is_word))),
            strings,
            field(described, "mask", optional(is_word)),
            field(described, "mask_id", lambda value: is_integer(value) and value in (0, DROPPED)),
            field(described, "unknown", is_size),
        )
        if (strings and lookup.unknown > 1) or len(set(lookup.words)) < len(lookup.words):
            raise BundleError("the manifest's preprocessing is damaged at 'words'; copy the bundle again.")
        return lookup


def texts_of(values: Any) -> np.ndarray:
    """Return an array of strings, of the dtype object; bytes are read as UTF-8.

    Raises:
        InputError: a value is not a string.
    """
    # An array of the dtype str loses NUL characters at the end of its strings.
    given = values if isinstance(values, np.ndarray) else np.array(values, object)
    texts = [_text(value) for value in given.ravel().tolist()]
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(given.shape)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InputError(f"The text {shown(value)} is not UTF-8.") from None
    if not isinstance(value, str):
        raise InputError(f"The model takes texts, and {shown(value)} is not one.")
    return value


def _numbers_of(values: Any) -> np.ndarray:
    given = np.asarray(values)
    if given.dtype == object:  # as a proof's are
        given = np.array(given.tolist())
    if given.dtype.kind == "f" and np.isfinite(given).all() and (given == np.trunc(given)).all():
        given = given.astype(np.int64)
    if given.dtype.kind not in "iub":
        raise InputError(
            f"The model takes whole numbers, not {one_line(given.dtype)} such as {_first(given)}."
        )
    return given.astype(np.int64)


def _first(given: np.ndarray) -> str:
    return shown(given.ravel().tolist()[0]) if given.size else "none"


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
