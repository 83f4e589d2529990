"""Sentences of long text, and the parts of a text that a model can take."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence

from keras_attn.device.errors import TextTooLong
from keras_attn.device.text.tokenizer import Tokenizer
from keras_attn.device.text.truncation import most_that_fit

# Marks that end a sentence only before white space (not in "1.5"); marks that always do; line ends.
# (A row of marks is read only from its first one, or a long row would be read once for each mark.)
_SENTENCE_END = re.compile(
    r"""(?: (?<![.!?…؟۔]) [.!?…؟۔]+ ["'”’»)\]]* (?=\s|$)
          | [。！？｡।॥։።။។]+ ["'”’»）」』)\]]*
          | [\n\u2028\u2029] ) \s*""",
    re.VERBOSE,
)
_WRITTEN_WITHOUT_SPACES = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def split_sentences(text: str) -> list[str]:
    """Split ``text`` after each sentence end and its white space; joined, the parts are the text again.

    Sentence ends are ``. ! ? … ؟ ۔`` before white space, ``。 ！ ？ । ॥`` and their like anywhere, and line
    ends. An abbreviation's dot ends a sentence too; only text that is too long for a model is split.
    """
    ends = _sentence_ends(text)
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _sentence_ends(text: str) -> array[int]:
    """Return where each sentence of ``text`` ends, after its white space; the text's own end is the last."""
    ends = array("Q", (match.end() for match in _SENTENCE_END.finditer(text)))
    if text and (not ends or ends[-1] < len(text)):
        ends.append(len(text))
    return ends


def fit_text(text: str, tokenizer: Tokenizer, limit: int) -> list[tuple[str, list[int], str]]:
    """Split ``text`` into as few parts as its sentence ends allow, each of at most ``limit`` tokens.

    White space around a part is removed, and a language code before the text is put before each part. The
    time is linear in the length of the text; a text that is refused takes little.

    Args:
        text: any text.
        tokenizer: counts the tokens.
        limit: the most tokens of a part, the end token counted.

    Returns:
        For each part its text, its ids (with the end token), and the white space that followed it. Empty
        for a text of white space.

    Raises:
        TextTooLong: a single sentence is over the limit.
        InputError: the text is not valid Unicode.
    """
    return list(fitting_parts(text, tokenizer, limit))


def fitting_parts(text: str, tokenizer: Tokenizer, limit: int) -> Iterator[tuple[str, list[int], str]]:
    """Yield the parts of ``fit_text`` one by one; a sentence that is too long raises when it is reached."""
    text = text.strip()
    if not text:
        return
    ids = _all_ids(text, tokenizer, limit)
    if ids is not None:
        yield text, ids, ""
        return
    prefix = tokenizer.prefix(text)
    text = text.removeprefix(prefix)
    ends = _sentence_ends(text)
    start, first, count = 0, 0, 1

    def encoded(count: int) -> list[int] | None:
        return _all_ids(prefix + text[start : ends[first + count - 1]].rstrip(), tokenizer, limit)

    while first < len(ends):
        # Most parts have about as many sentences as the one before.
        count, ids = most_that_fit(encoded, len(ends) - first, count)
        if ids is None:
            raise _too_long(prefix + text[start : ends[first]].rstrip(), tokenizer, limit)
        first += count
        part = text[start : ends[first - 1]]
        stripped, start = part.rstrip(), ends[first - 1]
        yield stripped, ids, part[len(stripped) :]


def _all_ids(text: str, tokenizer: Tokenizer, limit: int) -> list[int] | None:
    """Return the ids of a text, None if there are more than ``limit``."""
    read = tokenizer.beginning(text, limit)
    ids = tokenizer.encode(read)
    return ids if len(ids) <= limit and len(read) == len(text) else None


def _too_long(text: str, tokenizer: Tokenizer, limit: int) -> TextTooLong:
    read = tokenizer.beginning(text, limit)
    characters = len(text) if len(read) < len(text) else None
    return TextTooLong(len(tokenizer.encode(read)), limit, splits=True, characters=characters)


def join_texts(texts: Sequence[str], separators: Sequence[str]) -> str:
    """Join the answers to a text's parts; ``separators[i]`` is the white space that followed part i."""
    joined = ""
    for i, text in enumerate(texts):
        joined += text
        if i + 1 < len(texts):
            joined += between(joined, separators[i])
    return joined


def between(before: str, separator: str) -> str:
    """Return what separates the answers so far from the answer to the next part.

    Line ends are kept. Otherwise it is a space, or nothing in scripts without spaces.

    Args:
        before: the answers so far.
        separator: the white space between the parts.
    """
    if "\n" in separator:
        return separator
    return " " if before and not _WRITTEN_WITHOUT_SPACES.match(before[-1]) else ""
