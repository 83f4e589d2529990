"""The lengths in tokens that a model's inputs are padded to, where nobody chooses them."""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from keras_attn.errors import ArgumentError, ArgumentTypeError

ENCODER_LENGTHS = (8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 192, 208, 224, 240, 256, 384, 512)
"""From 16 on each is at most half longer than the one before: 33 tokens take less than half of the time in 48
that they take in 128, and a further length adds a few kilobytes to a file."""


def read_lengths(lengths: Any, pairs: bool = True) -> list[Any] | None:
    """Return the user's lengths as a list of whole numbers and pairs of them; `None` for none given.

    Args:
        lengths: an iterable of whole numbers, or of (source, target) pairs.
        pairs: whether there may be pairs.

    Raises:
        ArgumentTypeError: it is not one.
        ArgumentError: a length is not positive.
    """
    if lengths is None:
        return None
    example = "[16, 32]" + (" or [(16, 24)]" if pairs else "")
    if isinstance(lengths, str | bytes) or not isinstance(lengths, Iterable):
        raise ArgumentTypeError(f"lengths: give a list of whole numbers, such as {example}, not {lengths!r}")
    found: list[Any] = []
    for each in lengths:
        parts: tuple[Any, ...] = (
            tuple(each) if pairs and isinstance(each, tuple | list) and len(each) == 2 else (each,)
        )
        try:
            numbers = tuple(map(operator.index, parts))
        except TypeError:
            numbers = ()
        if not numbers or any(isinstance(part, bool) for part in parts):
            raise ArgumentTypeError(f"lengths: give whole numbers, such as {example}, not {each!r}")
        if min(numbers) < 1:
            raise ArgumentError(f"lengths must be whole numbers of at least 1, not {each!r}")
        found.append(numbers if len(numbers) == 2 else numbers[0])
    if not found:
        raise ArgumentError(f"lengths: there are none: give some, such as {example}, or leave it out")
    return found


def default_lengths(
    lengths: Sequence[int],
    longest: int | None,
    longest_trained: int | None = None,
    longest_text: int | None = None,
    fitting: Callable[[int], int] | None = None,
) -> list[int]:
    """Return those of ascending lengths that make sense for a model.

    Args:
        lengths: ascending lengths to choose from.
        longest: the model's largest number of positions, `None` when it has no such limit.
        longest_trained: length up to which the model was trained; the first length that holds it is the last.
        longest_text: most tokens of a text, which is cut there; it becomes the last length.
        fitting: shortens a length to one that the model takes.
    """
    limit = lengths[-1] if longest is None else longest
    chosen = [length for length in lengths if length <= limit] or [limit]
    if longest_text is not None and longest_text < chosen[-1]:
        chosen = [*(length for length in chosen if length < longest_text), longest_text]
    if fitting is not None:
        chosen = [fitting(length) for length in chosen]
    if longest_trained is not None:
        enough = [length for length in chosen if length >= longest_trained]
        chosen = [length for length in chosen if not enough or length <= enough[0]]
    return chosen
