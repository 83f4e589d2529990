"""Alignment matrices as HTML: no script, no download; browsers bring the fonts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from keras_attn.device.tasks.alignment import Alignment, label, reads_from_right, word_starts

# Everything is below one class, so that nothing else in a notebook changes; a page sets the colours.
_STYLE = """
.alignment { margin-bottom: 2.5rem; overflow-x: auto; }
.alignment h2 { font-size: 1rem; font-weight: 500; margin: 0 0 .8rem; }
.alignment table { border-collapse: collapse; }
.alignment th { font-weight: 400; white-space: pre; }
.alignment thead th { vertical-align: bottom; text-align: center; padding: 0 0 .4rem; }
.alignment thead span { writing-mode: vertical-rl; rotate: 180deg; display: inline-block;
     vertical-align: bottom; }
.alignment tbody th { text-align: end; padding-inline-end: .6rem; }
.alignment td { width: 1.6rem; height: 1.6rem; min-width: 1.6rem; padding: 0;
     background: rgb(var(--shade, 59 124 196) / calc(var(--w) * .96 + .03)); }
.alignment td.word, .alignment th.word { border-inline-start: 2px solid var(--line, transparent); }
.alignment tr.word > td { border-top: 2px solid var(--line, transparent); }
.alignment td:hover { outline: 2px solid #e09f3e; outline-offset: -2px; }
"""
_CAPTION = (
    "<p>Rows: target pieces. Columns: source pieces. Shade: attention weight, from 0 to each matrix's "
    "strongest.</p>"
)


def alignments_html(alignments: Sequence[Alignment], caption: bool = False) -> str:
    """Return tables to put into a page or a notebook; pointing at a cell shows its pieces and weight.

    Args:
        alignments: what to show, one below the other.
        caption: whether a line says what rows, columns and shades are.
    """
    sections = "\n".join(map(_section, alignments))
    return f"<style>{_STYLE}</style>\n{sections}{_CAPTION if caption else ''}"


def _section(alignment: Alignment) -> str:
    sources, targets = [*map(label, alignment.source_pieces)], [*map(label, alignment.target_pieces)]
    source_starts, target_starts = word_starts(alignment.source_pieces), word_starts(alignment.target_pieces)
    direction = "rtl" if reads_from_right(alignment.source_pieces) else "ltr"
    head = "".join(map(_column_label, sources, source_starts))
    shades = np.asarray(alignment.weights) / max(float(np.max(alignment.weights)), 1e-9)
    rows = []
    for row, target in enumerate(targets):
        cells = "".join(
            f'<td{_class(source_starts[column])} style="--w:{shades[row, column]:.3f}" '
            f'title="{escape(target)} ← {escape(source)}: {alignment.weights[row, column]:.3f}"></td>'
            for column, source in enumerate(sources)
        )
        between = _class(target_starts[row] and row > 0)
        rows.append(f"<tr{between}><th><bdi>{escape(target)}</bdi></th>{cells}</tr>\n")
    heading = f"<h2><bdi>{escape(alignment.title)}</bdi></h2>\n" if alignment.title else ""
    top = f"<thead><tr><th></th>{head}</tr></thead>"
    table = f'<table dir="{direction}">{top}\n<tbody>\n{"".join(rows)}</tbody></table>'
    return f'<section class="alignment">{heading}{table}</section>'


def _column_label(text: str, starts_word: bool) -> str:
    """Return a column's label, upright when it is longer than the column is wide."""
    shown = f"<bdi>{escape(text)}</bdi>"
    return f"<th{_class(starts_word)}>{f'<span>{shown}</span>' if len(text) > 2 else shown}</th>"


def _class(starts_word: bool) -> str:
    return ' class="word"' if starts_word else ""
