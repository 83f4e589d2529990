"""The recurrent models' lowerings compute what the Keras models compute."""

import pytest
from keras_attn_export.tflite.inspection import inspect_model
from lockstep import differences
from tiny_models import converted, tiny


@pytest.mark.parametrize(("length", "rows"), [(3, 1), (5, 2), (8, 1)])
@pytest.mark.parametrize("name", ["rnnsearch", "seq2seq"])
def test_fp32_equals_keras_at_every_step(name, length, rows):
    found = differences(tiny(name), converted(name).fp32, length, rows)
    assert found["spread"] > 0.3  # or else equality would say little
    assert found["scores"] < 1e-4
    assert found["alignment"] < 1e-5


@pytest.mark.parametrize("name", ["rnnsearch", "seq2seq"])
@pytest.mark.parametrize(("length", "rows"), [(3, 1), (5, 2)])
def test_int8_is_close(name, length, rows):
    found = differences(tiny(name), converted(name).quantized, length, rows)
    assert 1e-5 < found["scores"] < 1.0
    assert found["alignment"] < 0.1


def test_only_models_with_attention_return_alignments():
    steps = [
        inspect_model(converted(name).fp32).signatures["step_8_16_1"] for name in ("rnnsearch", "seq2seq")
    ]
    assert ["alignment" in step.outputs for step in steps] == [True, False]
    assert set(steps[1].inputs) == {"tokens", "state", "context"}
