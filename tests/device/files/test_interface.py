"""Inputs in the forms that `keras.Model.predict` takes: with or without a last axis of 1, alone in a list."""

import numpy as np
import pytest

from keras_attn.device.errors import InputError
from keras_attn.device.files.interface import Field, Interface

AGES = np.arange(4, dtype="float32")


def taking(*fields):
    names = [field.name for field in fields]
    return Interface(fields, (), names if len(names) > 1 else names[0], [])


@pytest.mark.parametrize(
    "given", [AGES, AGES[:, None], [AGES[:, None]], {"age": AGES}, AGES[:, None, None], AGES.tolist()]
)
def test_a_column_may_have_its_last_axis_or_not(given):
    assert taking(Field("age", (1,))).arrays(given)["age"].tolist() == [[0], [1], [2], [3]]


def test_a_last_axis_of_one_is_taken_away_where_there_is_none():
    whole = taking(Field("ids", (None,), "int32"), Field("age", ()))
    found = whole.arrays([np.ones((4, 6, 1)), AGES[:, None]])
    assert found["ids"].shape == (4, 6) and found["age"].shape == (4,)


@pytest.mark.parametrize("given", [np.ones(3), np.ones((2, 3, 2)), np.ones((2, 4)), [np.ones((2, 3))] * 2])
def test_other_shapes_are_refused(given):
    with pytest.raises(InputError, match="the model takes 'x' of shape"):
        taking(Field("x", (3,))).arrays(given)


@pytest.mark.parametrize("kept", [True, False])
def test_inputs_of_different_lengths_need_outputs_without_one(kept):
    """An output would have to end with the length of one of them, as T5's decoder does."""
    inputs = (Field("source", (None,), "int32"), Field("target", (None,), "int32"))
    outputs = (Field("hidden", (None, 4) if kept else (4,)),)
    whole = Interface(inputs, outputs, ["source", "target"], "hidden", padded=True)
    given = {"source": np.ones((2, 7)), "target": np.ones((2, 3))}
    if not kept:
        assert whole.arrays(given)["target"].shape == (2, 3)
        return
    with pytest.raises(InputError, match="'source' 7, 'target' 3; give them the same, filling up"):
        whole.arrays(given)
