"""Self-contained HTML pages: nothing is fetched, browsers bring the fonts, light or dark is the reader's."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

from keras_attn.device.files.atomic_write import write_text

# The page loads nothing from elsewhere, whatever a text may contain.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_PALETTE = """
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
p { color: var(--muted); font-size: .85rem; }
"""


@dataclass(frozen=True)
class Page:
    """A page; a notebook shows it in a frame of its own, ``str()`` is its HTML.

    Attributes:
        title: plain text.
        body: HTML.
        style: CSS, after the colours and fonts that all pages share.
    """

    title: str
    body: str
    style: str = ""

    def __str__(self) -> str:
        return (
            f'<!doctype html>\n<html><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            f"<title>{escape(self.title)}</title>\n<style>{_PALETTE}{self.style}</style></head>\n"
            f"<body>\n{self.body}\n</body></html>\n"
        )

    def __repr__(self) -> str:
        return f"Page({self.title!r})"

    def _repr_html_(self) -> str:
        style = "width: 100%; height: 36rem; border: 0"
        return f'<iframe srcdoc="{escape(str(self))}" style="{style}"></iframe>'

    def write(self, path: str | Path) -> None:
        """Write the page aside and rename it to `path`."""
        write_text(path, str(self))
