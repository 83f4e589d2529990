"""The look of all pictures, and writing them: one style, one way to a file."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from keras_attn.device.files.atomic_write import replaced
from keras_attn.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    """A figure of its own, `width` by `height` inches, without Matplotlib's global state or screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")


def plain_axes(axes: "Axes") -> None:
    """Take off the box, keep a faint horizontal grid, and mute the ticks."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)


def save_figure(figure: "Figure", path: str | Path) -> Path:
    """Write `figure` aside and rename it to `path`; the ending chooses the format.

    Raises:
        ArgumentError: the ending is none of .png, .svg, .pdf.
    """
    path = Path(path)
    check_format(path, FORMATS)
    with replaced(path) as aside, warnings.catch_warnings():
        # fonts.py has already said, in one line, which glyphs are missing.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure.savefig(aside, format=path.suffix.lower()[1:], bbox_inches="tight", pad_inches=0.15)
    return path


def check_format(path: Path, endings: tuple[str, ...]) -> None:
    """Raise ValueError when `path` does not end in one of `endings`."""
    if path.suffix.lower() not in endings:
        raise ArgumentError(f"cannot write a picture to {path}: its name must end in {', '.join(endings)}")
