"""The lengths in tokens that a model's inputs are padded to, where nobody chooses them."""

from collections.abc import Callable, Sequence

ENCODER_LENGTHS = (8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 192, 208, 224, 240, 256, 384, 512)
"""From 16 on each is at most half longer than the one before: 33 tokens take less than half of the time in 48
that they take in 128, and a further length adds a few kilobytes to a file."""


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
