"""The head view: a page on which pointing at a word shows where each head of a layer looks.

The picture of Vaswani et al. (2017), Figures 3 to 5, as Tensor2Tensor's and BertViz (Vig, 2019,
arXiv:1906.05714) draw it. Its style and script are the files ``head_view.css`` and ``head_view.js``.
"""

import base64
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from keras_attn.pictures.alignment import label, reads_from_right, word_starts
from keras_attn.pictures.page import write_page

_BODY = """<h1><bdi>{title}</bdi></h1>
<fieldset id="layers"><legend>Layer</legend></fieldset>
<fieldset id="heads"><legend>Heads</legend></fieldset>
<p id="told" role="status"></p>
<div id="view" dir="{direction}">
<ol id="targets"></ol>
<svg id="lines" preserveAspectRatio="none" aria-hidden="true"></svg>
<ol id="sources"></ol>
</div>
<p>A line leads from a word to where a head looks; each head has its colour. Point at a word of the first
column to see its lines alone, click to keep them. Click a word of the second column to leave it out.</p>
<noscript><p>This page needs JavaScript, which it brings along.</p></noscript>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>"""


def write_head_view(
    weights: np.ndarray, source_pieces: Sequence[str], target_pieces: Sequence[str], path: Path, title: str
) -> Path:
    """Write the page; arguments are those of `attention_heads`, and are checked there."""
    # A byte per weight: the eye sees no finer shades, and the page stays small.
    levels = np.rint(255 * np.clip(weights, 0, 1)).astype(np.uint8)
    data = {
        "layers": levels.shape[0],
        "heads": levels.shape[1],
        "targets": _words(target_pieces),
        "sources": _words(source_pieces),
        "weights": base64.b64encode(levels.tobytes()).decode(),
    }
    body = _BODY.format(
        title=escape(title),
        direction="rtl" if reads_from_right(source_pieces) else "ltr",
        # No text may end the element that holds it.
        data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
        script=_file("head_view.js"),
    )
    return write_page(path, title or "Attention heads", body, _file("head_view.css"))


def _words(pieces: Sequence[str]) -> list[list]:
    """What to show of each piece, and whether it goes on with the word before."""
    return [[label(piece), not starts] for piece, starts in zip(pieces, word_starts(pieces), strict=True)]


def _file(name: str) -> str:
    return files("keras_attn.pictures").joinpath(name).read_text(encoding="utf-8")
