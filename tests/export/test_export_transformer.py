"""The Transformer's lowering computes what the Keras model computes."""

import numpy as np
import pytest
from keras_attn_export.buckets import choose_buckets, sharing_steps
from keras_attn_export.recipes import FP32, RECIPES
from keras_attn_export.tflite.compact import compact
from keras_attn_export.tflite.convert import ConversionError, convert
from keras_attn_export.tflite.inspection import check_model, inspect_model
from keras_attn_export.tflite.int4_selection import matrices
from keras_attn_export.tflite.quantize import quantize
from lockstep import differences
from tiny_models import converted, tiny

from keras_attn.device.tasks.translator import default_max_length


@pytest.mark.parametrize(("length", "rows"), [(3, 1), (5, 2), (8, 1)])
@pytest.mark.parametrize("name", ["transformer", "marian", "separate", "t5", "umt5"])
def test_fp32_equals_keras_at_every_step(name, length, rows):
    found = differences(tiny(name), converted(name).fp32, length, rows)
    assert found["spread"] > 0.5  # or else equality would say little
    assert found["scores"] < 1e-4
    assert found["alignment"] < 1e-5


@pytest.mark.parametrize("name", ["transformer", "marian"])
@pytest.mark.parametrize(("length", "rows"), [(3, 1), (5, 2)])
def test_int8_is_close(name, length, rows):
    found = differences(tiny(name), converted(name).quantized, length, rows)
    assert 1e-5 < found["scores"] < 0.5 * found["spread"]  # garbage would be off by more than the spread
    assert found["alignment"] < 0.1


@pytest.mark.parametrize("recipe", ["fp16", "int8-weights"])
def test_other_recipes_are_closer(recipe, tmp_path):
    chosen = RECIPES[recipe]
    content = quantize(converted("transformer").raw.read_bytes(), chosen.weights, chosen.activations)
    file = tmp_path / "model.tflite"
    file.write_bytes(compact(content))
    info = inspect_model(file)
    assert check_model(info, chosen.dtypes) == []
    assert max(info.versions["FULLY_CONNECTED"]) < 12  # an old runtime may run it
    # The largest difference of one random input says little: six of them.
    found = [differences(tiny("transformer"), file, 5, 2, seed=seed) for seed in range(6)]
    errors, spreads = ([each[name] for each in found] for name in ("scores", "spread"))
    assert np.mean(errors) < {"fp16": 0.02, "int8-weights": 0.25}[recipe] * np.mean(spreads)


def test_four_bits_compute_the_model(tmp_path):
    content = converted("transformer").raw.read_bytes()
    [matrix] = [each for each in matrices(content) if each.name == "encoder_layer_1/feedforward_output_dense"]
    file = tmp_path / "model.tflite"
    file.write_bytes(compact(quantize(content, "int8", "int8", matrix.operators)))
    assert inspect_model(file).constant_bytes["INT4"] == matrix.weights // 2
    found = differences(tiny("transformer"), file, 3, 1)
    wide = differences(tiny("transformer"), converted("transformer").quantized, 3, 1)
    assert wide["scores"] < found["scores"] < 0.5 * found["spread"]


def test_unknown_configuration_is_refused_with_every_reason(tmp_path):
    from keras_attn_export.buckets import Bucket
    from keras_attn_export.tflite.convert import find_lowering
    from tiny_models import tokenizer

    from keras_attn.sources.find_source import find_source

    source = find_source(tiny("transformer"), tokenizer=tokenizer())
    config = {**source.config, "activation": "selu", "rotary": True}
    with pytest.raises(ConversionError, match=r"rotary.*activation='selu'"):
        convert(
            tmp_path,
            config=config,
            weights=source.weights(),
            lowering=find_lowering("Transformer"),
            buckets=[Bucket(4, 8)],
            options={"rows": [1]},
            recipe=FP32,
        )


@pytest.mark.parametrize(
    ("lengths", "rooms", "targets"),
    [
        ((16, 32, 64), (32, 32, 64), ((16, 32, 128),) * 3),
        ((16, 32, 64, 128), (32, 32, 128, 128), (*((16, 32, 128),) * 2, *((32, 64, 256),) * 2)),
        (((16, 32), (24, 48), (32, 64)), (32, 32, 32), ((16, 64),) * 3),
        (((16, 100), (32, 80), (64, 64)), (16, 32, 64), ((25, 100), (20, 80), (16, 64))),
    ],
)
def test_sources_of_up_to_twice_the_length_share_their_steps(lengths, rooms, targets):
    shared = sharing_steps(choose_buckets(lengths, 256))
    assert tuple(bucket.step_source for bucket in shared) == rooms
    assert tuple(bucket.targets for bucket in shared) == targets


def test_bucket_is_chosen_by_the_source():
    """But the longest ones, which have no larger bucket to go to."""
    for bucket in sharing_steps(choose_buckets((16, 32, 64, 128), 256))[:-1]:
        assert bucket.target >= default_max_length(bucket.source)
