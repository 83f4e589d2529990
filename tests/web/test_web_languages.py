"""Translators of many languages in Chromium: tokens around texts, a first token, and rules of the search."""

import contextlib

import keras_attn_export
import pytest
from tiny_languages import TEXTS, source_of
from tiny_models import in_process
from web_browser import drive, require_browser

from keras_attn import device
from keras_attn.cli import run_program
from keras_attn.pretrained.tokenizers.language_names import NLLB

pytestmark = pytest.mark.web
PAIRS = [("eng_Latn", "deu_Latn"), ("jpn_Jpan", "zho_Hant")]
RULES = {"min_length": 4, "no_repeat_ngram": 2, "early_stopping": False}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    require_browser()
    path = tmp_path_factory.mktemp("languages") / "many"
    source = source_of("Unigram", NLLB, **RULES, pairs=[(text, "") for text in TEXTS["eng_Latn"]])
    with pytest.MonkeyPatch.context() as patch, in_process(), contextlib.redirect_stdout(None):
        patch.setattr("keras_attn_export.pipeline.find_source", lambda *_, **__: source)
        keras_attn_export.export("any", path, "fp32", buckets=[(40, 24)], beam=4, proof_sentences=2)
    return path


@pytest.fixture(scope="module")
def site(bundle, tmp_path_factory):
    site = tmp_path_factory.mktemp("site") / "site"
    assert run_program(["web", f"Many={bundle}", "--output", str(site)]) == 0
    return site


def test_the_browser_translates_between_languages_as_python_does(bundle, site):
    texts = [text for each in TEXTS.values() for text in each]
    jobs = [({"source": one, "target": other}, beam) for one, other in PAIRS for beam in (1, 4)]
    asked = [{"bundle": "many", "beam": beam, "texts": texts, "languages": pair} for pair, beam in jobs]
    translator, answers = device.load(bundle), []
    for (pair, beam), found in zip(jobs, drive("translate", site, given=asked), strict=True):
        expected = translator.translate(texts, beam=beam, **pair)
        assert [each["ids"] for each in found["outputs"]] == [each.outputs[0].ids for each in expected]
        answers.append([each["text"] for each in found["outputs"]])
    assert len({tuple(each) for each in answers}) == len(answers)  # languages and beams matter


def test_the_proof_is_repeated_in_the_browser(site):
    found = drive("verify", site, "many")
    assert found["ok"], found["rungs"]
