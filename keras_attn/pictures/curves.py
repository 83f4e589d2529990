"""Curves: how a training went, and how a translator fares with long sentences."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_attn.errors import ArgumentError
from keras_attn.pictures.figure import INK, MUTED, SERIES, new_figure, plain_axes, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = {
    "bleu": "BLEU",
    "exact_match": "Exact match",
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "micro_f1": "Micro-F1",
    "spearman": "Spearman's correlation",
    "pearson": "Pearson's correlation",
    "mrr": "Mean reciprocal rank",
    "recall_at_1": "Recall at 1",
    "cosine": "Cosine to the teacher",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "perplexity": "Perplexity",
}
OF_TEXTS = ("accuracy", "macro_f1", "micro_f1", "spearman", "pearson", "mrr", "recall_at_1", "cosine")


def training_curves(
    history: Iterable[Mapping[str, Any]], path: str | Path | None = None, metric: str = "bleu"
) -> "Figure":
    """Draw loss, validation metric and learning rate over the steps.

    Args:
        history: rows with "step" and any of "loss", "validation_loss", the metric, "learning_rate"; values
            may be missing or empty, as in a CSV file that is written at different times.
        path: file to write, .png, .svg or .pdf; by default none.
        metric: column of the metric that is drawn.

    Returns:
        The figure.

    Raises:
        ArgumentError: no row has a step, or the ending of `path` is unknown.
    """
    rows = [row for row in history if _number(row, "step") is not None]
    if not rows:
        raise ArgumentError("the training history is empty: there is nothing to draw")
    columns_by_title = {
        "Loss per text" if metric in OF_TEXTS else "Loss per token": (
            ("loss", "training"),
            ("validation_loss", "validation"),
        ),
        METRICS.get(metric, metric): ((metric, "validation"),),
        "Learning rate": (("learning_rate", ""),),
    }
    panels = [
        (title, lines) for title, columns in columns_by_title.items() if (lines := _lines(rows, columns))
    ]
    figure = new_figure(4.2 * max(len(panels), 1), 3.2)
    for index, (title, lines) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for number, (name, points) in enumerate(lines):
            marker = "o" if len(points) < 40 else None
            steps, values = zip(*points, strict=True)
            style = {"color": SERIES[number], "linewidth": 1.8, "marker": marker, "markersize": 3}
            axes.plot(steps, values, label=name, **style)
        _finish(axes, title, "step", legend=len(lines) > 1)
    figure.subplots_adjust(wspace=0.28)
    return written(figure, path)


def bleu_by_length(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], path: str | Path | None = None
) -> "Figure":
    """Draw BLEU against the source length, one line per model.

    Figure 2 of Bahdanau, Cho and Bengio (2015): a translator that squeezes the source into one vector loses
    on long sentences, one with attention does not.

    Args:
        curves: name → (lengths in words, BLEU of the sentences of about that length), at most six.
        path: file to write, .png, .svg or .pdf; by default none.

    Returns:
        The figure.

    Raises:
        ArgumentError: no curve, a curve whose lengths and scores differ in number, or an unknown ending.
    """
    if not 0 < len(curves) <= len(SERIES):
        raise ArgumentError(f"draw between 1 and {len(SERIES)} curves, not {len(curves)}")
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(6.4, 3.8)
    axes = figure.add_subplot()
    for colour, (name, (lengths, scores)) in zip(SERIES, curves.items(), strict=False):
        if len(lengths) != len(scores) or not len(lengths):
            raise ArgumentError(f"the curve {name!r} has {len(lengths)} lengths and {len(scores)} scores")
        axes.plot(lengths, scores, color=colour, linewidth=2, marker="o", markersize=4, label=name)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes, "BLEU by source length", "source length in words", legend=True)
    return written(figure, path)


def _lines(rows: list[Mapping[str, Any]], columns: tuple) -> list[tuple[str, list[tuple[float, float]]]]:
    """Return (name, points) of every column that has a value."""
    lines = []
    for column, name in columns:
        pairs = [(_number(row, "step"), _number(row, column)) for row in rows]
        points = [(step, value) for step, value in pairs if step is not None and value is not None]
        if points:
            lines.append((name, points))
    return lines


def _number(row: Mapping[str, Any], column: str) -> float | None:
    value = row.get(column)
    if value is None or value == "":
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _finish(axes: "Axes", title: str, below: str, *, legend: bool) -> None:
    plain_axes(axes)
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=10)
    axes.set_xlabel(below, fontsize=9)
    if legend:
        axes.legend(frameon=False, fontsize=9, labelcolor=MUTED)
