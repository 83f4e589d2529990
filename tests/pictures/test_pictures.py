"""Pictures are really drawn here: files, sizes, fonts, and pixels where it matters."""

import re
import warnings

import numpy as np
import pytest

from keras_attn import pictures
from keras_attn.device.tasks import alignment
from keras_attn.pictures import MissingGlyphWarning, figure, fonts

TARGET = ["▁", "2", "0", "1", "8"]
GERMAN = ["▁Di", "ens", "tag", ",", "▁5", ".", "▁Juni"]
ARABIC = ["▁الث", "لاثاء", "▁يونيو"]
JAPANESE = ["▁平", "成", "3", "0", "年"]


def diagonal(source, target=TARGET):
    """Attention that moves evenly through the source."""
    columns, middles = np.arange(len(source)), np.linspace(0, len(source) - 1, len(target))
    weights = np.exp(-((columns[None] - middles[:, None]) ** 2))
    return weights / weights.sum(axis=1, keepdims=True)


def read_pixels(path):
    from matplotlib.image import imread

    return imread(path)[..., :3]


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf", ".html"])
def test_every_format_is_written_without_a_warning_or_leftovers(tmp_path, ending):
    path = tmp_path / "new" / f"picture{ending}"
    pictures.alignment_matrix(GERMAN, TARGET, diagonal(GERMAN), path, title="It costs $5 and $6")
    assert path.stat().st_size > 2000
    assert list(path.parent.iterdir()) == [path]


def test_dark_cells_lie_where_the_weights_are(tmp_path):
    weights = np.zeros((5, 7))
    weights[0, 6] = 1.0
    pictures.alignment_matrix(GERMAN, TARGET, weights, tmp_path / "corner.png")
    pixels = read_pixels(tmp_path / "corner.png")
    darkest = np.array([int(figure.SHADES[-1][at : at + 2], 16) / 255 for at in (1, 3, 5)])
    rows, columns = np.nonzero(np.abs(pixels - darkest).max(axis=-1) < 0.01)
    assert len(rows) > 2000  # one cell and the end of the scale, not a few letters
    assert np.median(rows) < pixels.shape[0] / 2
    assert np.median(columns) > pixels.shape[1] / 2


def test_a_language_read_from_the_right_runs_from_the_right(tmp_path):
    assert alignment.reads_from_right(ARABIC)
    assert not alignment.reads_from_right([*GERMAN, "ي"])
    assert not alignment.reads_from_right(TARGET)
    page = pictures.alignment_matrix(ARABIC, TARGET, diagonal(ARABIC), tmp_path / "ar.html")
    assert '<table dir="rtl">' in str(page)
    assert (tmp_path / "ar.html").read_text("utf-8") == str(page)
    pictures.alignment_matrix(ARABIC, TARGET, diagonal(ARABIC), tmp_path / "ar.png")  # Matplotlib's own font


def test_japanese_is_drawn_when_a_font_is_installed(tmp_path):
    if not pictures.can_draw(JAPANESE):
        pytest.skip("no installed font has Japanese characters (Debian: fonts-noto-cjk)")
    pictures.alignment_matrix(JAPANESE, TARGET, diagonal(JAPANESE), tmp_path / "ja.png")
    assert len(fonts.font_families(JAPANESE)) == 2


def test_missing_glyphs_are_named_once(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "_candidates", list)
    fonts._cover.cache_clear()
    source = ["▁𓀀", "𓀁"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pictures.alignment_matrix(source, TARGET, diagonal(source), tmp_path / "hieroglyphs.png")
    fonts._cover.cache_clear()
    assert [each.category for each in caught] == [MissingGlyphWarning]
    assert "U+13000" in str(caught[0].message)
    assert ".html" in str(caught[0].message)


def test_html_needs_no_font_and_nothing_from_elsewhere(tmp_path):
    source = ["▁𓀀", "<b>", "成", "<0x0A>"]
    page = str(pictures.alignment_matrix(source, TARGET, diagonal(source), tmp_path / "a.html", title="<&>"))
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert "&lt;&amp;&gt;" in page
    assert not re.search(r"<script|https?:|url\(|src=", page)
    assert page.count("<td") == len(source) * len(TARGET)


def test_several_alignments_share_a_page(tmp_path):
    both = [pictures.Alignment(s, TARGET, diagonal(s), s[0]) for s in (GERMAN, ARABIC)]
    pictures.alignment_page(both[:1], tmp_path / "one.png")
    pictures.alignment_page(both, tmp_path / "two.png", title="Two")
    one, two = (read_pixels(tmp_path / f"{name}.png") for name in ("one", "two"))
    assert two.shape[0] > 1.7 * one.shape[0]
    assert str(pictures.alignment_page(both, tmp_path / "two.html")).count("<table") == 2


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((5, 6)), r"shape \(5, 6\), but there are 5 target and 7 source pieces"),
        (np.full((5, 7), np.nan), "finite"),
        (np.full((5, 7), -1.0), "not negative"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, weights, message):
    with pytest.raises(ValueError, match=message):
        pictures.alignment_matrix(GERMAN, TARGET, weights, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.gif: its name must end in \.png, \.svg, \.pdf, \.html"):
        pictures.alignment_matrix(GERMAN, TARGET, diagonal(GERMAN), tmp_path / "a.gif")


@pytest.mark.parametrize(
    ("piece", "shown"),
    [("▁Juni", "Juni"), ("▁", "␣"), ("<0xE5>", "0xE5"), ("\n", "␊"), ("\u0942", "◌\u0942")],
)
def test_labels_show_what_a_token_stands_for(piece, shown):
    assert alignment.label(piece) == shown


def test_words_are_separated_only_where_they_are_marked():
    assert alignment.word_starts(["▁a", "b", "▁c"]) == [True, False, True]
    assert alignment.word_starts(["a", "b"]) == [True, True]


def test_training_curves_skip_what_is_missing(tmp_path):
    history = [
        {"step": "100", "loss": "3.5", "learning_rate": "0.001", "bleu": ""},
        {"step": 200, "loss": 2.5, "learning_rate": 0.0005, "validation_loss": 2.8, "bleu": 12.0},
        {"step": 300, "loss": float("nan"), "learning_rate": None},
    ]
    full = pictures.training_curves(history)
    narrow = pictures.training_curves([{"step": 1, "loss": 2.0}])
    assert (len(full.axes), len(narrow.axes)) == (3, 1)
    with pytest.raises(ValueError, match="empty"):
        pictures.training_curves([], tmp_path / "none.png")


def test_bleu_by_length_draws_one_line_per_model(tmp_path):
    lengths = [5, 10, 20]
    curves = {"RNNsearch": (lengths, [34.0, 33.0, 31.0]), "without attention": (lengths, [30.0, 24.0, 9.0])}
    pictures.bleu_by_length(curves, tmp_path / "length.png")
    pixels = read_pixels(tmp_path / "length.png")
    red = (pixels[..., 0] > 0.7) & (pixels[..., 1] < 0.4)
    blue = (pixels[..., 2] > 0.6) & (pixels[..., 0] < 0.15)
    assert red.sum() > 200 and blue.sum() > 200
    with pytest.raises(ValueError, match="3 lengths and 2 scores"):
        pictures.bleu_by_length({"a": ([1, 2, 3], [1, 2])}, tmp_path / "b.png")


def test_a_grid_of_heads_has_a_panel_for_each(tmp_path):
    weights = np.zeros((2, 3, 4, 5))
    weights[1, 2, 3, 4] = 1  # one dark cell, in the last panel
    pieces = ["▁a", "b", "▁c", "d", "e"]
    pictures.attention_heads(weights, pieces, pieces[:4], tmp_path / "heads.png", title="cross: a b")
    pixels = read_pixels(tmp_path / "heads.png")
    dark = np.argwhere((pixels[..., :3] < (0.1, 0.25, 0.5)).all(-1) & (pixels[..., 2] > 0.3))
    assert (dark.mean(0) > np.array(pixels.shape[:2]) * 0.6).all()
    with pytest.raises(ValueError, match="not \\(layers, heads, 4, 4\\)"):
        pictures.attention_heads(weights, pieces[:4], pieces[:4], tmp_path / "wrong.png")


def test_position_encodings_are_drawn_and_checked(tmp_path):
    from keras_attn.layers import sine_table

    pictures.position_encoding(sine_table(50, 32), tmp_path / "positions.png", title="sines")
    assert read_pixels(tmp_path / "positions.png").shape[1] > 1000
    with pytest.raises(ValueError, match="positions, depth"):
        pictures.position_encoding(np.zeros(7), tmp_path / "wrong.png")


DRAWN = {
    "alignment": lambda: pictures.alignment_matrix(GERMAN, TARGET, diagonal(GERMAN)),
    "heads": lambda: pictures.attention_heads(np.ones((1, 2, 5, 7)), GERMAN, TARGET),
    "confusion": lambda: pictures.confusion_matrix(np.eye(2), ["a", "b"]),
    "training": lambda: pictures.training_curves([{"step": 1, "loss": 2.0}]),
    "lengths": lambda: pictures.bleu_by_length({"a": ([1, 2], [3, 4])}),
    "positions": lambda: pictures.position_encoding(np.eye(4)),
}


@pytest.mark.parametrize("name", DRAWN)
def test_without_a_path_a_figure_is_returned_that_a_notebook_shows(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert DRAWN[name]()._repr_png_().startswith(b"\x89PNG")
    assert not list(tmp_path.iterdir())


def test_a_page_shows_itself_in_a_frame_that_nothing_leaves():
    shown = pictures.head_view(np.ones((1, 2, 5, 7)), GERMAN, TARGET, title='"><b>')._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert shown.count("<") == 2 and "<b>" not in shown
