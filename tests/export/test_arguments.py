"""Arguments of the doors that make no sense for what is exported, loaded or scored: each is named at once."""

import importlib.util

import keras
import numpy as np
import pytest
import tiny_encoders
from tiny_models import tiny, tokenizer

import keras_attn
from keras_attn.device.errors import BundleError
from keras_attn.errors import ArgumentError, ArgumentTypeError, MissingPackage
from keras_attn.evaluation import evaluate
from keras_attn.sources.find_source import find_source
from keras_attn.sources.lengths import read_lengths


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


def reads_ids():
    ids = keras.Input((None,), dtype="int32", name="ids")
    return keras.Model(ids, keras.layers.GRU(3)(keras.layers.Embedding(20, 4, mask_zero=True)(ids)))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ("16", "a list of whole numbers.*, not '16'"),
        (16, "a list of whole numbers"),
        ([2.5], "whole numbers, such as .*, not 2.5"),
        ([True], "not True"),
        ([], "there are none"),
        ([8, 0], "at least 1, not 0"),
        ([-3], "at least 1, not -3"),
        ([(8, 16)], r"not \(8, 16\)"),
    ],
)
def test_wrong_lengths_are_named(lengths, message, tmp_path):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        keras_attn.export(reads_ids(), tmp_path / "bundle", lengths=lengths)
    assert not list(tmp_path.iterdir())


def test_lengths_may_be_those_of_numpy():
    assert read_lengths(np.array([4, 8])) == [4, 8]
    assert read_lengths([[8, 16]]) == [(8, 16)]
    assert type(read_lengths(np.array([4]))[0]) is int


@pytest.mark.parametrize(("low", "high"), [(-2, 3), (1, 20)])
def test_ids_that_a_table_has_no_row_for_are_named(low, high):
    with pytest.raises(ArgumentError, match=rf"'ids' has the id {low if low < 0 else high}, .* 0 to 19"):
        find_source(reads_ids(), examples=np.array([[low, high, 5]]))


def test_what_is_not_a_model_is_named(tmp_path):
    for source, message in (
        (keras.Sequential, "Sequential is a class, not a built model"),
        (keras.layers.Dense(3), "Dense is a layer, not a built model"),
    ):
        with pytest.raises(ArgumentError, match=message):
            keras_attn.export(source, tmp_path / "bundle")
    (tmp_path / "model.h5").write_text("weights")
    with pytest.raises(ArgumentError, match=r"a file, and not a \.keras one"):
        keras_attn.export(tmp_path / "model.h5", tmp_path / "bundle")
    (tmp_path / "model.keras").write_text("weights")
    with pytest.raises(ArgumentError, match=r"damaged, or not a \.keras file"):
        keras_attn.export(tmp_path / "model.keras", tmp_path / "bundle")
    with pytest.raises(BundleError, match=r"is a file, not a folder or a \.zip"):
        keras_attn.export(reads_ids(), tmp_path / "model.h5")


def test_texts_for_a_model_of_numbers_are_named():
    with pytest.raises(ArgumentTypeError, match="hold texts, and the model takes numbers"):
        find_source(reads_ids(), examples=["a text"])


def test_a_tuple_of_inputs_is_explained_to_a_subclassed_model():
    class Both(keras.Model):
        def call(self, inputs):
            one, two = inputs
            return one + two

    model, pair = Both(), (np.ones((3, 2), "float32"), np.ones((3, 2), "float32"))
    model(pair)
    assert find_source(model, examples=list(pair)).interface.input_structure == ["input_0", "input_1"]
    with pytest.raises(ArgumentError, match="several inputs go into a list or a dict") as raised:
        find_source(model, examples=pair)
    assert "\x1b" not in str(raised.value)
