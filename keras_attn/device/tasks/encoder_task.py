"""The base of tasks over an encoder: a bundle's, or a Keras model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from keras_attn.device.errors import InputError, TextTooLong
from keras_attn.device.reopening import Reopened
from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.errors import ArgumentTypeError

Result = TypeVar("Result")


class EncoderTask(Reopened):
    """Turns texts into tokens, and runs an encoder on them.

    Threads may share one; those of a bundle take turns text by text.

    Args:
        encoder: runs the model.
        tokenizer: the model's tokenizer.
    """

    def __init__(self, encoder: Encoder, tokenizer: EncoderTokenizer):
        self.encoder = encoder
        self.tokenizer = tokenizer

    def fits(self, text: str) -> bool:
        """Return whether the encoder takes the whole text at once."""
        try:
            self.ids(text)
        except TextTooLong:
            return False
        return True

    def ids(self, text: str, truncate: bool = False, pair: str | None = None, prefix: str = "") -> list[int]:
        """Return the tokens of a text, or of two, with ``prefix`` before the first.

        A model that was trained on texts it cut itself is always given the beginning.

        Raises:
            TextTooLong: there are more than the encoder takes, and ``truncate`` is not set, or would
                remove the second text.
            InputError: a text is not valid Unicode, or there are two and the encoder takes one.
            ArgumentTypeError: a text is not a string.
        """
        return self._ids(text, truncate, pair, prefix)

    def _ids(
        self,
        text: str,
        truncate: bool = False,
        pair: str | None = None,
        prefix: str = "",
        truncates: bool = True,
    ) -> list[int]:
        """Return ``ids``; ``truncates`` is whether the caller may choose to truncate."""
        self.check(text, pair)
        limit, truncate = self.encoder.max_tokens, truncate or self.tokenizer.truncates
        texts = [each for each in (prefix + text, pair) if each is not None]
        read = [self.tokenizer.beginning(each, limit) for each in texts]
        ids = self.tokenizer.encode(*read)
        cut = self.tokenizer.cut(ids, limit)
        lost = pair is not None and self.tokenizer.special_ids["end"] not in cut[:-2]
        characters = sum(map(len, texts)) if read != texts else None
        if (len(ids) > limit or characters) and (lost or not truncate):
            raise TextTooLong(len(ids), limit, truncates=truncates and not lost, characters=characters)
        return cut

    def check(self, text: str, pair: str | None = None) -> None:
        """Check that texts are strings, and that the encoder reads two if there are two.

        Raises:
            InputError: there are two and the encoder takes one.
            ArgumentTypeError: a text is not a string.
        """
        for each in (text, "" if pair is None else pair):
            if not isinstance(each, str):
                raise ArgumentTypeError(f"text must be a string, not {type(each).__name__}")
        if pair is not None and not self.encoder.reads_pairs:
            raise InputError(
                "This model takes single texts, and a pair was given; export the bundle with --pairs."
            )

    def first_cut(self, text: str, pair: str, truncate: bool = False) -> list[int]:
        """Return the tokens of two texts; with ``truncate`` the first is cut until both fit.

        Raises:
            TextTooLong: there are more than the encoder takes, and ``truncate`` is not set, or the second
                leaves no room for the first.
            InputError: a text is not valid Unicode, or the encoder takes one.
            ArgumentTypeError: a text is not a string.
        """
        self.check(text, pair)
        limit = self.encoder.max_tokens
        spans = self.tokenizer.spans(self.tokenizer.beginning(text, limit), pair)
        window = next(spans.windows(limit, 0))
        if len(window.ids) < len(spans.before) + len(spans.ids) + len(spans.after) and not truncate:
            raise TextTooLong(len(spans.before) + len(spans.ids) + len(spans.after), limit, truncates=True)
        return window.ids

    def heads(self, text: str, truncate: bool = False) -> tuple[list[str], np.ndarray]:
        """Return the pieces of a text, T of them, and every head's attention, (layers, heads, T, T) float32.

        Pieces are those of the tokenizer's ``text_pieces``: ``▁`` marks where a word begins.

        Raises:
            BundleError: the bundle was exported without its heads.
            TextTooLong: there are more tokens than the encoder takes, and ``truncate`` is not set.
        """
        ids = self.ids(text, truncate)
        pieces = self.tokenizer.text_pieces(self.tokenizer.beginning(text, self.encoder.max_tokens))
        pieces = self.tokenizer.cut(pieces, len(ids))
        return pieces, self.encoder.heads(ids)

    def answer_each(
        self, text: str | Sequence[str], answer: Callable[[str], Result]
    ) -> Result | list[Result]:
        """Return the answer to one text, or to each of a list."""
        if isinstance(text, str):
            return answer(text)
        if not isinstance(text, Sequence) or isinstance(text, bytes | bytearray):
            raise ArgumentTypeError(f"text must be a string or a list of strings, not {type(text).__name__}")
        return [answer(one) for one in text]

    def answer_pairs(
        self,
        text: str | Sequence[str],
        pair: str | Sequence[str] | None,
        answer: Callable[[str, str | None], Result],
    ) -> Result | list[Result]:
        """Return the answer to one text and its second one, or to each of a list on either side."""
        if pair is None or isinstance(pair, str):
            return self.answer_each(text, lambda one: answer(one, pair))
        if isinstance(text, str):
            return self.answer_each(pair, lambda second: answer(text, second))
        if len(text) != len(pair):
            raise InputError(f"There are {len(text)} texts, but {len(pair)} second texts; give as many.")
        return [answer(first, second) for first, second in zip(text, pair, strict=True)]
