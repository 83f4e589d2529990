"""The part of a long text that a model can take: its beginning, its end, or as many sentences as fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from keras_attn.device.errors import InputError

Found = TypeVar("Found")

# Characters that are read at first: all of nearly any text, and for models that take many tokens a number per
# token. If they are not enough, this many times more are read.
_READ_AT_FIRST, _READ_PER_TOKEN, _READ_MORE = 2**16, 32, 8
# Tokens over the limit from which on the first ones do not depend on where the text is cut, nor on whether
# its last word is complete.
_MARGIN = 128
_WHITE_SPACE = re.compile(r"\s")


def beginning(text: str, limit: int, encode: Callable[[str], Sequence[int]]) -> str:
    """Return the beginning of ``text`` that holds its first ``limit`` tokens; all of it if it is not long.

    So the time depends on ``limit``, not on the length of the text. A text that is shortened is too long: it
    has more tokens than ``limit``, or more characters per token than any real text.

    Raises:
        InputError: the text holds a lone surrogate (half a character).
    """
    return _shortened(text, limit, encode, _first_characters)


def ending(text: str, limit: int, encode: Callable[[str], Sequence[int]]) -> str:
    """Return the end of ``text`` that holds its last ``limit`` tokens: see ``beginning``."""
    return _shortened(text, limit, encode, _last_characters)


def _shortened(
    text: str, limit: int, encode: Callable[[str], Sequence[int]], some: Callable[[str, int], str]
) -> str:
    count = max(_READ_AT_FIRST, _READ_PER_TOKEN * limit)
    if count >= len(text):
        return text
    check_unicode(text)
    shorter = some(text, count)
    if len(encode(shorter)) > 2 * limit + _MARGIN:
        return shorter
    # For example a row of spaces, or a word of a hundred thousand letters, is one token.
    count *= _READ_MORE
    return text if count >= len(text) else some(text, count)


def _first_characters(text: str, count: int) -> str:
    """Return at most ``count`` characters, without a last word that may be incomplete."""
    first = text[:count]
    whole = first.rsplit(maxsplit=1)[:1]
    return whole[0] if whole and len(whole[0]) > count // 2 else first


def _last_characters(text: str, count: int) -> str:
    """Return at most ``count`` characters, without cutting a word; white space before a word is kept."""
    last = text[-count:]
    space = _WHITE_SPACE.search(last, 0, count // 2)
    return last[space.start() :] if space else last


def check_unicode(text: str) -> None:
    """Check that a text is valid Unicode.

    Raises:
        InputError: the text holds a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("The text is not valid Unicode: it holds a lone surrogate.") from None


def most_that_fit(tried: Callable[[int], Found | None], most: int, guess: int) -> tuple[int, Found | None]:
    """Find the largest number that fits, in few trials if the guess is good.

    Args:
        tried: given a number from 1 to ``most``, returns a result; None if it, and so all larger ones, are
            too large.
        most: at least 1.
        guess: a number to begin with, at least 1.

    Returns:
        The number and its result; 0 and None if not even 1 fits.
    """
    fits, over, stride, number = 0, most + 1, 1, min(guess, most)
    made: Found | None = None
    while over - fits > 1:
        found = tried(number)
        if found is None:
            over = number
        else:
            fits, made = number, found
        # Growing strides away from the guess, then bisection.
        if over > most:
            number = min(fits + stride, most)
        elif not fits:
            number = max(1, over - stride)
        else:
            number = (fits + over) // 2
        stride *= 2
    return fits, made
