"""How a training starts and ends: in a folder of its own, on a full disk, in a process that lives on."""

import dataclasses
import errno
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_training import Listener, TinyTraining, interrupted, train_tiny, weights

from keras_attn.device.files import atomic_write as output_file
from keras_attn.training import TrainingError, load_run
from keras_attn.training import checkpoints as checkpoints_module
from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.history import read_history
from keras_attn.training.sigterm import sigterm_requested

pytestmark = pytest.mark.usefixtures("quick_curves")


# ---- beginning ----


@pytest.mark.parametrize("every", [0, 1])
def test_finish_writes_the_model_of_an_interrupted_training(whole, config, tmp_path, every):
    with pytest.raises(KeyboardInterrupt):
        saving = RunOptions(checkpoint_every=every)
        train_tiny(config, tmp_path / "run", progress=Listener(10), run_options=saving)
    listener = Listener()
    finish = RunOptions(finish=True)
    result = train_tiny(config, tmp_path / "run", resume=True, progress=listener, run_options=finish)
    assert not listener.losses
    assert result.steps == read_history(tmp_path / "run")[-1]["step"] == (9 if every else 8)
    assert all(np.isfinite(each).all() for each in weights(tmp_path / "run"))
    with pytest.raises(TrainingError, match=r"`finish` .* has none"):
        train_tiny(config, tmp_path / "other", run_options=finish)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("left", ["run.json", "tokenizer.json", "part"])
def test_run_folder_without_a_checkpoint_is_restarted(whole, config, tmp_path, resume, left):
    folder, losses = whole
    interrupted(config, tmp_path / "run", at=1)
    assert (tmp_path / "run" / "run.json").is_file() and (tmp_path / "run" / ".lock").exists()
    if left != "run.json":
        (tmp_path / "run" / "run.json").unlink()
    if left == "part":
        (tmp_path / "run" / ".tokenizer.json.part-00.json").write_text("half", "utf-8")
        (tmp_path / "run" / "checkpoints").mkdir()
        (tmp_path / "run" / "checkpoints" / "step-0000002.orbax-checkpoint-tmp").mkdir()
    again = Listener()
    train_tiny(config, tmp_path / "run", resume=resume, progress=again)
    assert again.losses == losses
    names = [{path.name for path in (tmp_path / name).iterdir()} for name in ("run", folder)]
    assert names[0] == names[1]


def test_other_folders_are_kept(config, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("mine", "utf-8")
    with pytest.raises(TrainingError, match="already exists"):
        train_tiny(config, folder)
    train_tiny(config, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")  # somebody spares the room
    with pytest.raises(TrainingError, match="already exists"):
        train_tiny(config, tmp_path / "run")
    with pytest.raises(TrainingError, match="There is no checkpoint"):
        train_tiny(config, tmp_path / "run", resume=True)
    assert (folder / "tokenizer.json").read_text() == "mine" and load_run(tmp_path / "run")


def test_second_training_in_one_folder_is_refused(config, tmp_path):
    class Second(Listener):
        def stepped(self, step, loss, target_tokens):
            if step == 5:
                for resume in (True, False):
                    with pytest.raises(
                        TrainingError, match=r"run (is in use by another training|already exists)"
                    ):
                        train_tiny(config, tmp_path / "run", resume=resume)
                with pytest.raises(TrainingError, match="is in use by another training"):
                    train_tiny(config, tmp_path / "run", resume=True)
                self.notes.append("refused")

    listener = Second()
    train_tiny(config, tmp_path / "run", progress=listener)
    assert "refused" in listener.notes
    train_tiny(config, tmp_path / "run", resume=True)  # the lock is gone with the first


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_the_lock_goes_with_its_process(config, tmp_path):
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run" / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(TrainingError, match="is in use by another training"):
            train_tiny(config, tmp_path / "run")
        holder.kill()
    train_tiny(config, tmp_path / "run")


def test_refused_training_leaves_no_files(config, tmp_path):
    class Refused(TinyTraining):
        def describe(self):
            raise TrainingError("no")

    from keras_attn.training.start import run_training

    with pytest.raises(TrainingError, match="no"):
        run_training(Refused, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- a full disk ----


@pytest.mark.parametrize("name", ["run.json", "tokenizer.json", "history.csv", "model.keras", "step-0000004"])
def test_full_disk_is_reported_and_training_can_resume(whole, config, tmp_path, monkeypatch, name):
    folder, losses = whole
    full = OSError(errno.ENOSPC, "No space left on device")

    def fails(real, which):
        def write(path, *arguments):
            if which in str(path):
                raise full
            return real(path, *arguments)

        return write

    with monkeypatch.context() as broken:
        broken.setattr(output_file.Path, "replace", fails(Path.replace, name))
        broken.setattr(checkpoints_module, "write_checksums", fails(checkpoints_module.write_checksums, name))
        with pytest.raises(TrainingError, match=r"cannot be written: .*No space left") as caught:
            train_tiny(config, tmp_path / "run")
    remedy = "--resume" if (tmp_path / "run").exists() else "start again"
    assert "\n" not in str(caught.value) and remedy in str(caught.value)
    again = Listener()
    train_tiny(config, tmp_path / "run", resume=(tmp_path / "run").exists(), progress=again)
    assert again.losses.items() <= losses.items()
    names = [sorted(path.name for path in (tmp_path / each).iterdir()) for each in ("run", folder)]
    assert names[0] == names[1]
    for mine, theirs in zip(weights(tmp_path / "run"), weights(folder), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_disk_that_takes_a_part_of_an_array_is_named(config, tmp_path, monkeypatch):
    def takes_a_part(*arguments, **options):
        raise OSError("948921 requested and 524256 written")  # all that NumPy says

    monkeypatch.setattr(output_file.Path, "replace", takes_a_part)
    with pytest.raises(TrainingError, match=r"run cannot be written: is the disk full\?.*then start again"):
        train_tiny(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_full_disk_raises_before_a_checkpoint_is_written(config, tmp_path, monkeypatch):
    class Fills(Listener):
        def evaluated(self, row):
            if row["step"] == 6:
                monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))

    with pytest.raises(TrainingError, match=r"No space left on device.*needs \d+ bytes, and 0 are free"):
        train_tiny(config, tmp_path / "run", progress=Fills())
    left = (tmp_path / "run" / "checkpoints").iterdir()
    assert {path.name for path in left} == {"step-0000004", "step-0000006"}


# ---- the process ----


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_process_state_is_restored(config, tmp_path, ends):
    config = dataclasses.replace(config, precision="bfloat16")
    keras.utils.set_random_seed(5)
    random.random(), np.random.random(), keras.random.uniform(())
    policy, states = keras.config.dtype_policy(), (random.getstate(), str(np.random.get_state()))
    expected = float(keras.random.uniform(()))
    keras.utils.set_random_seed(5)
    random.random(), np.random.random(), keras.random.uniform(())
    if ends == "well":
        train_tiny(config, tmp_path / "run")
    else:
        interrupted(config, tmp_path / "run", at=3)
    assert (random.getstate(), str(np.random.get_state())) == states
    assert float(keras.random.uniform(())) == expected
    assert keras.config.dtype_policy() == policy and keras.layers.Dense(1).dtype_policy.name == policy.name


def test_float32_training_ignores_the_global_policy(config, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        train_tiny(config, tmp_path / "run")
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert load_run(tmp_path / "run").model.get_layer("line").compute_dtype == "float32"


def test_handler_not_set_by_python_is_accepted(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        signal, "signal", lambda number, handler, real=signal.signal: real(number, handler) and None
    )
    with sigterm_requested() as requested:
        assert not requested()
    monkeypatch.undo()
    signal.signal(signal.SIGTERM, before)
