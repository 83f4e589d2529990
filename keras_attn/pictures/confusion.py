"""Confusion matrices: which classes a classifier takes for which."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_attn.device.tasks.alignment import label
from keras_attn.errors import ArgumentError
from keras_attn.pictures.figure import INK, MUTED, SHADES, new_figure, written
from keras_attn.pictures.fonts import font_families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 0.62  # inches
MOST_NUMBERS = 25  # classes beyond which the counts are only shades


def confusion_matrix(
    counts: np.ndarray, labels: Sequence[str], path: str | Path | None = None, *, title: str = ""
) -> "Figure":
    """Draw a row for each true class and a column for each answer, shaded by the share of the row.

    Args:
        counts: (C, C) numbers of texts.
        labels: C names of the classes.
        path: file to write, .png, .svg or .pdf; by default none.
        title: a line above.

    Returns:
        The figure.

    Raises:
        ArgumentError: the counts do not fit the labels, or the ending of `path` is unknown.
    """
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.asarray(counts)
    if not len(labels) or counts.shape != (len(labels), len(labels)):
        raise ArgumentError(f"counts of the shape {counts.shape} do not fit {len(labels)} labels")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [label(each) for each in labels]
    families = font_families([*names, title])
    side = max(len(names) * CELL, 2.2)
    figure = new_figure(side + 1.4, side + 1.0)
    axes = figure.add_subplot()
    shades = LinearSegmentedColormap.from_list("confusion", SHADES)
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    if len(names) <= MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else INK if count else MUTED
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=9, color=colour)
    for edge in axes.spines.values():
        edge.set_visible(False)
    axes.tick_params(length=0, labelsize=9, colors=INK)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set(fontfamily=families, parse_math=False)
    axes.set_xlabel("answer", fontsize=9, color=MUTED)
    axes.set_ylabel("truth", fontsize=9, color=MUTED)
    if title:
        axes.set_title(
            title, fontfamily=families, loc="left", fontsize=11, color=INK, pad=10, parse_math=False
        )
    return written(figure, path)
