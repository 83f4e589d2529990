"""Grids of the attention weights of all heads of all layers, and heat maps of position encodings."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_attn.device.tasks.alignment import label, word_starts
from keras_attn.errors import ArgumentError
from keras_attn.pictures.figure import (
    FORMATS,
    INK,
    MUTED,
    SERIES,
    SHADES,
    check_format,
    is_html,
    new_figure,
    plain_axes,
    written,
)
from keras_attn.pictures.fonts import font_families
from keras_attn.pictures.head_view import check_weights, head_view
from keras_attn.pictures.page import Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = 1.5  # inches
READABLE = 16  # pieces on an axis beyond which a small panel names none of them


def attention_heads(
    weights: np.ndarray,
    source_pieces: Sequence[str],
    target_pieces: Sequence[str],
    path: str | Path | None = None,
    *,
    title: str = "",
) -> "Figure | Page":
    """Draw a grid with a row per layer and a column per head, as in Clark et al., 2019 (arXiv:1906.04341).

    An .html page is the head view instead: pointing at a word shows where each head of a layer looks.

    Args:
        weights: (L, H, T, S) attention weights, not negative.
        source_pieces: S tokens that are attended to, word starts marked with "▁".
        target_pieces: T tokens that attend.
        path: file to write, .png, .svg, .pdf or .html; by default none.
        title: a line above.

    Returns:
        What a notebook shows: a Matplotlib figure, or the `head_view` where `path` ends in .html.

    Raises:
        ArgumentError: the weights do not fit the pieces, or the ending of `path` is unknown.
    """
    weights = np.asarray(weights)
    check_format(path, (*FORMATS, ".html"))
    if is_html(path):
        return written(head_view(weights, source_pieces, target_pieces, title=title), path)
    check_weights(weights, source_pieces, target_pieces)
    return written(_draw_grid(weights, source_pieces, target_pieces, title), path)


def _draw_grid(
    weights: np.ndarray, source_pieces: Sequence[str], target_pieces: Sequence[str], title: str
) -> "Figure":
    from matplotlib.colors import LinearSegmentedColormap

    layers, heads = weights.shape[:2]
    shades = LinearSegmentedColormap.from_list("attention", SHADES)
    sources, targets = [label(each) for each in source_pieces], [label(each) for each in target_pieces]
    families = font_families([*sources, *targets, title])
    figure = new_figure(heads * PANEL + 0.8, layers * PANEL + 0.9)
    grid = figure.subplots(layers, heads, squeeze=False)
    for layer in range(layers):
        for head in range(heads):
            axes = grid[layer, head]
            axes.imshow(weights[layer, head], cmap=shades, vmin=0, vmax=1, aspect="auto")
            for side in axes.spines.values():
                side.set_visible(False)
            axes.tick_params(length=0, labelsize=6, colors=INK)
            name_rows = head == 0 and len(targets) <= READABLE
            name_columns = layer == layers - 1 and len(sources) <= READABLE
            axes.set_yticks(range(len(targets)) if name_rows else [], targets if name_rows else [])
            axes.set_xticks(range(len(sources)) if name_columns else [], sources if name_columns else [])
            for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
                text.set(fontfamily=families, parse_math=False)
            axes.tick_params(axis="x", labelrotation=90)
            if layer == 0:
                axes.set_title(f"head {head + 1}", fontsize=8, color=MUTED)
            if head == 0:
                axes.set_ylabel(f"layer {layer + 1}", fontsize=8, color=MUTED)
    if title:
        top = figure.subplotpars.top + 0.4 / figure.get_figheight()
        style = {"fontfamily": families, "fontsize": 11, "color": INK, "parse_math": False}
        figure.suptitle(title, y=top, verticalalignment="bottom", **style)
    return figure


def whole_words(weights: np.ndarray, pieces: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Gather the attention among pieces into that among words, as Clark et al., 2019, section 4.1.

    The attention to a word is the sum over its pieces, and the attention from a word their mean.

    Args:
        weights: (..., T, T) attention weights.
        pieces: T tokens, word starts marked with "▁".

    Returns:
        (..., W, W) weights and the W words.
    """
    starts = [position for position, begins in enumerate(word_starts(pieces)) if begins or not position]
    ends = [*starts[1:], len(pieces)]
    to_words = np.add.reduceat(weights, starts, axis=-1)  # (..., T, W)
    between_words = np.add.reduceat(to_words, starts, axis=-2)  # (..., W, W)
    words = ["".join(pieces[start:end]) for start, end in zip(starts, ends, strict=True)]
    return between_words / np.subtract(ends, starts)[:, None], words


def position_encoding(table: np.ndarray, path: str | Path | None = None, *, title: str = "") -> "Figure":
    """Draw a table of position vectors as a heat map, and how their dot products decay with the distance.

    Args:
        table: (T, D) vectors of the positions 0 to T - 1.
        path: file to write, .png, .svg or .pdf; by default none.
        title: a line above.

    Returns:
        The figure.

    Raises:
        ArgumentError: there are fewer than two positions, or the ending of `path` is unknown.
    """
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or len(table) < 2:
        raise ArgumentError(f"a table of position vectors is (positions, depth), not {table.shape}")
    figure = new_figure(10, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    strongest = np.abs(table).max()
    image = left.imshow(table.T, cmap="RdBu", vmin=-strongest, vmax=strongest, aspect="auto")
    left.set(xlabel="position", ylabel="dimension")
    left.tick_params(colors=MUTED, labelsize=8, length=0)
    figure.colorbar(image, ax=left).outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    for side in left.spines.values():
        side.set_visible(False)
    products = table @ table.T  # (T, T)
    distances = np.arange(len(table))
    means = [np.diagonal(products, distance).mean() for distance in distances]
    right.plot(distances, np.array(means) / means[0], color=SERIES[0], linewidth=1.8)
    plain_axes(right)
    right.set(xlabel="distance", title="")
    right.set_title("dot product of two positions, relative", loc="left", fontsize=10, color=INK)
    if title:
        figure.suptitle(title, fontsize=11, color=INK)
    return written(figure, path)
