"""Preprocessing on the device: what it refuses, and what a damaged description of it leads to."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tokenizers
from tokenizers import models

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.preprocessing.bags import DROPPED, Bag
from keras_attn.device.preprocessing.lookups import Lookup
from keras_attn.device.preprocessing.preprocessing import Preprocessing, Step
from keras_attn.device.preprocessing.text_vectors import TextVectors


def word_level():
    words = {"": 0, "[UNK]": 1, "a": 2, "a b": 3}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return tokenizer


def example():
    color = Lookup(("red", "green"), True, unknown=0)
    size = Lookup((10, -3), False, mask=0, mask_id=DROPPED, unknown=2)
    words = TextVectors(word_level(), length=4)
    pairs = TextVectors(words.tokenizer, padding=DROPPED, widths=(2,))
    return Preprocessing(
        [
            Step("text", "text", (1,), words),
            Step("text", "text_2", (1,), pairs, Bag("count", 4)),
            Step("color", "color", (), color),
            Step("size", "size", (None,), size, Bag("tf_idf", 4, np.array([1, 2, 3, 0.5], np.float32))),
        ],
        {"age": "age"},
    )


INPUTS = {
    "text": ["a b", "a a c a a", ""],
    "color": ["green", "red", "red"],
    "size": [[10, -3], [0, 7], [8, 10]],
    "age": [1.5, 2.5, 3.5],
}


def reopened(preprocessing):
    files = {name: each.to_str() for name, each in preprocessing.tokenizers().items()}
    described = json.loads(json.dumps(preprocessing.to_json()))
    return Preprocessing.from_json(described, lambda name: tokenizers.Tokenizer.from_str(files[name]))


def test_inputs_are_given_as_a_list_where_the_model_takes_one():
    ordered = reopened(replace(example(), order=["size", "text", "age", "color"]))
    given = [INPUTS[name] for name in ordered.order]
    assert ordered.by_name(given) == ordered.by_name(tuple(given)) == INPUTS
    with pytest.raises(InputError, match="or a list of 4"):
        ordered.by_name(given[:3])
    with pytest.raises(InputError, match="takes a dict with the inputs"):
        example().by_name(given)


def test_one_array_may_be_alone_in_a_list():
    alone = Preprocessing([Step("color", "color", (1,), Lookup(("red", "green"), True))])
    colors = np.array([["green"], ["red"], ["blue"]], object)
    for given in (colors, [colors], {"color": colors}, colors.tolist()):
        assert alone(alone.by_name(given))["color"].tolist() == [[2], [1], [0]]


def test_a_damaged_order_is_refused():
    described = example().to_json() | {"order": ["text", "other"]}
    with pytest.raises(BundleError, match="damaged at 'order'"):
        Preprocessing.from_json(described, lambda name: word_level())


def test_what_was_written_makes_the_same_inputs():
    made = reopened(example())(INPUTS)
    assert {name: array.dtype for name, array in made.items()} == {
        "text": np.int32,
        "text_2": np.float32,
        "color": np.int32,
        "size": np.float32,
        "age": np.float64,
    }
    assert made["text"].tolist() == [[2, 1, 0, 0], [2, 2, 1, 2], [0, 0, 0, 0]]
    assert made["text_2"].tolist() == [[0, 0, 0, 1], [0, 4, 0, 0], [0, 0, 0, 0]]
    assert made["color"].tolist() == [1, 0, 0]
    assert made["size"].tolist() == [[0, 0, 3, 0.5], [0, 2, 0, 0], [1, 0, 3, 0]]
    for name, array in example()(INPUTS).items():
        assert np.array_equal(array, made[name])


def test_a_tokenizer_of_two_steps_is_one_file():
    assert list(example().tokenizers()) == ["tokenizer.json"]
    other = Preprocessing([Step(name, name, (1,), TextVectors(word_level())) for name in "ab"])
    assert list(other.tokenizers()) == ["tokenizer-1.json", "tokenizer-2.json"]
    assert reopened(other)({"a": ["a"], "b": ["b"]})["b"].tolist() == [[1]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"color": ["blue"]}, "does not know 'blue'; it knows 'red', 'green'"),
        ({"color": [1]}, "takes texts, and 1 is not one"),
        ({"color": np.array([b"\xff"], object)}, "is not UTF-8"),
        ({"color": [["red", "red"]]}, r"'color' has the shape \(2,\) an example"),
        ({"text": "a b"}, "'text' is 'a b': give a list"),
        ({"text": ["\ud800"]}, "lone surrogate"),
        ({"size": [[1.5]]}, "whole numbers, not float64 such as 1.5"),
        ({"size": [["x"]]}, "whole numbers"),
        ({"weight": [1]}, r"takes the inputs \['text', 'color', 'size', 'age'\]"),
    ],
)
def test_inputs_that_do_not_fit_are_named(changed, message):
    with pytest.raises(InputError, match=message):
        example()(INPUTS | changed)


def test_bytes_whole_floats_and_an_axis_of_one_are_taken():
    steps = example()
    assert steps(INPUTS | {"color": np.array([[b"red"]])})["color"].tolist() == [0]
    assert steps(INPUTS | {"size": [[10.0]]})["size"].tolist() == [[0, 0, 3, 0]]
    assert steps(INPUTS | {"text": [["a"]]})["text"].tolist() == [[2, 0, 0, 0]]
    assert steps(INPUTS | {"text": []})["text"].shape == (0, 4)


def damaged():
    """Each field of each step, missing or of another type."""
    described = example().to_json()
    for number, step in enumerate(described["steps"]):
        for name in step:
            for value in (..., {"a": 1}, -7, [None, "x"], 2**40):
                copy = json.loads(json.dumps(described))
                if value is ...:
                    del copy["steps"][number][name]
                else:
                    copy["steps"][number][name] = value
                yield copy
    yield described | {"passed": ["age"]}
    yield described | {"steps": {}}
    yield {}


def test_a_damaged_description_is_a_bundle_error_or_fails_no_worse_than_an_input():
    refused = 0
    for described in damaged():
        try:
            made = Preprocessing.from_json(described, lambda _: word_level())
            made(INPUTS)
        except BundleError:
            refused += 1
        except InputError:
            pass
    assert refused > 100


def test_damaged_weights_and_words_are_refused():
    with pytest.raises(BundleError, match="weights"):
        Bag.from_json({"mode": "tf_idf", "depth": 2, "weights": [1.0]})
    with pytest.raises(BundleError, match="weights"):
        Bag.from_json({"mode": "count", "depth": 1, "weights": [1.0]})
    with pytest.raises(BundleError, match="words"):
        Lookup.from_json(Lookup(("a", "a"), True).to_json())
