"""Examples of models with preprocessing: what a user has, in every form, is recorded for the proof."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_attn.device.proof.prediction_proof import PredictionProof
from keras_attn.device.proof.preprocessing_proof import judge_preprocessing, raw_examples
from keras_attn.errors import KerasAttnError
from keras_attn.sources.prediction_source import prediction_source

CITY = np.array(["oslo", "bern", "kyiv", "rome", "oslo", "bern"], object)
AGE = np.linspace(5, 80, 6, dtype="float32")  # (N,), and the model takes (N, 1)


@pytest.fixture(scope="module")
def model():
    city, age = keras.Input((), dtype="string", name="city"), keras.Input((1,), name="age")
    known = layers.StringLookup(vocabulary=["rome", "oslo", "bern"])(city)
    x = layers.Concatenate()([layers.Embedding(4, 3)(known), age])
    return keras.Model([city, age], layers.Dense(2)(x))


def tensorflow_data():
    return pytest.importorskip("tensorflow").data.Dataset


@pytest.mark.parametrize(
    "examples",
    [
        lambda: {"city": CITY, "age": AGE},
        lambda: {"city": CITY.astype(str).tolist(), "age": AGE[:, None]},
        lambda: [CITY, AGE],
        lambda: (CITY, AGE),
        lambda: ([CITY, AGE], np.zeros(6)),
        lambda: ({"city": CITY[i : i + 2], "age": AGE[i : i + 2]} for i in (0, 2, 4)),
        lambda: tensorflow_data().from_tensor_slices(({"city": CITY, "age": AGE}, AGE)).batch(2),
        lambda: tensorflow_data().from_tensor_slices(((CITY, AGE), AGE)).batch(4),
    ],
    ids=["dict", "lists", "list", "tuple", "targets", "generator", "data", "tuples"],
)
def test_examples_are_recorded_in_every_form(model, examples):
    source = prediction_source(model, examples=examples())
    assert source.raw["city"].tolist() == CITY.tolist()
    assert source.examples.count == 6
    proof = PredictionProof([], [], np.zeros(0), raw=raw_examples(source.raw, source.preprocessing, {}))
    assert judge_preprocessing(proof, source.preprocessing, {}).ok


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"city": CITY}, "age"),
        ({"city": CITY, "age": AGE[:4]}, "'city' 6, 'age' 4"),
        ({"city": CITY[:0], "age": AGE[:0]}, "there are none"),
        ([CITY], "a list of 2"),
    ],
)
def test_examples_that_do_not_fit_are_refused(model, examples, message):
    with pytest.raises(KerasAttnError, match=message):
        prediction_source(model, examples=examples)
