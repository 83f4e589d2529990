"""Around the commands: the backend that is chosen, quiet and clean streams, bars, the demo's choice."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from keras_attn.commands import demo
from keras_attn.commands.terminal import environment, screen
from keras_attn.device.proof.checks import Check
from keras_attn.training.progress_bar import TrainingBar

ROOT = Path(__file__).resolve().parents[2]

# ---- environment and screen ----


@pytest.fixture
def no_backend(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "")
    return tmp_path / "keras.json"


def test_the_backend_is_jax_unless_somebody_chose(no_backend, monkeypatch):
    assert environment.choose_backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "")
    no_backend.write_text(json.dumps(environment._UNTOUCHED_KERAS_CONFIG))  # what Keras writes by itself
    assert environment.choose_backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "")
    no_backend.write_text(json.dumps({**environment._UNTOUCHED_KERAS_CONFIG, "epsilon": 1e-6}))
    assert environment.choose_backend() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert environment.choose_backend() == "jax"
    assert environment.choose_backend("tensorflow") == "tensorflow"


def test_a_backend_that_is_not_there_is_refused(no_backend, monkeypatch):
    with pytest.raises(typer.BadParameter, match="must be one of"):
        environment.choose_backend("theano")
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(typer.BadParameter, match="not installed"):
        environment.choose_backend("jax")
    with pytest.raises(typer.BadParameter, match="no backend"):
        environment.choose_backend()


@pytest.mark.parametrize("breaks", [False, True])
def test_tensorflow_loads_silently_unless_it_fails(tmp_path, breaks):
    module = f"import os\nos.write(2, b'chatter')\nassert not {breaks}\nX = 1\n"
    (tmp_path / "tensorflow.py").write_text(module)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from keras_attn.commands.terminal import environment; "
        "environment.quiet_logs(); import tensorflow; print(tensorflow.X); sys.stderr.write('after')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    if breaks:
        assert "chatter" in done.stderr and "AssertionError" in done.stderr
    else:
        assert (done.stdout, done.stderr) == ("1\n", "after")


def test_only_json_reaches_standard_output():
    program = (
        "import os, subprocess, sys; from keras_attn.commands.terminal import screen\n"
        "with screen.stdout_for_json(True) as stream:\n"
        "    print('python'); os.write(1, b'c library\\n'); subprocess.run(['echo', 'child'])\n"
        "    screen.print_json({'ok': True}, stream)\n"
        "print('later')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == '{"ok": true}\nlater\n'
    assert all(word in done.stderr for word in ("python", "c library", "child"))


def test_json_takes_numpy_paths_and_dataclasses(capsys):
    screen.print_json({"a": np.float32(0.5), "b": np.arange(2), "c": Path("x/y"), "d": Check("r", True, "")})
    printed = json.loads(capsys.readouterr().out)
    assert printed["a"] == 0.5 and printed["b"] == [0, 1] and printed["c"] == "x/y"
    assert printed["d"]["name"] == "r"


# ---- progress and demo ----


def test_the_bar_counts_tokens_per_second(capsys):
    now = [100.0]
    with TrainingBar(clock=lambda: now[0]) as bar:
        bar.started(0, 100)
        for step in range(1, 101):
            now[0] += 1.0
            bar.stepped(step, 2.0, 500)
        assert bar.tokens_per_second() == pytest.approx(500)
        bar.evaluated({"step": 100, "validation_loss": 1.25, "bleu": None})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 0 of 100: compiling"
    assert lines[-2] == "step 100 of 100: loss 2.000, 500 tokens/s"
    assert lines[-1] == "step 100  validation loss 1.25"
    assert len(lines) < 10


def test_the_demo_shows_one_date_of_each_script():
    sources = ["5 June 2018", "6 May 2018", "5 июня 2018 г.", "2018年6月5日", "5.6"]
    assert [demo.script(source) for source in sources] == ["Latin", "Latin", "Cyrillic", "CJK", "digits"]
    pairs = list(zip(sources, "abcde", strict=True))
    assert [target for _, target in demo.one_per_script(pairs)] == ["a", "c", "d", "e"]


def test_the_demo_prefers_dates_with_a_word():
    pairs = [("T3/11/24", "a"), ("5 июня 2018 г.", "b"), ("27. jan. 2019", "c"), ("6 May 2018", "d")]
    assert [target for _, target in demo.one_per_script(pairs)] == ["c", "b"]
