"""Whole training steps compiled ahead of time for TPUs, without one: what `keras-attn plan` finds."""

import functools
import importlib.util

import pytest

from keras_attn.planning import compiling
from keras_attn.planning.request import Request
from keras_attn.planning.verdict import judge
from keras_attn.training.config.run_options import RunOptions

pytestmark = pytest.mark.tpu

SMALL = {"sequence": 64, "batch_tokens": 2048, "vocabulary_size": 4096}
DATA = RunOptions("data")
CASES = {
    "bert, data": Request("bert-tiny", "v5e:2x2", DATA, **SMALL),
    "bert, model": Request("bert-tiny", "v6e:2x2", RunOptions("model", "2x2"), **SMALL),
    "gpt2, data": Request("gpt2-tiny", "v5p:2x2x1", DATA, **SMALL),
    "gpt2, model": Request("gpt2-tiny", "v5e:2x2", RunOptions("model", "2x2"), **SMALL),
    "transformer, model": Request(
        "transformer-tiny", "v5e:2x2", RunOptions("model", "2x2"), attention_dropout=0.1, **SMALL
    ),
    "splash": Request("bert-tiny", "v5e:2x2", RunOptions("model", "2x2"), attention_dropout=0.0, **SMALL),
    "a pod": Request("bert-tiny", "v5e:16x16", DATA, sequence=64, vocabulary_size=4096),
    # An axis of the mesh that is no axis of the slice.
    "a pod, model": Request(
        "bert-tiny", "v5e:16x16", RunOptions("model", "128x2"), sequence=64, vocabulary_size=4096
    ),
}


@pytest.fixture(scope="module")
def planned():
    if importlib.util.find_spec("libtpu") is None and not (compiling.LIBTPU / "libtpu").is_dir():
        pytest.skip("libtpu is not installed: `make test` puts it into .venv/tpu where it can be had")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_OPTIMIZATION_LEVEL", "O0")  # compiles in a fraction of the time
        yield functools.cache(lambda name: compiling.plan(CASES[name]))


@pytest.mark.parametrize("name", CASES)
def test_a_step_compiles_in_place_without_waste(planned, name):
    found = planned(name)
    assert found["method"] == "compiled"
    # So small a model has much beside its matrix products, and splash attention's kernels compute some twice.
    assert 1 <= found["flops_per_chip"] / found["theoretical_flops_per_chip"] <= 1.25
    assert judge(CASES[name], found)["fits"]
    # Weights and optimizer come out where they went in.
    assert found["donated_bytes"] >= found["state_bytes"]
    assert found["bytes_per_chip"] < 2 * found["estimated_bytes"]


@pytest.mark.parametrize("name", [name for name in CASES if "model" in name or name == "splash"])
def test_sharded_model_is_never_gathered(planned, name):
    collectives = planned(name)["collectives"]
    assert set(collectives) == {"all-reduce"}
    layers, per_layer = (8, 5) if name.startswith("transformer") else (2, 4)
    # Two all-reduces forward and two backward; with an encoder's memory, up to six, for it.
    assert 0 < collectives["all-reduce"]["in_blocks"] <= layers * per_layer


def test_data_parallel_chips_exchange_only_gradients(planned):
    found = planned("bert, data")["collectives"]
    assert set(found) == {"all-reduce"}
    assert found["all-reduce"]["count"] < 8


def test_splash_attention_is_used_where_nothing_is_dropped(planned):
    assert planned("splash")["kernels"] == {"splash": 2 * 3}  # forward, and two for the gradients
    assert planned("bert, model")["kernels"] == {}


def test_compiler_out_of_memory_is_reported_with_figures():
    # So large a vocabulary needs 17 GiB for the table and its two moments alone.
    asked = Request("bert-tiny", "v5e:2x2", DATA, sequence=16, batch_tokens=64, vocabulary_size=12_000_000)
    found = compiling.plan(asked)
    judged = judge(asked, found)
    assert found["method"] == "compiled" and found["hbm_bytes"] == 15.75 * 2**30
    assert found["bytes_per_chip"] > found["state_bytes"] > found["hbm_bytes"]
    assert not judged["fits"] and "--distribution model" in " ".join(judged["advice"])


def test_oversized_batch_is_reported_without_compiling():
    asked = Request("bert-tiny", "v5e:2x2", DATA, sequence=512, batch_tokens=2**25, vocabulary_size=4096)
    found = compiling.plan(asked)
    judged = judge(asked, found)
    assert found["method"] == "estimated" and "times the memory" in found["reason"]
    assert not judged["fits"] and "it does not fit, by" in judged["verdict"]
    assert any(line.startswith("--batch-tokens") for line in judged["advice"])
