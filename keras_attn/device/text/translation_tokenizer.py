"""The tokenizer of a translator whose texts have tokens around them, such as their language's."""

from __future__ import annotations

from collections.abc import Mapping

import tokenizers

from keras_attn.device.text.text_template import TextTemplate
from keras_attn.device.text.tokenizer import Tokenizer


class TranslationTokenizer(Tokenizer):
    """A tokenizer of sources and targets, for one direction of a translator.

    Attributes:
        source, to_language: the languages, by the model's own codes; None where there are none to choose.

    Args:
        tokenizer: the tokenizer itself.
        special_ids: the ids of ``pad``, ``end`` and ``unknown``; those of ``start`` and ``first`` are the
            direction's.
        vocabulary_size: ids from here on are pieces that the model does not know.
        template: the tokens around a text.
        source, target: languages, by any of their codes; by default the template's.

    Raises:
        InputError: a language is not known, or none is named and there is no default.
    """

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        special_ids: Mapping[str, int],
        vocabulary_size: int,
        template: TextTemplate,
        source: str | None = None,
        target: str | None = None,
    ):
        self.source, self.to_language = template.pair(source, target)
        pair = self.source, self.to_language
        (start,) = template.ids((template.start,), *pair)
        own = {**special_ids, "start": start}
        own.pop("first", None)
        if template.first is not None:
            (own["first"],) = template.ids((template.first,), *pair)
        super().__init__(tokenizer, own)
        self.vocabulary_size = vocabulary_size
        self.template = template
        self._before, self._after = (template.ids(part, *pair) for part in (template.before, template.after))

    def between(self, source: str | None, target: str | None) -> TranslationTokenizer:
        """Return the tokenizer of another direction; languages that are None are the default ones.

        Raises:
            InputError: a language is not known, or none is named and there is no default.
        """
        pair = self.template.pair(source, target)
        if pair == (self.source, self.to_language):
            return self
        return TranslationTokenizer(
            self.tokenizer, self.special_ids, self.vocabulary_size, self.template, *pair
        )

    @property
    def around(self) -> tuple[list[int], list[int]]:
        """The ids before a source and those after it."""
        return self._before, self._after

    def with_template(self, template: TextTemplate) -> TranslationTokenizer:
        """Return the tokenizer of this direction with other default languages."""
        pair = (self.source, self.to_language) if template.languages else (None, None)
        return TranslationTokenizer(self.tokenizer, self.special_ids, self.vocabulary_size, template, *pair)

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text`` with the tokens around it.

        Raises:
            InputError: the text holds a lone surrogate (half a character).
        """
        unknown, size = self.special_ids["unknown"], self.vocabulary_size
        ids = [token if token < size else unknown for token in super().encode(text)[:-1]]
        return [*self._before, *ids, *self._after]
