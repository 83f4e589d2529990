"""How a translation shows itself: in one line, and in a notebook with its alignment."""

import numpy as np
import pytest

from keras_attn.data import special_ids, train_tokenizer
from keras_attn.device import KerasAttnError, Output, Tokenizer, Translation


@pytest.fixture(scope="module")
def tokenizer():
    inner = train_tokenizer(["ein hund", "a dog"] * 4, 300)
    return Tokenizer(inner, special_ids(inner))


def translated(tokenizer, source, target, *, attends=True, outputs=1):
    source_ids, ids = tokenizer.encode(source), tokenizer.encode(target)[:-1]
    weights = np.full((len(ids), len(source_ids)), 0.25, np.float32) if attends else None
    return Translation(
        source, [Output(target, -0.12345, ids, tokenizer, weights)] * outputs, source_ids, tokenizer
    )


def test_a_translation_is_one_short_line(tokenizer):
    assert repr(translated(tokenizer, "ein hund", "a dog")) == "Translation('a dog', score=-0.123)"
    several = repr(translated(tokenizer, "ein hund", "a dog " * 100, outputs=5))
    assert several.endswith("…', score=-0.123, 5 outputs)") and len(several) < 140
    assert repr(translated(tokenizer, "a", "b").outputs[0]) == "Output(text='b', score=-0.12345)"


def test_a_notebook_shows_the_alignment_word_by_word(tokenizer):
    translation = translated(tokenizer, "ein hund", "a <b> dog")
    shown = translation._repr_html_()
    assert shown.count("<td") == translation.alignment.size
    assert "&lt;" in shown and "<b>" not in shown.replace("<bdi>", "")
    drawn = translation.to_alignment()
    words = [piece for piece in drawn.source_pieces if piece.startswith("▁")]
    assert [words[0][1], words[-1]] == ["e", "▁</s>"]


def test_without_attention_both_texts_are_shown(tokenizer):
    translation = translated(tokenizer, "<ein>", "a", attends=False)
    assert translation._repr_html_() == "<p><bdi>&lt;ein&gt;</bdi> → <bdi>a</bdi></p>"
    with pytest.raises(KerasAttnError, match="alignments=True"):
        translation.to_alignment()
