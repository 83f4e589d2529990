"""Hold out part of the training data, so that no text is in both parts."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np


def hold_out(
    texts: Sequence[Hashable], wanted: int, classes: Sequence[Hashable] | None = None
) -> tuple[list[int], list[int]]:
    """Select texts to hold out, always the same ones.

    Rows with equal texts stay together. Each class is held out in proportion, and keeps at least one text.

    Args:
        texts: the text of each row.
        wanted: how many different texts to hold out.
        classes: of each row; a text with several belongs to that of its first row.

    Returns:
        The rows to train on and the rows that are held out, both ascending. None are held out if no class has
        two texts.
    """
    rows_of: dict[Hashable, list[int]] = {}
    for row, text in enumerate(texts):
        rows_of.setdefault(text, []).append(row)
    different = list(rows_of.values())
    members: dict[Hashable, list[list[int]]] = {}
    for place in np.random.default_rng(0).permutation(len(different)).tolist():
        rows = different[place]
        members.setdefault(None if classes is None else classes[rows[0]], []).append(rows)
    # Each class' texts are spread evenly over the unit interval, so that every prefix is proportional.
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
