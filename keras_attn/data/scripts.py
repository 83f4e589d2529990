"""The writing systems of languages, and of characters."""

from __future__ import annotations

import functools
import re
import unicodedata

# Beginnings of the Unicode names of a script's letters, by its ISO 15924 code.
_LETTERS = {
    "arab": "ARABIC", "armn": "ARMENIAN", "beng": "BENGALI", "cyrl": "CYRILLIC", "deva": "DEVANAGARI",
    "ethi": "ETHIOPIC", "geor": "GEORGIAN", "grek": "GREEK", "gujr": "GUJARATI", "guru": "GURMUKHI",
    "hang": "HANGUL CJK", "hans": "CJK BOPOMOFO", "hant": "CJK BOPOMOFO", "hebr": "HEBREW",
    "jpan": "CJK HIRAGANA KATAKANA KATAKANA-HIRAGANA HALFWIDTH FULLWIDTH IDEOGRAPHIC", "khmr": "KHMER",
    "knda": "KANNADA", "laoo": "LAO", "latn": "LATIN FEMININE MASCULINE", "mlym": "MALAYALAM",
    "mymr": "MYANMAR", "olck": "OL", "orya": "ORIYA", "sinh": "SINHALA", "taml": "TAMIL", "telu": "TELUGU",
    "tfng": "TIFINAGH", "thai": "THAI", "tibt": "TIBETAN",
}  # fmt: skip
# Languages whose codes do not say that they are not written in Latin letters.
_LANGUAGES = {
    "arab": "ar arz fa ps sd ug ur ckb", "armn": "hy", "beng": "as bn",
    "cyrl": "ba be bg kk ky mk mn ru sr tg tt uk", "deva": "hi mr ne sa", "ethi": "am ti", "geor": "ka",
    "grek": "el", "gujr": "gu", "guru": "pa", "hang": "ko", "hans": "zh yue", "hebr": "he iw yi",
    "jpan": "ja", "khmr": "km", "knda": "kn", "laoo": "lo", "mlym": "ml",
    "mymr": "my", "orya": "or", "sinh": "si", "taml": "ta", "telu": "te", "thai": "th", "tibt": "bo dz",
}  # fmt: skip
_SCRIPT_OF = {language: script for script, names in _LANGUAGES.items() for language in names.split()}
_SEVERAL = {"sr": ("cyrl", "latn"), "bs": ("cyrl", "latn"), "az": ("latn", "cyrl")}


def scripts_of(code: str) -> tuple[str, ...]:
    """Return the scripts, by ISO 15924, of a language by a model's code, such as `eng_Latn`, `en` or `en_XX`.

    Languages that are not known are taken to have Latin letters.
    """
    language, *others = re.split("[-_]", code.strip("_").lower())
    named = next((part for part in others if part in _LETTERS), None)
    if named is not None:
        return (named,)
    return _SEVERAL.get(language, (_SCRIPT_OF.get(language, "latn"),))


def letters_of(scripts: set[str]) -> frozenset[str]:
    """Return the beginnings of the names of all letters of scripts."""
    return frozenset(name for script in scripts for name in _LETTERS[script].split())


@functools.lru_cache(2**17)
def letter_kind(character: str) -> str | None:
    """Return the beginning of a letter's name; `None` for what is of no script, such as digits."""
    if unicodedata.category(character)[0] not in "LM":
        return None
    kind = unicodedata.name(character, "").partition(" ")[0]
    return None if kind in ("COMBINING", "MODIFIER", "VARIATION", "") else kind


def is_written_in(text: str, kinds: frozenset[str]) -> bool:
    """Return whether all letters of a text are of these kinds, see `letters_of`."""
    return all(kind is None or kind in kinds for kind in map(letter_kind, text))
