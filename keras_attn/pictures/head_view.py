"""The head view: a page on which pointing at a word shows what each head of a layer attends to.

The picture of Vaswani et al. (2017), Figures 3 to 5, as Tensor2Tensor's and BertViz (Vig, 2019,
arXiv:1906.05714) draw it. Its style and script are the files ``head_view.css`` and ``head_view.js``.
"""

import base64
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np

from keras_attn.device.tasks.alignment import label, reads_from_right, word_starts
from keras_attn.errors import ArgumentError
from keras_attn.pictures.page import Page

_BODY = """<h1><bdi>{title}</bdi></h1>
<fieldset id="layers"><legend>Layer</legend></fieldset>
<fieldset id="heads"><legend>Heads</legend></fieldset>
<p id="summary" role="status"></p>
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


def head_view(
    weights: np.ndarray, source_pieces: Sequence[str], target_pieces: Sequence[str], *, title: str = ""
) -> Page:
    """Return the page, which a notebook shows; arguments and errors are those of `attention_heads`."""
    weights = np.asarray(weights)
    check_weights(weights, source_pieces, target_pieces)
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
    return Page(title or "Attention heads", body, _file("head_view.css"))


def check_weights(weights: np.ndarray, source_pieces: Sequence[str], target_pieces: Sequence[str]) -> None:
    """Raise an ArgumentError where weights (L, H, T, S) do not fit the pieces."""
    if weights.ndim != 4 or weights.shape[2:] != (len(target_pieces), len(source_pieces)) or not weights.size:
        raise ArgumentError(
            f"weights of the shape {weights.shape} are not (layers, heads, {len(target_pieces)}, "
            f"{len(source_pieces)}), as the pieces need"
        )
    if not np.all(np.isfinite(weights)) or weights.min() < 0:
        raise ArgumentError("attention weights must be finite and not negative")


def _words(pieces: Sequence[str]) -> list[list]:
    """Return what to show of each piece, and whether it continues the word before."""
    return [[label(piece), not starts] for piece, starts in zip(pieces, word_starts(pieces), strict=True)]


def _file(name: str) -> str:
    return files("keras_attn.pictures").joinpath(name).read_text(encoding="utf-8")
