"""What TensorFlow and the quantizer write for Keras layers passes the check; damaged, it ends no process."""

import os
import signal
import sys

import numpy as np
import pytest
from damage_model import damaged_model
from operator_cases import CASES, file_of
from tiny_layers import converted

from keras_attn.device.errors import BundleError
from keras_attn.device.model_check.model_check import check_model
from keras_attn.device.model_check.model_tables import ModelFile

LIMITS = {"fp32": 1e-4, "fp16": 0.02, "weights": 0.2, "int8": 0.3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of all layers with all recipes."""
    made = tmp_path_factory.mktemp("layers")
    assert len(converted(made)) > 90
    return made


def computed(content, *inputs):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


@pytest.mark.parametrize("recipe", LIMITS)
def test_converted_layers_pass_and_compute_what_keras_computes(folder, recipe):
    for path in sorted(folder.glob(f"*.{recipe}.tflite")):
        content = path.read_bytes()
        check_model(content, path.name)
        with np.load(folder / f"{path.name.split('.')[0]}.npz") as arrays:
            [found] = computed(content, arrays["x"])
            wanted = arrays["y"]
        error = np.abs(found - wanted).max() / max(1, np.abs(wanted).max())
        assert found.shape == wanted.shape and error < LIMITS[recipe], (path.name, error)


def changed(content, change):
    words = np.frombuffer(content + bytes(-len(content) % 4), "<i4").copy()
    change(ModelFile(content, "model"), words)
    return words.tobytes()


def set_constants(old, new, code):
    """Return a change of the one-element constants that operators of a kind read."""

    def change(model, words):
        read = np.unique(model.inputs.values[(model.codes == code)[model.inputs.owners]])
        small = (model.kind[read] == 2) & (model.bytes[read] == 4) & (model.values[read, 0] == old)
        assert small.any()
        words[model.start[read[small]] // 4] = new

    return change


LESS, ADD, CONCATENATION = 58, 0, 2
LOOPS = {
    "more steps than the list has": (set_constants(6, 7, LESS), "has a dynamic shape"),
    "no end": (set_constants(1, 0, ADD), "has a dynamic shape"),
    "a step of two": (set_constants(1, 2, ADD), "has a dynamic shape"),
}


@pytest.mark.parametrize("kind", LOOPS)
def test_a_list_is_written_only_by_a_loop_that_stays_in_it(folder, kind):
    change, message = LOOPS[kind]
    content = (folder / "lstm.fp32.tflite").read_bytes()
    with pytest.raises(BundleError, match=message):
        check_model(changed(content, change), "model")


def test_loops_in_loops_execute_no_more_than_is_accepted(folder):
    content = (folder / "nested loops.fp32.tflite").read_bytes()
    many = changed(changed(content, set_constants(3, 2**16, LESS)), set_constants(4, 2**16, LESS))
    with pytest.raises(BundleError, match="its loops execute more than"):
        check_model(many, "model")


def test_branches_must_fit(folder):
    def swap(model, words):
        options = model.file.root(b"TFL3").children(2)[0].children(3)[0].tables(4)[0]
        branch = np.flatnonzero(model.codes[np.unique(np.flatnonzero(model.options_kind > 0))] == 118)
        [offset] = options.offsets[branch]
        place = offset + int(options._at(0, 4)[branch][0])
        words[place // 4] = 0

    content = (folder / "branched.fp32.tflite").read_bytes()
    with pytest.raises(BundleError, match="IF, operator 2 of subgraph 0: its subgraphs do not fit it"):
        check_model(changed(content, swap), "model")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that ends is one of its own")
def test_300_damaged_models_end_no_process(folder):
    """What is accepted all the same runs in a process of its own; LiteRT may refuse it."""
    wholes = [path.read_bytes() for path in sorted(folder.glob("*.tflite"))] + [
        file_of(name) for name in CASES
    ]
    rng, accepted = np.random.default_rng(5), 0
    for _ in range(300):
        try:
            content, done = damaged_model(wholes[int(rng.integers(len(wholes)))], rng)
        except ValueError:
            continue  # it has nothing of that kind
        try:
            check_model(content, "model")
        except BundleError:
            continue
        accepted += 1
        assert _ends_well(content), done
    assert 5 < accepted < 150


def _ends_well(content):
    child = os.fork()
    if not child:
        signal.alarm(60)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stderr__.fileno())
        try:
            run(content)
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def run(content):
    """Run a model on numbers that are large, negative and zero, whatever the model makes of them."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        numbers = np.resize([0, 1, -1, 2**31 - 1, -(2**31), 3], detail["shape"])
        interpreter.set_tensor(detail["index"], numbers.astype(detail["dtype"]))
    interpreter.invoke()
