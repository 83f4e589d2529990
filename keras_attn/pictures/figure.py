"""The look of all pictures, and writing them: one style, one way to a file."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from keras_attn.device.files.atomic_write import replaced
from keras_attn.errors import ArgumentError
from keras_attn.pictures.page import Page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawing = TypeVar("Drawing", "Figure", Page)

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
# Distinguishable with the common kinds of colour blindness, and in grey.
SERIES = ("#0b5cad", "#d1495b", "#e09f3e", "#2a9d8f", "#6d597a", "#3c4a57")
# White to dark blue; lightness falls evenly, so that shading can be compared.
SHADES = ("#f7f9fc", "#cfe0f3", "#8db8e4", "#3b7cc4", "#0a2f66")
FORMATS = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 160


def new_figure(width: float, height: float) -> "Figure":
    """Return a figure of `width` by `height` inches, without Matplotlib's global state or screen."""
    from keras_attn.pictures.notebook_figure import NotebookFigure

    return NotebookFigure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")


def plain_axes(axes: "Axes") -> None:
    """Remove the box, keep a faint horizontal grid, and mute the ticks."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)


def written(drawing: Drawing, path: str | Path | None) -> Drawing:
    """Write a figure or a page aside and rename it to `path`, if there is one; its ending is the format.

    Returns:
        The drawing.

    Raises:
        ArgumentError: a figure's ending is none of .png, .svg, .pdf.
    """
    if path is None:
        return drawing
    if isinstance(drawing, Page):
        drawing.write(path)
        return drawing
    check_format(path, FORMATS)
    with replaced(path) as aside, warnings.catch_warnings():
        # fonts.py has already said, in one line, which glyphs are missing.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        drawing.savefig(aside, format=Path(path).suffix.lower()[1:], bbox_inches="tight", pad_inches=0.15)
    return drawing


def is_html(path: str | Path | None) -> bool:
    """Return whether a file is to be a page."""
    return path is not None and Path(path).suffix.lower() == ".html"


def check_format(path: str | Path | None, endings: tuple[str, ...]) -> None:
    """Raise an ArgumentError where `path` does not end in one of `endings`."""
    if path is not None and Path(path).suffix.lower() not in endings:
        raise ArgumentError(f"cannot write a picture to {path}: its name must end in {', '.join(endings)}")
