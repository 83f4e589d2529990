"""The device's ids and vectors equal those of Keras' layers, or the layer is refused by name."""

import itertools
import json
import re

import numpy as np
import pytest
from hard_texts import hard_texts
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from keras_attn.data import as_tokenizer  # noqa: E402
from keras_attn.device.preprocessing.preprocessing import Preprocessing, Step  # noqa: E402
from keras_attn.errors import ArgumentError  # noqa: E402
from keras_attn.sources.preprocessing_layers import read_layer  # noqa: E402

SEEN = ["A good film!", "it's a-b c_d", "Straße İstanbul ılık", "ein Hund läuft", "[UNK] x\x00 日本 e\u0301"]
TEXTS = [*SEEN, *hard_texts(["good", "Straße", "İstanbul", "film"], 200), "", " \t\n", "!!!", "\x00", "a\x00"]
STANDARDIZATIONS = (None, "lower", "strip_punctuation", "lower_and_strip_punctuation")
SPLITS = (None, "whitespace", "character")
MODES = ("int", "multi_hot", "count", "tf_idf")
NGRAMS = (None, 2, (3, 1))


def on_device(layer, shape):
    """Return the device's part of a layer, written and read again."""
    made = Preprocessing([Step("x", "x", shape, *read_layer(layer, shape))])
    files = {name: each.to_str() for name, each in made.tokenizers().items()}
    described = json.loads(json.dumps(made.to_json()))
    return Preprocessing.from_json(described, lambda name: Tokenizer.from_str(files[name]))


def assert_equal(layer, values, shape):
    wanted, found = np.asarray(layer(values)), on_device(layer, shape)({"x": values})["x"]
    assert found.shape == wanted.shape
    different = [value for value, a, b in zip(values, wanted, found, strict=True) if not np.array_equal(a, b)]
    assert not different, different[0]


@pytest.mark.parametrize(
    ("standardize", "split", "mode", "ngrams"), itertools.product(STANDARDIZATIONS, SPLITS, MODES, NGRAMS)
)
def test_text_vectorization_is_the_same(standardize, split, mode, ngrams):
    layer = keras.layers.TextVectorization(
        300, standardize, split, ngrams, mode, pad_to_max_tokens=mode == "count"
    )
    layer.adapt([*SEEN, *TEXTS[::5]])
    assert_equal(layer, [[text] for text in TEXTS], (1,))


@settings(deadline=None, max_examples=200)
@given(text=st.text(st.characters(exclude_categories=["Cs"])), length=st.integers(1, 6))
def test_any_text_is_cut_and_padded_the_same(text, length):
    layer = keras.layers.TextVectorization(
        split="character", output_sequence_length=length, vocabulary=list("ab é日\n\ufeff")
    )
    assert_equal(layer, [[text], [""], ["ab" * length]], (1,))


def test_a_vocabulary_may_hold_the_unknown_words_name():
    layer = keras.layers.TextVectorization(standardize=None, vocabulary=["a", "[UNK]", "[UNK]?"])
    assert_equal(layer, [["[UNK] a b [UNK]?"]], (1,))
    assert as_tokenizer(layer, "classification").encode("[UNK] b") == [3, 1]


def test_words_given_one_by_one_keep_their_positions():
    layer = keras.layers.TextVectorization(split=None, vocabulary=["a", "b"])
    assert_equal(layer, [["a", "!", "B"], ["x", "", "a"]], (3,))


WORDS = [["a"], ["b"], ["zz"], [""], ["[UNK]"]]


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count", "tf_idf"])
@pytest.mark.parametrize("mask", [None, ""])
def test_string_lookups_are_the_same(mode, mask):
    weights = {"idf_weights": [0.5, 2.0, 1.0]} if mode == "tf_idf" else {}
    layer = keras.layers.StringLookup(
        vocabulary=["a", "b", "[UNK]"], mask_token=mask, output_mode=mode, **weights
    )
    assert_equal(layer, WORDS, (1,))
    assert_equal(layer, [["a", "a", ""], ["b", "q", "a"]], (3,))
    if mode in ("int", "one_hot"):
        assert_equal(layer, [word for (word,) in WORDS], ())


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
@pytest.mark.parametrize(("mask", "unknown"), [(None, 1), (7, 1), (None, 3), (7, 3)])
def test_integer_lookups_are_the_same(mode, mask, unknown):
    layer = keras.layers.IntegerLookup(
        vocabulary=[5, -1000, 2**40], mask_token=mask, num_oov_indices=unknown, output_mode=mode
    )
    assert_equal(layer, np.array([[5], [-1000], [2**40], [7], [-8], [0]]), (1,))
    assert_equal(layer, np.array([[5, 5, 7], [1, -2, 2**40]]), (3,))


def shout(texts):
    return texts


class Own(keras.layers.StringLookup):
    def call(self, inputs):
        return super().call(inputs)


LAYERS, A = keras.layers, {"vocabulary": ["a"]}
REFUSED = [
    (
        lambda: LAYERS.TextVectorization(standardize=shout, **A),
        "`standardize` is the function shout.*'lower'",
    ),
    (lambda: LAYERS.TextVectorization(split=shout, **A), "`split` is the function shout.*'whitespace'"),
    (lambda: LAYERS.TextVectorization(output_mode="one_hot", **A), "'one_hot' has no counterpart"),
    (lambda: LAYERS.TextVectorization(encoding="latin-1", **A), "`encoding` must be 'utf-8'"),
    (lambda: LAYERS.TextVectorization(), "no vocabulary yet: call `adapt`"),
    (lambda: LAYERS.StringLookup(), "no vocabulary yet"),
    (lambda: LAYERS.IntegerLookup(), "no vocabulary yet"),
    (lambda: LAYERS.StringLookup(num_oov_indices=2, **A), "`num_oov_indices=2` hashes"),
    (lambda: LAYERS.IntegerLookup(num_oov_indices=2, oov_method="farmhash", vocabulary=[1]), "hashes"),
    (lambda: LAYERS.StringLookup(invert=True, **A), "`invert=True`.*`labels`"),
    (lambda: LAYERS.Hashing(3), "hashes its input.*StringLookup"),
    (lambda: Own(**A), "overrides StringLookup.call"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_has_no_counterpart_is_refused_by_name(make, message):
    layer = make()
    with pytest.raises(ArgumentError, match=f"{type(layer).__name__} {layer.name!r}.*{message}"):
        read_layer(layer, (1,))


def test_shapes_that_make_one_vector_of_a_batch_are_refused():
    with pytest.raises(ArgumentError, match=re.escape("must have one axis, not ()")):
        read_layer(keras.layers.StringLookup(output_mode="count", **A), ())
    with pytest.raises(ArgumentError, match="reads an input of the shape"):
        read_layer(keras.layers.TextVectorization(**A), (2,))
