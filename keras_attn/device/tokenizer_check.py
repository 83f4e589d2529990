"""Tokenizers that break what their library promises: errors of any kind, texts that grow without end."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any

import tokenizers

from keras_attn.device.errors import BundleError
from keras_attn.device.stderr import silent

_TRIED = (
    "",
    " The 2 Quick-brown foxes' (naïve) café: 3.14 [MASK] <s>\t\n",
    "Ärger ß İ ǅ ﬁ ① ½ е́ ё עִברית عَرَبي हिन्दी ไทย 中文 日本語 ｶﾅ 한국어 👩‍👧 🇩🇪",
    "\u200b\u00ad\ufeff\ufffd\x00\x7f \u0085\u2028\ue000\U0010fffd",
    "ab" * 150,
)
_MOST_GROWTH = 2**14
_LARGEST_ID = 2**31 - 1


def open_tokenizer(text: str, name: str) -> tokenizers.Tokenizer:
    """Return the tokenizer of a ``tokenizer.json``, after trying it; it neither pads nor cuts.

    Args:
        text: the file's.
        name: what errors call the file.

    Raises:
        BundleError: the text is no tokenizer, or one that fails.
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
    """Make a BundleError of what the library raises: plain Exceptions, and panics, which are not those."""
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
        raise BundleError(f"the tokenizer gives the id {max(ids)}, which no model has")
    return ids


def _growth(part: dict[str, Any]) -> float:
    """Return how many times longer a text may become."""
    parts = part.get("normalizers") or part.get("decoders")
    if isinstance(parts, list):
        return (
            math.prod(min(_growth(each), 2.0**32) for each in parts[:1000])
            if len(parts) <= 1000
            else math.inf
        )
    if part.get("type") == "Replace":
        pattern = part.get("pattern", {})
        least = len(pattern.get("String", "")) if isinstance(pattern, dict) else 0
        content = len(part.get("content", ""))
        return max(1.0, content / least) if least else 1.0 + content
    return 1.0
