"""Keras models as users write them: exported in fp32 and int8, proved, and run on inputs of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import Browser
from cache import MissingError
from environments import OLD, Environment
from keras_attn_export import single_file
from proving import prove
from web_browser import require_browser

pytestmark = pytest.mark.filterwarnings("ignore")

SUPPORT = Path(__file__).parents[1] / "support"
NAMES = (  # noqa: SIM905
    # recurrent
    "masked_lstm bidirectional_tagger masked_series stacked_cells backwards states conv_lstm time_series "
    "series_autoencoder "
    # attention
    "keras_transformer causal_groups luong our_encoder our_rotary our_classifier our_bahdanau "
    # images and signals
    "residual mobile unet audio patches augmented autoencoder "
    # structures
    "mixed_inputs nested_outputs towers categories operations chosen_label nested_models many_activations "
    # other functions and numbers
    "tables elementary volumes sound scanned "
    # own classes, policies, LoRA
    "registered keras_file tagger loop mixed_float16 mixed_bfloat16 adapted fitted "
    # KerasHub
    "hub_bert hub_roberta hub_distil_bert hub_albert hub_electra hub_xlm_roberta hub_deberta hub_f_net "
    # all in 16 bits, weights too
    "bfloat16"
).split()
REFUSED = ["vae", "stateful", "counting", "mixing", "inverse", "bicubic", "quantized", "unbuilt"]


def lines(backend, module, *arguments):
    """Run a module of the zoo in a process with a backend; return what it printed, by name."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join([str(SUPPORT), *(entry or os.getcwd() for entry in sys.path)]),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"zoo.{module}", *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}


OLD_RUNTIME = NAMES[::3]
"""Those that tflite-runtime 2.14 proves, in int8-weights."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="module")
def exported(bundles):
    asked = [f"{name},fp32,int8,int8-weights" if name in OLD_RUNTIME else name for name in NAMES]
    return lines("tensorflow", "export_zoo", bundles, *asked)


def failing(bundles, environment, program):
    """Why the proofs of bundles fail in an environment, by name."""
    try:
        results = list(prove(bundles, environment, program))
    except MissingError as error:
        pytest.skip(str(error))
    assert len(results) == len(bundles)
    return {path.name: there.says for path, there in results if not (there.listed and there.right)}


@pytest.fixture(scope="module")
def refusals():
    return lines("tensorflow", "refuse_zoo", *REFUSED)


@pytest.mark.parametrize("name", NAMES)
def test_device_predicts_what_keras_does(exported, name):
    found = exported[name]
    assert "error" not in found, found["error"]
    assert found["fp32"]["error"] <= 1e-4
    assert found["int8"]["cosine"] >= 0.99


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_layer_the_operator_and_a_remedy(refusals, name):
    found = refusals[name]
    assert found["missing"] == [], found["message"]
    assert found["kind"] in ("ArgumentError", "ExportError")
    assert found["left"] == []


@pytest.mark.web
def test_browsers_repeat_the_proofs_of_all(bundles, exported):
    require_browser()
    assert failing([bundles / f"{name}-int8" for name in exported], Browser(), Path()) == {}


@pytest.mark.device
def test_the_old_runtime_repeats_the_proofs_of_a_third(bundles, exported, tmp_path):
    program = single_file.write_single_file(tmp_path / single_file.NAME)
    old = Environment("tflite-runtime", OLD, numpy="numpy<2")
    assert failing([bundles / f"{name}-int8-weights" for name in OLD_RUNTIME], old, program) == {}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_models_of_other_backends(backend, tmp_path):
    if backend == "torch":
        pytest.importorskip("torch")
    names = ["masked_lstm", "registered_with_config"]
    for found in lines(backend, "export_zoo", tmp_path, *names).values():
        assert "error" not in found, found["error"]
        assert found["fp32"]["error"] <= 1e-4
        assert found["int8"]["cosine"] >= 0.99
