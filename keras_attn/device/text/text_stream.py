"""Text as it is produced: the parts that tokens add to it, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence


def parts_of_text(decode: Callable[[Sequence[int]], str], tokens: Iterable[int]) -> Iterator[str]:
    """Yield what each token adds to the text; joined, it is the text of all.

    (Except for bytes that do not form a character: what they become depends on those that follow, and is
    yielded then.)

    Args:
        decode: returns the text of ids.
        tokens: as they are produced.
    """
    ids: list[int] = []
    yielded = ""
    for token in tokens:
        ids.append(token)
        so_far = decode(ids)
        # A character of several tokens is yielded when it is complete.
        if len(so_far) > len(yielded) and not so_far.endswith("\ufffd"):
            yield so_far[len(yielded) :]
            yielded = so_far
    rest = decode(ids)[len(yielded) :]
    if rest:
        yield rest
