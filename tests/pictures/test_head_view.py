"""The head view: what its page carries, what it says when a word is pointed at, and what pieces it names."""

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from tiny_encoders import encoder_tokenizer
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordPiece

from keras_attn import pictures
from keras_attn.data.byte_tokenizer import BERT_TOKENS, ids_of, train_byte_tokenizer
from keras_attn.device.text.tokenizer import EncoderTokenizer

PIECES = ["▁[CLS]", "▁the", "▁cat", "▁tir", "ed", "▁[SEP]"]
HEBREW = ["▁שלום", "▁עולם"]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def attention(layers=2, heads=3, pieces=PIECES):
    weights = np.random.default_rng(0).random((layers, heads, len(pieces), len(pieces)))
    return weights / weights.sum(-1, keepdims=True)


def page_of(tmp_path, weights, pieces=PIECES, title="the cat"):
    pictures.attention_heads(weights, pieces, pieces, tmp_path / "heads.html", title=title)
    return tmp_path / "heads.html"


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])


def test_the_page_carries_every_weight_and_word(tmp_path):
    weights = attention()
    data = data_of(page_of(tmp_path, weights).read_text("utf-8"))
    assert (data["layers"], data["heads"]) == (2, 3)
    carried = np.frombuffer(base64.b64decode(data["weights"]), np.uint8).reshape(weights.shape) / 255
    np.testing.assert_allclose(carried, weights, atol=0.5 / 255 + 1e-9)
    assert data["targets"] == data["sources"] == [
        ["[CLS]", False], ["the", False], ["cat", False], ["tir", False], ["ed", True], ["[SEP]", False]
    ]  # fmt: skip


def test_the_page_is_small_and_needs_nothing_from_elsewhere(tmp_path):
    pieces = [f"▁word{number}" for number in range(20)]
    path = page_of(tmp_path, attention(6, 12, pieces), pieces)
    page = path.read_text("utf-8")
    assert path.stat().st_size < 60_000
    page = page.replace("http://www.w3.org/2000/svg", "")  # a name, which nobody visits
    assert not re.search(r"https?:|url\(|src=|@import|fetch|eval", page)
    assert "default-src 'none'" in page
    assert list(tmp_path.iterdir()) == [path]


def test_text_cannot_escape_its_element(tmp_path):
    pieces = ["▁</script>", "▁<b>", '"quote', "&amp;"]
    page = page_of(tmp_path, attention(pieces=pieces), pieces, title="<i>&").read_text("utf-8")
    assert page.count("</script>") == 2 and "<b>" not in page
    assert "<bdi>&lt;i&gt;&amp;</bdi>" in page and "<title>&lt;i&gt;&amp;</title>" in page
    assert [word for word, _ in data_of(page)["targets"]] == ["</script>", "<b>", '"quote', "&amp;"]


def test_a_language_read_from_the_right_begins_at_the_right(tmp_path):
    page = page_of(tmp_path, attention(pieces=HEBREW), HEBREW, title="שלום עולם").read_text("utf-8")
    assert '<div id="view" dir="rtl">' in page and "שלום" in page


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((2, 3, 6, 5)), r"not \(layers, heads, 6, 6\)"),
        (np.full((2, 3, 6, 6), np.nan), "finite"),
        (np.full((2, 3, 6, 6), -1.0), "not negative"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, weights, message):
    with pytest.raises(ValueError, match=message):
        page_of(tmp_path, weights)
    assert not list(tmp_path.iterdir())


def test_pieces_are_gathered_into_words():
    weights = attention()
    gathered, words = pictures.whole_words(weights, PIECES)
    assert words == ["▁[CLS]", "▁the", "▁cat", "▁tired", "▁[SEP]"]
    assert gathered.shape == (2, 3, 5, 5)
    np.testing.assert_allclose(gathered.sum(-1), 1)
    np.testing.assert_allclose(gathered[..., 1, 3], weights[..., 1, 3] + weights[..., 1, 4])  # looked at
    np.testing.assert_allclose(gathered[..., 3, 1], (weights[..., 3, 1] + weights[..., 4, 1]) / 2)  # looking
    np.testing.assert_allclose(gathered[..., 3, 3], weights[..., 3:5, 3:5].sum(-1).mean(-1))


@pytest.mark.web
@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_pointing_at_a_word_draws_its_lines(tmp_path):
    weights = np.zeros((2, 3, 6, 6))
    weights[..., 0] = 1  # all look at [CLS]
    weights[1, 2, 3] = [0.0, 0.25, 0.75, 0, 0, 0]  # but in the second layer the third head of "tir"
    path = page_of(tmp_path, weights)
    acts = """<script>{
      const lines = () => document.querySelectorAll("path").length;
      const result = [lines()];
      document.querySelectorAll("#layers input")[1].click();
      document.querySelectorAll("#targets button")[3].dispatchEvent(new Event("pointerenter"));
      result.push(lines(), document.getElementById("summary").textContent);
      document.querySelectorAll("#heads input")[0].click();
      document.querySelectorAll("#heads input")[1].click();
      result.push(lines(), document.getElementById("summary").textContent);
      document.querySelectorAll("#sources button")[2].click();
      result.push(lines(), document.querySelector("path").style.opacity);
      document.title = JSON.stringify(result);
    }</script></body>"""
    path.write_text(path.read_text("utf-8").replace("</body>", acts), "utf-8")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = json.loads(re.search(r"<title>(.*?)</title>", done.stdout)[1])
    assert found == [
        18, 4, "tir looks at [CLS] 67 %, cat 25 %, the 8 % (mean of 3 heads)",
        2, "tir looks at cat 75 %, the 25 % (head 3)", 1, "1",
    ]  # fmt: skip


# ---- the pieces of a text ----


def test_word_pieces_are_spelled_as_in_the_text():
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "cat": 4, "##s": 5, "'": 6}
    inner = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = encoder_tokenizer().tokenizer.normalizer
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = encoder_tokenizer().tokenizer.post_processor
    roles = {"pad": 0, "unknown": 1, "start": 2, "end": 3}
    pieces = EncoderTokenizer(inner, roles).text_pieces("Cats' 東京 Émile")
    assert pieces == ["▁[CLS]", "▁Cat", "s", "▁'", "▁東", "▁京", "▁Émile", "▁[SEP]"]


def test_bytes_are_shown_as_the_characters_they_make():
    inner = train_byte_tokenizer(["the cat sat", "the dogs sat"] * 5, 280, BERT_TOKENS)
    ids = ids_of(inner, BERT_TOKENS, "test")
    roles = {"pad": ids["pad"], "unknown": ids["unknown"], "start": ids["cls"], "end": ids["sep"]}
    tokenizer = EncoderTokenizer(inner, roles)
    text = "the é\n"
    pieces = tokenizer.text_pieces(text)
    assert len(pieces) == len(tokenizer.encode(text))
    assert pieces[0] == "▁[CLS]" and pieces[-1] == "▁[SEP]"
    assert "é" in "".join(pieces) and "·" in pieces and "Ã" not in "".join(pieces)
