"""Alignment matrices: which source pieces the model looked at for each target piece.

The picture of Bahdanau, Cho and Bengio (2015), Figure 3: one row per target piece, one column per source
piece, the shade is the attention weight. Thin white lines separate words; its pieces stand together.
"""

import textwrap
import unicodedata
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_attn.device.tasks.alignment import Alignment, label, reads_from_right, word_starts
from keras_attn.device.tasks.alignment_html import alignments_html
from keras_attn.errors import ArgumentError
from keras_attn.pictures.figure import FORMATS, INK, MUTED, SHADES, check_format, is_html, new_figure, written
from keras_attn.pictures.fonts import font_families
from keras_attn.pictures.page import Page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

TITLE_WIDTH = 80


def alignment_matrix(
    source_pieces: Sequence[str],
    target_pieces: Sequence[str],
    weights: np.ndarray,
    path: str | Path | None = None,
    *,
    title: str = "",
) -> "Figure | Page":
    """Draw one alignment.

    Args:
        source_pieces: S tokens as the tokenizer has them, word starts marked with "▁".
        target_pieces: T tokens.
        weights: (T, S) attention weights, not negative.
        path: file to write; .png, .svg and .pdf need fonts, .html does not. By default none.
        title: a line above.

    Returns:
        What a notebook shows: a Matplotlib figure, or a `Page` where `path` ends in .html.

    Raises:
        ArgumentError: shapes that do not fit, or an unknown ending of `path`.

    Warns:
        MissingGlyphWarning: no installed font has some of the characters.
    """
    return alignment_page([Alignment(source_pieces, target_pieces, np.asarray(weights), title)], path)


def alignment_page(
    alignments: Sequence[Alignment], path: str | Path | None = None, *, title: str = ""
) -> "Figure | Page":
    """Draw alignments below each other; arguments, result and errors as in `alignment_matrix`."""
    check_format(path, (*FORMATS, ".html"))
    if not alignments:
        raise ArgumentError("there is no alignment to draw")
    if is_html(path):
        body = alignments_html(alignments, caption=True)
        heading = f"<h1>{escape(title)}</h1>\n" if title else ""
        return written(Page(title or alignments[0].title or "Alignment", heading + body), path)
    return written(_draw(alignments, title), path)


def _draw(alignments: Sequence[Alignment], title: str) -> "Figure":
    texts = [label(piece) for each in alignments for piece in (*each.source_pieces, *each.target_pieces)]
    families = font_families([*texts, title, *(each.title for each in alignments)])
    cell = _cell_size(alignments)
    width = max(len(each.source_pieces) for each in alignments) * cell
    heights = [len(each.target_pieces) * cell for each in alignments]
    gaps = [_heading_height(each, cell) for each in alignments]
    total = sum(heights) + sum(gaps)
    figure = new_figure(width, total)
    top = total
    for each, height, gap in zip(alignments, heights, gaps, strict=True):
        top -= gap + height
        share = len(each.source_pieces) * cell / width
        axes = figure.add_axes((0, top / total, share, height / total))
        _draw_matrix(axes, each, cell, families)
    if title:
        figure.text(0, 1, title, fontfamily=families, fontsize=13, color=INK, parse_math=False)
    return figure


def _cell_size(alignments: Sequence[Alignment]) -> float:
    """Inches per cell: roomy for a short sentence, down to what can still be read for a long one."""
    longest = max(max(len(each.source_pieces), len(each.target_pieces)) for each in alignments)
    return float(np.clip(14 / longest, 0.17, 0.34))


def _font_size(cell: float) -> float:
    return min(10.0, cell * 72 * 0.55)


def _heading_height(alignment: Alignment, cell: float) -> float:
    """Inches above a matrix for its column labels, the lines of its title, and some air."""
    longest = max(_columns(label(piece)) for piece in alignment.source_pieces)
    lines = len(textwrap.wrap(alignment.title, TITLE_WIDTH))
    return longest * _font_size(cell) * 0.62 / 72 + 0.22 * lines + 0.6


def _draw_matrix(axes: "Axes", alignment: Alignment, cell: float, families: list[str]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("attention", SHADES)
    strongest = max(float(np.max(alignment.weights)), 1e-9)
    image = axes.imshow(alignment.weights, cmap=shades, vmin=0, vmax=strongest, aspect="auto")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, pad=4)
    sources, targets = map(label, alignment.source_pieces), map(label, alignment.target_pieces)
    _label_axis(axes, "x", list(sources), cell, families)
    _label_axis(axes, "y", list(targets), cell, families)
    for index in np.flatnonzero(word_starts(alignment.source_pieces)[1:]):
        axes.axvline(index + 0.5, color="white", linewidth=1.6)
    for index in np.flatnonzero(word_starts(alignment.target_pieces)[1:]):
        axes.axhline(index + 0.5, color="white", linewidth=1.6)
    if reads_from_right(alignment.source_pieces):
        axes.invert_xaxis()
    if alignment.title:
        heading = textwrap.fill(alignment.title, TITLE_WIDTH)
        style = {"fontfamily": families, "fontsize": 11, "color": INK, "parse_math": False}
        axes.set_title(heading, loc="left", pad=10, **style)
    _draw_scale(axes, image, strongest, cell * len(alignment.source_pieces))


def _label_axis(axes: "Axes", which: str, labels: list[str], cell: float, families: list[str]) -> None:
    size = _font_size(cell)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(np.arange(len(labels)), labels)
    for text in axis.get_ticklabels():
        # A column's label stands upright if it is wider than its cell.
        upright = which == "x" and _columns(text.get_text()) * size * 0.62 > cell * 72
        text.set(fontfamily=families, fontsize=size, color=INK, parse_math=False, rotation=90 * upright)


def _columns(text: str) -> int:
    """Width in half-width columns: combining marks take none, Chinese and Japanese characters two."""
    spacing = [c for c in text if not unicodedata.category(c).startswith("M")]
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in spacing)


def _draw_scale(axes: "Axes", image: "AxesImage", strongest: float, width: float) -> None:
    """A slim scale at the right: the shades start at 0 and end at the strongest weight, whatever it is."""
    scale = axes.inset_axes((1 + 0.15 / width, 0, 0.08 / width, 1))
    bar = axes.figure.colorbar(image, cax=scale)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.set_ticks([0, strongest], labels=["0", f"{strongest:.2f}"])
    scale.tick_params(colors=MUTED, labelsize=8, length=0)
