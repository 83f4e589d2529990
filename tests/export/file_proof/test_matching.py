"""Which tensor of a file is which input or output of a model."""

import numpy as np
import pytest
from keras_attn_export.file_proof.described_file import FileTensor
from keras_attn_export.file_proof.matching import NoMatch, match

from keras_attn.device.files.interface import Field


def tensors(*described):
    return [
        FileTensor(name, name, i, tuple(shape), dtype) for i, (name, shape, dtype) in enumerate(described)
    ]


def fields(**described):
    return [Field(name, shape, dtype) for name, (shape, dtype) in described.items()]


def matched(side, wanted, given):
    return {name: (each.tensor.name, each.by) for name, each in match(side, wanted, given).items()}


IDS, MASK = (None,), (None,)


def test_names_come_first_also_with_what_converters_put_around_them():
    given = tensors(("serving_default_b:0", (1, 4), "FLOAT32"), ("serving_default_a:0", (1, 4), "FLOAT32"))
    assert matched("input", fields(a=((4,), "float32"), b=((4,), "float32")), given) == {
        "a": ("serving_default_a:0", "name"),
        "b": ("serving_default_b:0", "name"),
    }


def test_shape_and_type_tell_the_rest():
    given = tensors(("x", (1, 7), "BOOL"), ("y", (1, 7), "INT32"), ("z", (None, 7, 3), "FLOAT32"))
    wanted = fields(ids=(IDS, "int32"), mask=(MASK, "bool"), values=((None, 3), "float32"))
    assert matched("input", wanted, given) == {
        "ids": ("y", "shape and type"),
        "mask": ("x", "shape and type"),
        "values": ("z", "shape and type"),
    }


def test_ids_may_be_floats_in_the_file():
    given = tensors(("args_0", (1, 7), "FLOAT32"))
    assert matched("input", fields(ids=(IDS, "int32")), given) == {"ids": ("args_0", "being the only one")}


@pytest.mark.parametrize(
    "names",
    [
        ["Identity", "Identity_1", "Identity_2"],
        ["output_0", "output_1", "output_10"],
        ["StatefulPartitionedCall_1:0", "StatefulPartitionedCall_1:1", "StatefulPartitionedCall_1:2"],
    ],
)
def test_numbers_in_names_give_the_order(names):
    given = tensors(*((name, (1, 2), "FLOAT32") for name in (names[2], names[0], names[1])))
    wanted = fields(**{name: ((2,), "float32") for name in ("first", "second", "third")})
    assert [tensor for tensor, _ in matched("output", wanted, given).values()] == names


@pytest.mark.parametrize(
    ("side", "given", "told"),
    [
        ("input", [("x", (1, 2), "FLOAT32"), ("y", (1, 2), "FLOAT32")], "may each be several"),
        ("input", [("one", (1, 2), "FLOAT32"), ("second", (1, 3), "FLOAT32")], "no input of the file"),
        ("output", [("one", (1, 2), "FLOAT32")], "no output of the file is the model's 'two'"),
        (
            "input",
            [("one", (1, 2), "FLOAT32"), ("two", (1, 2), "FLOAT32"), ("state", (1, 2), "FLOAT32")],
            "the file also takes 'state'",
        ),
        ("input", [("one", (1, 2), "STRING"), ("two", (1, 2), "FLOAT32")], "is not the model's 'one'"),
    ],
)
def test_what_cannot_be_told_is_refused(side, given, told):
    with pytest.raises(NoMatch, match=told):
        match(side, fields(one=((2,), "float32"), two=((2,), "float32")), tensors(*given))


@pytest.mark.parametrize(
    ("dtype", "values", "stored"),
    [
        ("UINT8", [-1.0, 0.0, 0.5, 99.0], [118, 128, 133, 255]),
        ("FLOAT16", [0.5, -2.0], [0.5, -2.0]),
        ("INT64", [3, 4], [3, 4]),
        ("BOOL", [1, 0], [True, False]),
    ],
)
def test_values_are_stored_as_the_tensor_has_them_and_read_back(dtype, values, stored):
    scaled = {"scale": 0.1, "zero_point": 128} if dtype == "UINT8" else {}
    tensor = FileTensor("x", "x", 0, (len(values),), dtype, **scaled)
    found = tensor.stored(np.array(values))
    assert found.dtype.name == dtype.lower() and found.tolist() == stored
    kept = slice(0, 3 if scaled else None)  # the last is beyond what 8 bits reach
    np.testing.assert_allclose(tensor.read(found)[kept], values[kept], atol=1e-6)


def test_an_output_more_is_left_out():
    given = tensors(("one", (1, 2), "FLOAT32"), ("more", (1, 2), "FLOAT32"))
    assert matched("output", fields(one=((2,), "float32")), given) == {"one": ("one", "name")}
