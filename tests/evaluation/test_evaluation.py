"""`keras_attn.evaluation.evaluate`: scores on held-out text, as Python users get them."""

import pytest

import keras_attn
from keras_attn.evaluation import api, evaluate
from keras_attn.loading import Opened


class Capitals:
    """A translator that turns texts into capitals, and takes none that is longer than 8 letters."""

    def fits(self, text):
        return len(text) <= 8

    def translate(self, texts, *, beam, length_penalty, progress=None):
        assert (beam, length_penalty) == (3, 0.5)
        return [type("Translation", (), {"text": text.upper()}) for text in texts]


@pytest.fixture
def bundle(monkeypatch):
    made_from = {"bleu_tokenize": "none"}
    manifest = {
        "task": "translation",
        "languages": {"source": "en", "target": "de"},
        "made_from": made_from,
    }
    opened = Opened(Capitals(), manifest)
    monkeypatch.setattr(api, "open_any", lambda *arguments, **options: opened)
    return manifest


@pytest.fixture
def prefix(tmp_path):
    for language, text in (("en", "one\ntwo\nmuch too long\n"), ("de", "ONE\nZWEI\nMUCH TOO LONG\n")):
        (tmp_path / f"test.{language}").write_text(text)
    return tmp_path / "test"


def test_a_translator_is_scored_on_a_prefix(bundle, prefix):
    found = evaluate("bundle", test=prefix, beam=3, length_penalty=0.5)
    # What is too long counts as wrong.
    assert found["sentences"] == 3 and found["exact_match"] == pytest.approx(1 / 3)
    assert found.keys() == {"bleu", "chrf", "exact_match", "sentences"}
    assert evaluate("bundle", test=prefix, limit=1, beam=3, length_penalty=0.5)["exact_match"] == 1


def test_missing_inputs_of_a_translator_are_named(bundle, prefix):
    for given in ({}, {"test": prefix, "data": "dates"}):
        with pytest.raises(keras_attn.KerasAttnError, match=r"either test .* or data"):
            evaluate("bundle", **given)
    with pytest.raises(keras_attn.KerasAttnError, match="no tokenization 'klingon'"):
        evaluate("bundle", test=prefix, beam=3, length_penalty=0.5, bleu_tokenize="klingon")


def test_a_task_without_scores_is_named(bundle, tmp_path):
    bundle["task"] = "masked-lm"
    with pytest.raises(keras_attn.KerasAttnError, match="for masked-lm cannot be scored from a text"):
        evaluate("bundle", test=tmp_path / "test.txt")
    with pytest.raises(keras_attn.KerasAttnError, match="data is for translators only"):
        evaluate("bundle", data="dates")
