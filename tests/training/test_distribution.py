"""Several devices and hosts train as one device does, and interrupted trainings end as undisturbed ones do.

Everything runs in processes of its own, on CPU devices that XLA makes up.
"""

import json
import socket

import keras
import pytest
from distributed_training import write_corpus
from interruptions import differences, finish, interrupt, losses, start

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="keras.distribution runs on JAX")

HALVES = {"config": {"accumulate": 2}}
OFTEN = {**HALVES, "run_options": {"checkpoint_every": 2}}
EVERYTHING = {
    "distribution": "model",
    "mesh": "4x2",
    "shard_optimizer": True,
    "remat": True,
    "checkpoint_every": 7,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, and what compiling it gave, for all processes of this file."""
    folder = tmp_path_factory.mktemp("distribution")
    write_corpus(folder / "corpus")
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """Start a training that has a name, and keeps what it compiles for the next one."""

    def run(name, asked, devices=1, **environment):
        cache = {
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        return start(folder / "corpus", folder / name, asked, devices, **cache, **environment)

    return run


@pytest.fixture(scope="module")
def one_device(folder, run):
    """The training that all others are compared with."""
    code, said = finish(run("one", OFTEN))
    assert code == 0, said
    return folder / "one"


def agree(one, other):
    """Losses of 20 steps to 1e-5, and what the evaluations found to the digits of history.csv."""
    first, second = losses(one), losses(other)
    assert list(second) == list(first) == list(range(1, 21))
    for step, (loss,) in first.items():
        assert second[step][-1] == pytest.approx(loss, rel=1e-5)
    rows = [(output / "history.csv").read_text("utf-8").splitlines() for output in (one, other)]
    assert [row.split(",")[4:7] for row in rows[0]] == [row.split(",")[4:7] for row in rows[1]]
    results = [json.loads(output.with_name(f"{output.name}.result").read_text()) for output in (one, other)]
    assert results[0] == results[1]


@pytest.mark.parametrize(("name", "run_options"), [("data", {"distribution": "data"}), ("model", EVERYTHING)])
def test_eight_devices_train_as_one(folder, run, one_device, name, run_options):
    code, said = finish(run(name, {**HALVES, "run_options": run_options}, devices=8))
    assert code == 0, said
    agree(one_device, folder / name)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def together(run, name, asked, devices):
    """Run one process for each of what is asked, which find each other."""
    address = f"127.0.0.1:{free_port()}"
    processes = [
        run(
            name,
            each,
            devices,
            KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
            KERAS_DISTRIBUTION_NUM_PROCESSES=str(len(asked)),
            KERAS_DISTRIBUTION_PROCESS_ID=str(number),
        )
        for number, each in enumerate(asked)
    ]
    return [finish(process) for process in processes]


def test_two_processes_train_as_one(folder, run, one_device):
    asked = {**HALVES, "run_options": {"distribution": "model", "mesh": "2x2", "checkpoint_every": 7}}
    for code, said in together(run, "two", [asked, asked], devices=2):
        assert code == 0, said
    agree(one_device, folder / "two")


def test_hosts_that_disagree_raise_with_the_differences(run):
    asked = {"run_options": {"distribution": "data"}}
    other = {**asked, "config": {"seed": 7, "learning_rate": 1e-4}}
    for code, said in together(run, "disagreeing", [asked, other], devices=1):
        assert code == 2
        assert "2 hosts disagree on learning_rate, seed" in said


def test_killed_and_preempted_trainings_end_bit_equal(folder, run, one_device):
    figures = interrupt(folder / "corpus", folder / "interrupted", OFTEN, kills=2, terms=1)
    assert figures["killed"] + figures["saved_and_left"] >= 2
    assert differences(one_device, folder / "interrupted") == []


def test_training_resumes_on_fewer_devices(folder, run, one_device):
    asked = {**HALVES, "run_options": {"distribution": "data", "shard_optimizer": True}}
    stopping = run("fewer", {**asked, "stop_at": 12}, devices=8)
    code, said = finish(stopping)
    assert code == 75, said
    assert max(losses(folder / "fewer")) == 12
    asked = {**HALVES, "run_options": {"distribution": "model", "mesh": "2x2"}, "resume": True}
    code, said = finish(run("fewer", asked, devices=4))
    assert code == 0, said
    agree(one_device, folder / "fewer")


REFUSALS = [
    ({"run_options": {"distribution": "data", "mesh": "3"}}, "`mesh` 3 has 3 devices, but there are 8"),
    ({"run_options": {"distribution": "model"}}, "needs a `mesh` of two numbers, such as 4x2"),
    ({"run_options": {"distribution": "model", "mesh": "1x8"}}, "`num_heads` 4 is not divided by 8"),
    ({"run_options": {"distribution": "data"}, "config": {"accumulate": 3}}, "a multiple of 24 rows"),
    (
        {"run_options": {"distribution": "data"}, "task": "masked-lm", "config": {"batch_size": 12}},
        "Batches of 12 rows cannot be divided evenly among 8 devices",
    ),
    (
        {"run_options": {"remat": True}, "config": {"model": "seq2seq"}},
        "`remat` needs a model of Transformer blocks, and Seq2SeqRNN has none",
    ),
]


def test_impossible_options_raise_before_writing(folder, run):
    code, said = finish(run("refused", [asked for asked, _ in REFUSALS], devices=8))
    assert code == 0, said
    for _, reason in REFUSALS:
        assert reason in said
    assert not losses(folder / "refused")
    assert not (folder / "refused").exists()
