"""The tokenizers of a translator that splits its sources and its targets differently, as MarianMT does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import tokenizers

from keras_attn.device.text.tokenizer import Tokenizer

_LANGUAGE_CODE = re.compile(r">>.*?<<", re.DOTALL)


class PairTokenizer(Tokenizer):
    """A tokenizer of sources with one of targets.

    Args:
        tokenizer: that of sources, which may begin with a language code such as ``>>fra<<``.
        special_ids: the ids of ``pad``, ``start``, ``end`` and ``unknown``.
        target: that of targets.
        vocabulary_size: ids from here on are pieces that the model does not know.
    """

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        special_ids: Mapping[str, int],
        target: tokenizers.Tokenizer,
        vocabulary_size: int,
    ):
        super().__init__(tokenizer, special_ids)
        self.target = Tokenizer(target, special_ids)
        self.vocabulary_size = vocabulary_size

    def encode(self, text: str) -> list[int]:
        """Return the ids of a source ``text``, followed by the end token.

        Raises:
            InputError: the text holds a lone surrogate (half a character).
        """
        unknown, size = self.special_ids["unknown"], self.vocabulary_size
        return [token_id if token_id < size else unknown for token_id in super().encode(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the target text of ``ids``; special tokens are left out."""
        return self.target.decode(ids)

    def prefix(self, text: str) -> str:
        """Return the language code that ``text`` begins with, which each of its parts needs."""
        code = _LANGUAGE_CODE.match(text)
        return code[0] if code else ""
