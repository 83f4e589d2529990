"""Text to token ids and back, and long text into parts that a model can take."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import tokenizers

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.text.token_spans import TokenSpans
from keras_attn.device.text.tokenizer_check import checked_ids, open_tokenizer, reading
from keras_attn.device.text.truncation import beginning, ending

if TYPE_CHECKING:
    from typing import Self

Element = TypeVar("Element")

SPECIAL_ROLES = ("pad", "start", "end", "unknown")

_FAILED = "the tokenizer fails on this text"
_WORD_MARK = "▁"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")
_SPECIAL_PIECES = {"pad": "<pad>", "start": "<s>", "end": "</s>", "unknown": "<unk>"}


class Tokenizer:
    """A ``tokenizers.Tokenizer`` together with the ids of its special tokens.

    Attributes:
        target: the tokenizer of targets; this one, where both sides share it.

    Args:
        tokenizer: the tokenizer itself. A special token written out in a text is read as text.
        special_ids: the ids of ``pad``, ``start``, ``end`` and ``unknown``.

    Raises:
        BundleError: a special id is missing or is not in the vocabulary.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, special_ids: Mapping[str, int]):
        for role in SPECIAL_ROLES:
            if role not in special_ids:
                raise BundleError(f"special_ids lacks {role!r}; it needs {', '.join(SPECIAL_ROLES)}")
            if tokenizer.id_to_token(special_ids[role]) is None:
                raise BundleError(
                    f"special_ids names {special_ids[role]} as {role!r}, which is not in the vocabulary"
                )
        # This option is not part of the file: without it a written "<eos>" would end the sentence.
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.special_ids = dict(special_ids)
        self.target: Tokenizer = self
        self._special_pieces = {special_ids[role]: piece for role, piece in _SPECIAL_PIECES.items()}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_encode_special_tokens": self.tokenizer.encode_special_tokens}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.tokenizer.encode_special_tokens = vars(self).pop("_encode_special_tokens")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], special_ids: Mapping[str, int]) -> Self:
        """Read a ``tokenizer.json``.

        Raises:
            BundleError: the file is missing or is not a tokenizer.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(f"{path} cannot be read as a tokenizer: {error}") from None
        return cls.from_json(text, special_ids, name=str(path))

    @classmethod
    def from_json(
        cls, text: str, special_ids: Mapping[str, int], name: str = "tokenizer.json", **options: bool
    ) -> Self:
        """Read the text of a ``tokenizer.json``; ``name`` is its name in errors.

        Raises:
            BundleError: the text is not a tokenizer.
        """
        tokenizer = open_tokenizer(text, name)
        with reading(f"{name} is a tokenizer that fails"):
            return cls(tokenizer, special_ids, **options)

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text``, followed by the end token.

        Raises:
            InputError: the text holds a lone surrogate (half a character).
        """
        try:
            with reading(_FAILED):
                ids = checked_ids(self.tokenizer.encode(text, add_special_tokens=False).ids)
        except (UnicodeEncodeError, TypeError):
            raise InputError("The text is not valid Unicode: it holds a lone surrogate.") from None
        return [*ids, self.special_ids["end"]]

    def beginning(self, text: str, limit: int) -> str:
        """Return the beginning of ``text`` with its first ``limit`` tokens; all of it if it is not long.

        A text that is shortened has more than ``limit`` tokens.

        Raises:
            InputError: the text holds a lone surrogate (half a character).
        """
        return beginning(text, limit, self.encode)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``; special tokens are left out, and broken UTF-8 becomes U+FFFD."""
        with reading(_FAILED):
            return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def token(self, token_id: int) -> str:
        """Return the vocabulary's name of an id, or ``<id>`` where it has none."""
        token = self.tokenizer.id_to_token(token_id)
        # A space before a token marks one that no text is split into.
        return f"<{token_id}>" if token is None else token.removeprefix(" ")

    def prefix(self, text: str) -> str:
        """Return the beginning of ``text`` that each of its parts needs, such as a language code."""
        return ""

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return a string to show for each id, as on the axes of an attention matrix.

        The mark of a word's start is left out, or shown as ``␣`` where it is all there is. A character made
        of byte tokens is shown at its first byte, and ``·`` at the others. Unprintable characters are
        escaped.
        """
        ids = [int(token_id) for token_id in ids]
        tokens = [self.token(token_id) for token_id in ids]
        pieces: list[str] = []
        while len(pieces) < len(ids):
            at = len(pieces)
            special = self._special_pieces.get(ids[at])
            if special is not None:
                pieces.append(special)
            elif _BYTE_TOKEN.fullmatch(tokens[at]):
                pieces.extend(_byte_pieces(tokens[at:]))
            else:
                piece = tokens[at].removeprefix(_WORD_MARK).replace(_WORD_MARK, "␣") or "␣"
                pieces.append(_printable(piece))
        return pieces


class EncoderTokenizer(Tokenizer):
    """The tokenizer of an encoder: its file says which special tokens enclose a text, if any.

    Args:
        tokenizer: the tokenizer itself; padding and truncation are switched off.
        special_ids: the ids of ``pad``, ``start``, ``end`` and ``unknown``, and of ``mask`` if there is one.
        written_specials: whether a special token written out in a text, such as ``[MASK]``, is read as one.
        truncates: whether a text that is too long is cut without being asked, as its model did in training.
    """

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        special_ids: Mapping[str, int],
        written_specials: bool = False,
        truncates: bool = False,
    ):
        super().__init__(tokenizer, special_ids)
        self.truncates = truncates
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = not written_specials
        self.enclosing = len(tokenizer.encode("").ids)
        mask_id = special_ids.get("mask")
        self.mask_token = None if mask_id is None else tokenizer.id_to_token(mask_id)

    def encode(self, text: str, pair: str | None = None) -> list[int]:
        """Return the ids of ``text``, and of a second text if there is one, with their special tokens.

        Raises:
            InputError: a text holds a lone surrogate (half a character).
        """
        return self._encoding(text, pair).ids

    def _encoding(self, text: str, pair: str | None = None) -> tokenizers.Encoding:
        try:
            with reading(_FAILED):
                encoding = self.tokenizer.encode(text, pair)
                checked_ids(encoding.ids)
                return encoding
        except (UnicodeEncodeError, TypeError):
            raise InputError("The text is not valid Unicode: it holds a lone surrogate.") from None

    def spans(self, text: str, pair: str | None = None, number: int = 0) -> TokenSpans:
        """Return the tokens of ``text``, or with ``number`` 1 of the second text, and where they stand in it.

        Raises:
            InputError: a text holds a lone surrogate (half a character).
        """
        return TokenSpans.of(self._encoding(text, pair), number)

    @property
    def joins_pairs(self) -> bool:
        """Whether it puts a special token between two texts, so that a model can tell them apart."""
        encoding = self.tokenizer.encode("a", "b")
        ids = encoding.sequence_ids
        return None in ids[ids.index(0) : ids.index(1)] if 0 in ids and 1 in ids else False

    @property
    def marks_segments(self) -> bool:
        """Whether it gives a second text the segment 1; XLM-R's, which also encodes for BERT, gives 0."""
        return any(self.tokenizer.encode("a", "b").type_ids)

    def words(self, text: str, spans: TokenSpans) -> list[int]:
        """Return the number of the word of each token.

        Where pieces mark what continues a word, as BERT's do, words are the file's; otherwise they are what
        white space parts.
        """
        if getattr(self.tokenizer.model, "continuing_subword_prefix", None):
            return spans.words
        words, number = [], 0
        for token_id, (start, _) in zip(spans.ids, spans.offsets, strict=True):
            near = text[max(0, start - 1) : start + 1]
            number += start == 0 or " " in near or token_id == self.special_ids["unknown"]
            words.append(number)
        return words

    def text_pieces(self, text: str) -> list[str]:
        """Return the part of ``text`` for each id of ``encode``; ``▁`` marks where a word begins.

        Parts are spelled as in the text, even if they are not in the vocabulary. Special tokens around the
        text are shown as the vocabulary has them, and the bytes of one character as by ``pieces``.
        """
        return _text_pieces(text, self.tokenizer.encode(text))

    def cut(self, ids: Sequence[Element], limit: int) -> list[Element]:
        """Return at most ``limit`` ids, or pieces; a special token that closes the text is kept."""
        if len(ids) <= limit or not self.enclosing:
            return list(ids[:limit])
        return [*ids[: limit - 1], ids[-1]]


class PromptTokenizer(Tokenizer):
    """The tokenizer of a language model: a text is continued where it ends, so no end token is added."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text``, without an end token.

        Raises:
            InputError: the text holds a lone surrogate (half a character).
        """
        return super().encode(text)[:-1]

    def ending(self, text: str, limit: int) -> str:
        """Return the end of ``text`` with its last ``limit`` tokens: see ``beginning``."""
        return ending(text, limit, self.encode)

    def text_pieces(self, text: str) -> list[str]:
        """Return the part of ``text`` for each id of ``encode``: see ``EncoderTokenizer``."""
        return _text_pieces(text, self.tokenizer.encode(text, add_special_tokens=False))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return a string to show for each id; part of a character shows ``·``, a space ``␣``."""
        return [self._piece(int(token_id)) for token_id in ids]

    def _piece(self, token_id: int) -> str:
        if token_id in self._special_pieces:
            return self.tokenizer.id_to_token(token_id) or f"<{token_id}>"
        piece = self.tokenizer.decode([token_id])
        return "·" if "\ufffd" in piece else _printable(piece.replace(" ", "␣"))


def _text_pieces(text: str, encoding: tokenizers.Encoding) -> list[str]:
    pieces, read, last_word = [], 0, None
    for token, (begin, end), word in zip(encoding.tokens, encoding.offsets, encoding.word_ids, strict=True):
        part = text[max(begin, read) : end] if end > begin else token
        piece = _printable(part.strip()) or ("␣" if part else "·")
        starts = word is None or word != last_word
        pieces.append(_WORD_MARK + piece if starts else piece)
        read, last_word = max(read, end), word
    return pieces


def never_produced(special_ids: Mapping[str, int]) -> tuple[int, ...]:
    """Return the special tokens that no search produces: padding and start, unless one of them ends texts.

    A start token that is also a word of the vocabulary, such as a language, may be ``produced``.
    """
    allowed = {special_ids["end"], special_ids.get("produced")}
    return tuple(sorted({special_ids["pad"], special_ids["start"]} - allowed))


def beginning_of(special_ids: Mapping[str, int]) -> list[int]:
    """Return what a target begins with: the start token, and the ``first`` token if there is one."""
    first = special_ids.get("first")
    return [special_ids["start"], *([] if first is None else [first])]


def _byte_pieces(tokens: Sequence[str]) -> list[str]:
    """Return pieces for the character that starts at the first of ``tokens``, or for this byte only."""
    values = bytearray()
    for token in tokens[:4]:
        match = _BYTE_TOKEN.fullmatch(token)
        if match is None:
            break
        values.append(int(match[1], 16))
        try:
            character = values.decode()
        except UnicodeDecodeError:
            continue
        return [_printable(character), *["·"] * (len(values) - 1)]
    return [tokens[0]]


def _printable(piece: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in piece)
