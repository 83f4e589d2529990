"""Holding part of the training data out, so that no text is on both sides."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np


def hold_out(
    texts: Sequence[Hashable], wanted: int, classes: Sequence[Hashable] | None = None
) -> tuple[list[int], list[int]]:
    """Choose texts to hold out, the same ones every time.

    Rows with equal texts stay together. Every class gives its share, and keeps at least one text.

    Args:
        texts: what each row is recognized by.
        wanted: how many different texts to hold out.
        classes: of each row; a text with several counts for that of its first row.

    Returns:
        The rows to train on and the rows that are held out, both ascending. None are held out where no class
        has two texts.
    """
    rows_of: dict[Hashable, list[int]] = {}
    for row, text in enumerate(texts):
        rows_of.setdefault(text, []).append(row)
    different = list(rows_of.values())
    members: dict[Hashable, list[list[int]]] = {}
    for place in np.random.default_rng(0).permutation(len(different)).tolist():
        rows = different[place]
        members.setdefault(None if classes is None else classes[rows[0]], []).append(rows)
    # Each class' texts are spread evenly over the unit interval: the first ones are a share of every class.
    spread = [
        ((number + 0.5) / len(of_class), rows)
        for of_class in members.values()
        for number, rows in enumerate(of_class)
    ]
    spread.sort(key=lambda entry: entry[0])
    classes_of = lambda rows: {None if classes is None else classes[row] for row in rows}  # noqa: E731
    left = Counter(each for rows in different for each in classes_of(rows))  # texts of each class
    chosen: set[int] = set()
    for _, rows in spread:
        found = classes_of(rows)
        if wanted > 0 and all(left[each] > 1 for each in found):
            left.subtract(found)
            chosen.update(rows)
            wanted -= 1
    return [row for row in range(len(texts)) if row not in chosen], sorted(chosen)
