"""How a translator's texts begin and end, and how its translations begin, for each pair of languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.text.language_codes import find_language

SOURCE, TARGET = "source", "target"


@dataclass(frozen=True)
class TextTemplate:
    """Tokens around a text, and before a translation: ids, or ``"source"`` or ``"target"`` for a language's.

    Attributes:
        before: tokens before a source.
        after: tokens after it, the end token included.
        start: the token that the first step is fed.
        first: the token that every translation begins with, if there is one.
        languages: the id of each language's token, by the model's own code; empty for one direction.
        default_source, default_target: languages where none is named, if there are such.
    """

    before: tuple[int | str, ...]
    after: tuple[int | str, ...]
    start: int | str
    first: int | str | None = None
    languages: Mapping[str, int] = field(default_factory=dict)
    default_source: str | None = None
    default_target: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as the manifest has it."""
        return {**vars(self), "before": list(self.before), "after": list(self.after)}

    @classmethod
    def from_json(cls, read: Any, where: str) -> TextTemplate:
        """Read what ``to_json`` returned; ``where`` is named in errors.

        Raises:
            BundleError: it is damaged.
        """
        try:
            found = cls(**{**read, "before": tuple(read["before"]), "after": tuple(read["after"])})
            languages = dict(found.languages)
        except (TypeError, KeyError, ValueError):
            raise BundleError(f"{where}: text_template is damaged; export the model again.") from None
        defaults = (found.default_source, found.default_target)
        right = all(_is_id(token) or (token in (SOURCE, TARGET) and languages) for token in found.tokens)
        right = right and all(isinstance(code, str) and _is_id(each) for code, each in languages.items())
        if not right or any(each is not None and each not in languages for each in defaults):
            raise BundleError(f"{where}: text_template is damaged; export the model again.")
        return found

    @property
    def tokens(self) -> tuple[int | str, ...]:
        """All tokens around a text and before a translation."""
        return (*self.before, *self.after, self.start, *(() if self.first is None else (self.first,)))

    @property
    def asked(self) -> tuple[str, ...]:
        """Inputs of a search in one call that depend on languages: ``start_token``, ``first_token``."""
        return tuple(
            name
            for name, token in (("start_token", self.start), ("first_token", self.first))
            if isinstance(token, str)
        )

    def pair(self, source: str | None, target: str | None) -> tuple[str | None, str | None]:
        """Return the model's codes of two languages, or of the default ones.

        Raises:
            InputError: a language is not known, or none is named and there is no default, or the model has
                only one direction.
        """
        if not self.languages:
            for name, code in ((SOURCE, source), (TARGET, target)):
                if code is not None:
                    raise InputError(f"{name}={code!r}: this model has no languages to choose; leave it out.")
            return None, None
        return self._language(SOURCE, source or self.default_source), self._language(
            TARGET, target or self.default_target
        )

    def _language(self, name: str, code: str | None) -> str | None:
        if code is None and name not in self.tokens:
            return None
        if code is None:
            examples = ", ".join(list(self.languages)[:3])
            raise InputError(
                f"{name}: name one of the model's {len(self.languages)} languages, such as {examples}."
            )
        return find_language(code, self.languages)

    def ids(self, tokens: tuple[int | str, ...], source: str | None, target: str | None) -> list[int]:
        """Return tokens as ids, for two languages by the model's own codes."""
        codes = {SOURCE: source, TARGET: target}
        return [token if isinstance(token, int) else self.languages[codes[token] or ""] for token in tokens]


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
