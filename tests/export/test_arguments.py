"""Arguments of the doors that make no sense for what is exported, loaded or scored: each is named at once."""

import importlib.util

import pytest
import tiny_encoders
from tiny_models import tiny, tokenizer

import keras_attn
from keras_attn.errors import ArgumentError, ArgumentTypeError, MissingPackage
from keras_attn.evaluation import evaluate
from keras_attn.sources.find_source import find_source


def classifier(**options):
    return find_source(
        tiny_encoders.tiny_encoder("pooled"), tokenizer=tiny_encoders.tokenizer_of("pooled"), **options
    )


def test_examples_of_a_classifier_are_pairs_with_its_labels():
    assert classifier(examples=[("a cat", "animals")]).references == ["animals"]
    with pytest.raises(ArgumentError, match=r"\(text, label\) pairs, not 'a cat'"):
        classifier(examples=["a cat"])
    with pytest.raises(
        ArgumentError, match="'minerals' is not a label of the model: animals, plants, houses"
    ):
        classifier(examples=[("a stone", "minerals")])


def test_languages_are_for_translators():
    languages = {"source": "en", "target": "de"}
    assert find_source(tiny("transformer"), tokenizer=tokenizer(), languages=languages).languages == languages
    with pytest.raises(ArgumentError, match="languages: only translators"):
        classifier(languages=languages)


@pytest.mark.parametrize("open_it", [keras_attn.load, evaluate])
def test_invalid_paths_are_named(open_it):
    with pytest.raises(ArgumentTypeError, match="cannot load dict: give a run, or the path"):
        open_it({})


def test_a_limit_is_positive(tmp_path):
    with pytest.raises(ArgumentError, match="limit must be at least 1, not -1"):
        evaluate(tmp_path, limit=-1)


@pytest.mark.parametrize("missing", ["tensorflow", "ai_edge_quantizer"])
def test_a_missing_package_names_its_extra(monkeypatch, missing):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(
        MissingPackage, match=rf"{missing} is not installed: pip install 'keras-attn\[export\]'"
    ):
        keras_attn.export("model.keras", "bundle")
