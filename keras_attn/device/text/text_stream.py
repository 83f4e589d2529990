"""Text as it comes: what the tokens so far spell, told part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence


def parts_of_text(decode: Callable[[Sequence[int]], str], tokens: Iterable[int]) -> Iterator[str]:
    """Yield what each token adds to the text; joined, it is the text of all.

    (But for bytes that make no character: what they become depends on those that follow, and is told by
    then.)

    Args:
        decode: gives the text of ids.
        tokens: as they come.
    """
    ids: list[int] = []
    told = ""
    for token in tokens:
        ids.append(token)
        so_far = decode(ids)
        # A character of several tokens is told when it is whole.
        if len(so_far) > len(told) and not so_far.endswith("\ufffd"):
            yield so_far[len(told) :]
            told = so_far
    rest = decode(ids)[len(told) :]
    if rest:
        yield rest
