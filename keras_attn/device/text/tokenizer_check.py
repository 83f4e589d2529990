"""Checks of tokenizers that could fail with any kind of error, or make texts grow without end."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any

import tokenizers

from keras_attn.device.errors import BundleError
from keras_attn.device.quiet_stderr import silent

_TRIED = (
    "",
    " The 2 Quick-brown foxes' (naïve) café: 3.14 [MASK] <s>\t\n",
    "Ärger ß İ ǅ ﬁ ① ½ е́ ё עִברית عَرَبي हिन्दी ไทย 中文 日本語 ｶﾅ 한국어 👩‍👧 🇩🇪",
    "\u200b\u00ad\ufeff\ufffd\x00\x7f \u0085\u2028\ue000\U0010fffd",
    "ab" * 150,
)
_MOST_GROWTH = 2**14
_APART = "\x00"
_LARGEST_ID = 2**31 - 1


def open_tokenizer(text: str, name: str) -> tokenizers.Tokenizer:
    """Return the tokenizer of a ``tokenizer.json``, after a trial; it neither pads nor truncates.

    Args:
        text: of the file.
        name: of the file, for errors.

    Raises:
        BundleError: the text is not a tokenizer, or one that fails.
    """
    with silent(), reading(f"{name} is not a tokenizer that this version of tokenizers reads"):
        tokenizer = tokenizers.Tokenizer.from_str(text)
        tokenizer.no_padding()
        tokenizer.no_truncation()
    for part in (tokenizer.normalizer, tokenizer.decoder):
        if part is not None and _growth(json.loads(part.__getstate__())) > _MOST_GROWTH:
            raise BundleError(f"{name} makes texts longer without end; copy it again.")
    with silent(), reading(f"{name} is a tokenizer that fails"):
        for each in _TRIED:
            ids = checked_ids(tokenizer.encode(each, add_special_tokens=False).ids)
            tokenizer.decode(ids)
    return tokenizer


@contextlib.contextmanager
def reading(problem: str) -> Iterator[None]:
    """Raise what the library raises as a BundleError: Exceptions, and panics, which are not Exceptions."""
    try:
        yield
    except (BundleError, UnicodeEncodeError, TypeError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BundleError(f"{problem}: {' '.join(str(error).split())}") from None


def checked_ids(ids: list[int]) -> list[int]:
    """Return ids that an int32 holds.

    Raises:
        BundleError: one is larger.
    """
    if ids and max(ids) > _LARGEST_ID:
        raise BundleError(f"the tokenizer returned the id {max(ids)}, which is larger than any model has")
    return ids


def _growth(part: dict[str, Any]) -> float:
    """Return how many times longer a text may become, at most, in a normalizer or decoder.

    Steps that replace a string are tried on all strings that are replaced: one step may replace the output of
    another. A step that replaces a regular expression may do so before every character.
    """
    steps = [step for step in _steps(part) if step.get("type") == "Replace"]
    given = [pattern for step in steps if (pattern := _replaced_string(step))]
    text, growth = _APART.join(given), 1.0
    most = len(text) + _MOST_GROWTH
    for step in steps:
        content = step.get("content", "")
        if pattern := _replaced_string(step):
            if len(text) + text.count(pattern) * (len(content) - len(pattern)) > most:
                return math.inf
            text = text.replace(pattern, content)
        else:
            growth *= 1 + len(content)
    found = text.split(_APART)
    if len(found) != len(given):  # a step replaces the separator
        return growth * max(1, len(text))
    pairs = zip(found, given, strict=True)
    return growth * max((len(now) / len(before) for now, before in pairs), default=1.0)


def _steps(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    parts = part.get("normalizers") or part.get("decoders")
    if isinstance(parts, list):
        for each in parts:
            yield from _steps(each)
    else:
        yield part


def _replaced_string(step: dict[str, Any]) -> str:
    pattern = step.get("pattern", {})
    return pattern.get("String", "") if isinstance(pattern, dict) else ""
