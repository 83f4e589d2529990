"""One layer, one answer: the outputs of every layer agree between the backends."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BACKENDS = ("tensorflow", "torch")


def outputs(backend, folder):
    environment = {**os.environ, "KERAS_BACKEND": backend}
    file = folder / f"{backend}.npz"
    program = Path(__file__).parents[1] / "support" / "layer_cases.py"
    subprocess.run([sys.executable, program, file], env=environment, check=True)
    return dict(np.load(file))


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return outputs("jax", tmp_path_factory.mktemp("jax"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_agree_with_those_of_jax(backend, reference, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    found = outputs(backend, tmp_path)
    assert found.keys() == reference.keys()
    errors = {name: float(np.abs(found[name] - reference[name]).max()) for name in reference}
    assert max(errors.values()) < 1e-5, errors
