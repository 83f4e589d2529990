"""What both programs print for models of arrays, with a function in place of the model."""

import json
from typing import Any

import numpy as np
import pytest

from keras_attn.device.array_answers import plain, print_predictions, read_input, write_predictions
from keras_attn.device.errors import InputError
from keras_attn.device.files.input_arrays import read_input_arrays
from keras_attn.device.files.interface import Field, Interface


class Sums:
    """Sums and negates a signal of three values; `opening` is as of an object without a bundle."""

    opening = None
    interface = Interface(
        (Field("x", (3,)),), (Field("sum", ()), Field("negative", (3,))), "x", {"sum": "sum", "n": "negative"}
    )

    def arrays(self, inputs):
        return self.interface.arrays(inputs)

    def outputs(self, arrays):
        return {"sum": arrays["x"].sum(1), "negative": -arrays["x"]}


SUMS: Any = Sums()


def printed(capsys, *given, as_json=False):
    complaints = []
    code = print_predictions(SUMS, given, as_json, complaints.append)
    return code, [line and json.loads(line) for line in capsys.readouterr().out.splitlines()], complaints


def test_outputs_are_printed_by_name_with_the_digits_of_float32(capsys):
    code, lines, _ = printed(capsys, "[[0.1, 0.2, 0.5]]", '{"x": [[1, 2, 3], [4, 5, 6]]}')
    assert code == 0
    assert lines[0]["negative"] == [[-0.1, -0.2, -0.5]]
    assert lines[1]["sum"] == [6, 15]


def test_json_has_the_input_and_all_outputs(capsys, tmp_path):
    path = str(tmp_path / "x.npy")
    np.save(path, np.ones((2, 3), np.float32))
    code, lines, _ = printed(capsys, "[[1, 2, 3]]", path, as_json=True)
    assert code == 0
    assert lines[0] == {"input": [[1, 2, 3]], "outputs": {"sum": [6.0], "negative": [[-1.0, -2.0, -3.0]]}}
    assert lines[1]["input"] == path and lines[1]["outputs"]["sum"] == [3.0, 3.0]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("[[1, 2]]", "takes 'x' of shape (batch, 3)"),
        ("[1, 2, 3]", "needs a leading batch axis"),
        ('{"y": [[1, 2, 3]]}', "lack 'x' and have 'y'"),
        ("[[1, 2, NaN]]", "holds NaN"),
        ("5", "is one value"),
        ("hello", "nor JSON"),
        ("", "nor JSON"),
        ("none.npz", "There is no file"),
        ("[" * 100_000, "nor JSON"),
    ],
)
def test_a_bad_input_keeps_its_place_and_does_not_end_the_others(capsys, given, told):
    code, lines, complaints = printed(capsys, given, "[[1, 2, 3]]")
    assert code == 2 and lines[0] == "" and lines[1]["sum"] == [6.0]
    assert len(complaints) == 1 and told in complaints[0] and "\n" not in complaints[0]
    _, lines, _ = printed(capsys, given, as_json=True)
    assert lines[0]["input"] == given and told in lines[0]["error"]


def test_values_that_json_lacks_are_null():
    assert plain(np.array([[1.5, np.nan], [-np.inf, 0.1]], np.float32)) == [[1.5, None], [None, 0.1]]
    assert plain(np.array([3, 4], np.int32)) == [3, 4]


def test_outputs_are_written_to_a_file(tmp_path):
    path, inputs = tmp_path / "out.npz", str(tmp_path / "in.npz")
    np.savez(inputs, x=np.ones((2, 3)))
    write_predictions(SUMS, [inputs], str(path))
    with np.load(path) as written:
        assert written["sum"].tolist() == [3, 3]
    for given, output, told in (
        ([inputs], "out.txt", "written as .npz"),
        ([inputs, inputs], str(path), "one input"),
        (["-"], str(path), "one input"),
        ([inputs], inputs, "would overwrite the inputs"),
    ):
        with pytest.raises(InputError, match=told):
            write_predictions(SUMS, given, output)


def test_files_hold_an_array_several_by_name_or_in_order(tmp_path):
    a, b = np.arange(3), np.ones((2, 2), bool)
    np.savez(tmp_path / "named.npz", a=a, b=b)
    np.savez(tmp_path / "one.npz", a)
    np.savez(tmp_path / "two.npz", a, b)
    assert set(read_input_arrays(tmp_path / "named.npz")) == {"a", "b"}
    assert read_input(str(tmp_path / "one.npz")).tolist() == [0, 1, 2]
    assert [each.shape for each in read_input_arrays(tmp_path / "two.npz")] == [(3,), (2, 2)]
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "named.npz").read_bytes()[:150])
    (tmp_path / "text.npy").write_text("text")
    for name in ("none.npz", "objects.npy", "cut.npz", "text.npy"):
        with pytest.raises(InputError, match=name):
            read_input_arrays(tmp_path / name)
