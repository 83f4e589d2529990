"""Models whose floats a file cannot hold: their matrices stay outside of the graphs until it is written."""

import numpy as np
import pytest
from keras_attn_export.recipes import FP16, INT4_MIXED, INT8
from keras_attn_export.tflite import convert, matrix_store
from keras_attn_export.tflite.inspection import inspect_model
from tiny_models import convert_source, layout, tiny, tokenizer

from keras_attn.device.runtime.interpreter import Model
from keras_attn.errors import ArgumentError
from keras_attn.sources.find_source import find_source

NAME = "separate"  # tables of their own, and normalizations before the matrices


def convert_here(name):
    source = find_source(tiny(NAME), tokenizer=tokenizer())
    return convert_source(source, name, buckets=layout(tiny(NAME))[:1], options={"rows": [1]}, recipe=INT8)


@pytest.fixture(scope="module")
def usual():
    return convert_here("usual")


@pytest.fixture(scope="module")
def outside():
    """Convert as large models are, with the matrices behind the flatbuffer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "MOST_FLOATS", 0)
        patch.setattr(matrix_store, "LARGEST_INSIDE", 0)
        return convert_here("outside")


# Rounded to 8 bits, a number on the edge between two becomes another one.
@pytest.mark.parametrize(("kind", "limit"), [("fp32", 2e-5), ("quantized", 2e-2)])
def test_the_file_computes_what_the_usual_one_does(usual, outside, kind, limit):
    file, usual = getattr(outside, kind), getattr(usual, kind)
    info, wanted = inspect_model(file), inspect_model(usual)
    assert info.operators == wanted.operators
    assert info.constant_bytes.get("INT8") == wanted.constant_bytes.get("INT8")
    one, other = Model(file), Model(usual)
    rng = np.random.default_rng(3)
    compared = 0
    for name in one.signatures:
        opened, reference = one.signature(name), other.signature(name)
        assert opened.inputs.keys() == reference.inputs.keys()
        for tensor, view in opened.inputs.items():
            view[...] = rng.integers(0, 3, view.shape) if view.dtype == np.int32 else rng.random(view.shape)
            reference.inputs[tensor][...] = view
        opened.run()
        reference.run()
        assert opened.outputs.keys() == reference.outputs.keys()
        for tensor, found in opened.outputs.items():
            np.testing.assert_allclose(found, reference.outputs[tensor], atol=limit)
            compared += 1
    assert compared > 10


def test_the_matrices_are_behind_the_flatbuffer(outside):
    content = outside.fp32.read_bytes()
    buffers = matrix_store.EditedModel(content).model.buffers
    assert any(each.offset for each in buffers)
    assert all(each.offset % 64 == 0 for each in buffers)


@pytest.mark.parametrize("recipe", [FP16, INT4_MIXED])
def test_a_recipe_that_large_models_do_not_have_is_refused(monkeypatch, recipe):
    monkeypatch.setattr(convert, "MOST_FLOATS", 0)
    source = find_source(tiny(NAME), tokenizer=tokenizer())
    with pytest.raises(ArgumentError, match=f"recipe '{recipe.name}'.* use int8 or fp32"):
        convert_source(source, f"refused-{recipe.name}", buckets=[], options={}, recipe=recipe)
