"""Alignment matrices as one self-contained HTML page: no script, no download; browsers bring the fonts."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_attn.pictures.figure import written_aside

if TYPE_CHECKING:
    from keras_attn.pictures.alignment import Alignment

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1f2933; --muted: #7b8794; --paper: #fff; --shade: 10 47 102; --line: #fff;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --muted: #9aa5b1; --paper: #14181d; --shade: 120 180 250; --line: #14181d; }
}
body { margin: 2rem; background: var(--paper); color: var(--ink); font: 15px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.3rem; font-weight: 600; }
h2 { font-size: 1rem; font-weight: 500; margin: 0 0 .8rem; }
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
p { color: var(--muted); font-size: .85rem; }
"""


def write_page(alignments: Sequence["Alignment"], path: Path, *, title: str = "") -> Path:
    """Write the alignments as one page; pointing at a cell shows its pieces and weight."""
    heading = title or alignments[0].title or "Alignment"
    sections = "\n".join(_section(each) for each in alignments)
    page = (
        f'<!doctype html>\n<html><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        f"{f'<h1>{escape(title)}</h1>' if title else ''}\n{sections}\n"
        f"<p>Rows: target pieces. Columns: source pieces. Shade: attention weight, from 0 to each matrix's "
        f"strongest.</p>\n</body></html>\n"
    )
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


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
