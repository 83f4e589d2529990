"""How results show themselves in a terminal and in a notebook: short, and as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_LONGEST = 60


def shortened(text: str) -> str:
    """Return the ``repr`` of a text, cut where it is long."""
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip()}…")


def html_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as HTML; all of it is text, which is escaped."""
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"
