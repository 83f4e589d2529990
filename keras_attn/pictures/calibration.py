"""Calibration: whether answers of a probability are as often right."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_attn.errors import ArgumentError
from keras_attn.pictures.figure import GRID, INK, MUTED, SERIES, new_figure, plain_axes, written
from keras_attn.pictures.fonts import font_families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10


def calibration_curve(
    confidence: Sequence[float] | np.ndarray,
    right: Sequence[float] | np.ndarray,
    path: str | Path | None = None,
    *,
    title: str = "",
) -> "Figure":
    """Draw how often answers are right against their probability, in ten bins (Guo et al., 2017).

    The figure names the expected calibration error of that paper (arXiv:1706.04599, section 2).

    Args:
        confidence: (N,) probabilities of answers.
        right: (N,) 1 where the answer is right, 0 where it is wrong, or anything between.
        path: file to write, .png, .svg or .pdf; by default none.
        title: a line above.

    Returns:
        The figure.

    Raises:
        ArgumentError: there are no answers, the numbers differ, or the ending of `path` is unknown.
    """
    confidence, right = np.asarray(confidence, float), np.asarray(right, float)
    counts, sure, hits = calibration_bins(confidence, right)
    some = counts > 0
    figure = new_figure(4.2, 4.4)
    axes = figure.add_subplot(3, 1, (1, 2))
    below = figure.add_subplot(3, 1, 3, sharex=axes)
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.4)
    axes.plot(sure[some], hits[some], color=SERIES[0], linewidth=1.8, marker="o", markersize=4)
    error = expected_calibration_error(confidence, right)
    axes.text(0.03, 0.92, f"expected calibration error {error:.3f}", fontsize=9, color=MUTED)
    edges = np.linspace(0, 1, BINS + 1)
    below.bar((edges[:-1] + edges[1:]) / 2, counts, width=0.9 / BINS, color=SERIES[0])
    for each, name in ((axes, "share that is right"), (below, "answers")):
        plain_axes(each)
        each.set_xlim(0, 1)
        each.set_ylabel(name, fontsize=9, color=MUTED)
    axes.set_ylim(0, 1.02)
    axes.tick_params(labelbottom=False)
    below.set_xlabel("probability of the answer", fontsize=9)
    if title:
        families = font_families([title])
        axes.set_title(
            title, fontfamily=families, loc="left", fontsize=11, color=INK, pad=10, parse_math=False
        )
    return written(figure, path)


def calibration_bins(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of ten equal bins: the number of answers, their mean probability, and the share that is right.

    Raises:
        ArgumentError: there are no answers, or the numbers differ.
    """
    if confidence.shape != right.shape or confidence.ndim != 1 or not len(confidence):
        raise ArgumentError(f"there are {confidence.shape} probabilities for {right.shape} answers")
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    sums = (np.bincount(places, values, BINS) for values in (confidence, right))
    sure, hits = (total / np.maximum(counts, 1) for total in sums)
    return counts, sure, hits


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the mean distance of probability and share that is right, over bins by their answers."""
    counts, sure, hits = calibration_bins(confidence, right)
    return float((counts * np.abs(sure - hits)).sum() / counts.sum())
