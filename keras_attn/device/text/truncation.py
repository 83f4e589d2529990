"""As much of a long text as a model can take: its beginning, its end, or as many sentences as fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from keras_attn.device.errors import InputError

Found = TypeVar("Found")

# Characters that are read before it is known whether they are enough: all of nearly any text, and for models
# that take much, so many for each token. As many times these are read where they were not.
_READ_AT_FIRST, _READ_PER_TOKEN, _READ_MORE = 2**16, 32, 8
# Tokens over the limit from which on it does not matter to the first ones where a text is cut, nor whether
# its last word would be another token if it were whole.
_MARGIN = 128
_WHITE_SPACE = re.compile(r"\s")


def beginning(text: str, limit: int, encode: Callable[[str], Sequence[int]]) -> str:
    """Return the beginning of ``text`` that holds its first ``limit`` tokens; all of it where it is not long.

    So a text costs what a model takes of it, however long it is. A text of which something is left out is too
    long: it has more tokens than ``limit``, or is of so many characters to a token that nobody wrote it.

    Raises:
        InputError: the text holds half a character (a lone surrogate).
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
    # Such as a row of spaces, or a word of a hundred thousand letters: one token.
    count *= _READ_MORE
    return text if count >= len(text) else some(text, count)


def _first_characters(text: str, count: int) -> str:
    """Return at most that many characters, without a word that this may cut."""
    first = text[:count]
    whole = first.rsplit(maxsplit=1)[:1]
    return whole[0] if whole and len(whole[0]) > count // 2 else first


def _last_characters(text: str, count: int) -> str:
    """Return at most that many characters and cut no word; white space before a word stays."""
    last = text[-count:]
    space = _WHITE_SPACE.search(last, 0, count // 2)
    return last[space.start() :] if space else last


def check_unicode(text: str) -> None:
    """Refuse half a character.

    Raises:
        InputError: the text holds a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("The text is not valid Unicode: it holds a lone surrogate.") from None


def most_that_fit(tried: Callable[[int], Found | None], most: int, guess: int) -> tuple[int, Found | None]:
    """Find the largest number that fits, in few trials where the guess is good.

    Args:
        tried: given a number from 1 to ``most``, returns what it makes; None if it, and so all larger ones,
            are too much.
        most: at least 1.
        guess: a number to begin with, at least 1.

    Returns:
        The number, and what it makes; 0 and None if not even 1 fits.
    """
    fits, over, stride, number = 0, most + 1, 1, min(guess, most)
    made: Found | None = None
    while over - fits > 1:
        found = tried(number)
        if found is None:
            over = number
        else:
            fits, made = number, found
        # Longer and longer strides away from the guess, then halves between what fits and what does not.
        if over > most:
            number = min(fits + stride, most)
        elif not fits:
            number = max(1, over - stride)
        else:
            number = (fits + over) // 2
        stride *= 2
    return fits, made
