"""Alignment matrices as one self-contained HTML page: no script, no download; browsers bring the fonts."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_attn.pictures.page import write_page

if TYPE_CHECKING:
    from keras_attn.pictures.alignment import Alignment

_STYLE = """
section { margin-bottom: 2.5rem; overflow-x: auto; }
table { border-collapse: collapse; }
th { font-weight: 400; white-space: pre; }
thead th { vertical-align: bottom; text-align: center; padding: 0 0 .4rem; }
thead span { writing-mode: vertical-rl; rotate: 180deg; display: inline-block; vertical-align: bottom; }
tbody th { text-align: end; padding-inline-end: .6rem; }
td { width: 1.6rem; height: 1.6rem; min-width: 1.6rem; padding: 0;
     background: rgb(var(--shade) / calc(var(--w) * .96 + .03)); }
td.word, th.word { border-inline-start: 2px solid var(--line); }
tr.word > td { border-top: 2px solid var(--line); }
td:hover { outline: 2px solid #e09f3e; outline-offset: -2px; }
"""


def write_alignments(alignments: Sequence["Alignment"], path: Path, *, title: str = "") -> Path:
    """Write the alignments as one page; pointing at a cell shows its pieces and weight."""
    heading = title or alignments[0].title or "Alignment"
    sections = "\n".join(_section(each) for each in alignments)
    body = (
        f"{f'<h1>{escape(title)}</h1>' if title else ''}\n{sections}\n"
        f"<p>Rows: target pieces. Columns: source pieces. Shade: attention weight, from 0 to each matrix's "
        f"strongest.</p>"
    )
    return write_page(path, heading, body, _STYLE)


def _section(alignment: "Alignment") -> str:
    from keras_attn.pictures.alignment import label, reads_from_right, word_starts

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
        rows.append(f"<tr{between}><th><bdi>{escape(target)}</bdi></th>{cells}</tr>")
    heading = f"<h2><bdi>{escape(alignment.title)}</bdi></h2>\n" if alignment.title else ""
    top = f"<thead><tr><th></th>{head}</tr></thead>"
    body = "\n".join(rows)
    return f'<section>{heading}<table dir="{direction}">{top}\n<tbody>\n{body}\n</tbody></table></section>'


def _column_label(text: str, starts_word: bool) -> str:
    """Upright when longer than its column is wide."""
    shown = f"<bdi>{escape(text)}</bdi>"
    return f"<th{_class(starts_word)}>{f'<span>{shown}</span>' if len(text) > 2 else shown}</th>"


def _class(starts_word: bool) -> str:
    return ' class="word"' if starts_word else ""
