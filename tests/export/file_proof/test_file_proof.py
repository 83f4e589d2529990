"""Files that Keras' own export and TensorFlow's converter made, right and wrong, against their models."""

import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_attn_export.file_proof import interpreter_process
from keras_attn_export.file_proof.interpreter_process import Call, FileFailed, run_calls

import keras_attn
from keras_attn import cli
from keras_attn.errors import ArgumentError

MAKER = Path(__file__).parents[2] / "support" / "tiny" / "foreign_files.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("foreign")
    done = subprocess.run([sys.executable, str(MAKER), str(made)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return made


@pytest.fixture(scope="module")
def model(folder):
    return keras.saving.load_model(folder / "pictures.keras")


def failed(report):
    return {check.name: check.detail for check in report.checks if not check.ok}


def test_a_file_of_keras_own_export_holds(folder, model):
    report = keras_attn.prove(folder / "keras.tflite", model)
    assert report.ok, failed(report)
    assert [check.name for check in report.checks] == [
        "operators", "tensors", "values", "answers", "exchanged",
    ]  # fmt: skip
    outputs = report.signatures["serving_default"]["outputs"]
    assert set(outputs) == {"logits", "other"}
    assert all(each["max_error"] <= 1e-4 for each in outputs.values())


def test_a_file_without_signatures_is_matched_by_the_numbers_of_its_tensors(folder, model):
    report = keras_attn.prove(folder / "unsigned.tflite", model)
    assert report.ok, failed(report)
    assert [each["by"] for each in report.signatures["default"]["outputs"].values()] == ["order", "order"]


def test_quantized_inputs_and_outputs_are_read_by_their_scales(folder, model):
    report = keras_attn.prove(folder / "int8.tflite", model)
    assert report.ok, failed(report)
    outputs = report.signatures["serving_default"]["outputs"].values()
    assert all(0.99 <= each["agreement"] < 1 and each["max_error"] > 1e-4 for each in outputs)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("badly-calibrated", "this file answers garbage"),
        ("swapped-weight", "other weights, or another model"),
        ("other-model", "has cosine -?0.[0-4].: this file answers garbage"),
    ],
)
def test_a_wrong_file_fails_with_a_sentence(folder, model, file, sentence):
    found = failed(keras_attn.prove(folder / f"{file}.tflite", model))
    assert "answers" in found or "values" in found
    assert any(re.search(sentence, detail) for detail in found.values()), found


def test_exchanged_outputs_are_told(folder, model):
    exchanged = keras.Model(model.inputs, model.outputs[::-1])
    assert "is the file's 'output_" in failed(keras_attn.prove(folder / "keras.tflite", exchanged))["answers"]


def test_open_lengths_and_several_inputs(folder):
    report = keras_attn.prove(folder / "reader.tflite", folder / "reader.keras", lengths=[5, 9])
    assert report.ok, failed(report)
    given = {"ids": np.arange(1, 13).reshape(3, 4), "weight": np.array([1.0, 2.0, 3.0])}
    report = keras_attn.prove(folder / "reader.tflite", folder / "reader.keras", examples=given)
    assert report.ok and report.signatures["serving_default"]["examples"] == 3, failed(report)


def test_a_file_that_fails_for_some_examples_is_told_from_one_that_answers_garbage(folder):
    vectors = np.array([[1, 2], [-1, 3], [-1, -2], [2, -1]], "float32")
    report = keras_attn.prove(folder / "unit.tflite", folder / "unit.keras", examples=vectors)
    assert "the file fails for 1 of 4 examples, and the Keras model for none" in failed(report)["values"]
    assert keras_attn.prove(folder / "unit.tflite", folder / "unit.keras", examples=vectors[:2]).ok


def test_operators_that_litert_lacks_are_named(folder, model):
    found = failed(keras_attn.prove(folder / "recurrent.tflite", model))
    assert set(found) == {"operators"} and "FlexTensorList" in found["operators"]


def test_a_model_of_other_inputs_is_refused(folder):
    found = failed(keras_attn.prove(folder / "keras.tflite", folder / "reader.keras"))
    assert "no input of the file is the model's 'ids'" in found["tensors"]


def test_a_file_that_crashes_ends_its_own_process_only(folder, model, monkeypatch):
    run_python = interpreter_process.run_python
    crash = ["-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"]
    monkeypatch.setattr(
        interpreter_process, "run_python", lambda arguments, variables: run_python(crash, variables)
    )
    assert "crashed (SIGSEGV)" in failed(keras_attn.prove(folder / "keras.tflite", model))["runs"]


def test_a_file_that_never_ends_is_ended(folder):
    call = Call(None, {"0": np.ones((1, 4), np.float32)}, ["1"])
    with pytest.raises(FileFailed, match="did not end within 2 seconds at its graph: a loop"):
        run_calls(folder / "endless.tflite", [call], patience=2)


def test_what_is_not_a_file_or_a_model_is_refused(folder, tmp_path, model):
    (tmp_path / "text.tflite").write_text("no model at all")
    (tmp_path / "cut.tflite").write_bytes((folder / "keras.tflite").read_bytes()[:900])
    for file, against, told in (
        (tmp_path / "none.tflite", model, "there is no file"),
        (tmp_path / "text.tflite", model, "not a TFLite model"),
        (tmp_path / "cut.tflite", model, "is damaged"),
        (folder / "keras.tflite", "runs/dates", "path of a .keras file"),
        (folder / "keras.tflite", 3, "not int"),
    ):
        with pytest.raises(ArgumentError, match=told):
            keras_attn.prove(file, against)


def test_the_command_prints_the_report_and_exits_with_1_where_it_fails(folder, capsys):
    right = ["prove", str(folder / "keras.tflite"), "--against", str(folder / "pictures.keras"), "--json"]
    assert cli.run_program(right) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] and found["file"].endswith("keras.tflite")
    wrong = ["prove", str(folder / "swapped-weight.tflite"), *right[2:4]]
    assert cli.run_program(wrong) == 1
    shown = capsys.readouterr()
    assert "The proof fails" in shown.out and "logits" in shown.out
    assert "fails at values" in shown.err
