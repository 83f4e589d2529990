"""Run folders with damaged checkpoints and files, other data, and texts of every kind."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_training import Listener, TinyTraining, interrupted, tiny_config, train_tiny, weights

from keras_attn.data.batching.ragged import stored
from keras_attn.data.errors import DataError
from keras_attn.training import NonFiniteLossError, TrainingError, load_run
from keras_attn.training import checkpoints as checkpoints_module
from keras_attn.training import run_folder as run_module
from keras_attn.training.checkpoints import checkpoints, load_state
from keras_attn.training.history import read_history
from keras_attn.training.run_folder import read_validation, write_validation

pytestmark = pytest.mark.usefixtures("quick_curves")


def newest_file(folder):
    """The largest file of the newest checkpoint."""
    newest = checkpoints(folder / "checkpoints")[-1]
    return max((newest / path for path in json.loads((newest / "checksums.json").read_text())), key=size)


def size(path):
    return path.stat().st_size


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def cut(path):
    path.write_bytes(path.read_bytes()[: size(path) // 2])


# ---- checkpoints ----


def without_sums(path):
    next(each for each in path.parents if each.name.startswith("step-")).joinpath("checksums.json").unlink()


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink, without_sums])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(whole, config, tmp_path, damage):
    folder, losses = whole
    interrupted(config, tmp_path / "run", at=10)
    damage(newest_file(tmp_path / "run"))
    resumed = Listener()
    train_tiny(config, tmp_path / "run", resume=True, progress=resumed)
    reported = [note for note in resumed.notes if "step-0000008" in note]
    assert len(reported) == 1 and "not used" in reported[0]
    assert resumed.losses == {step: losses[step] for step in range(7, 13)}
    assert read_history(tmp_path / "run") == read_history(folder)
    for mine, theirs in zip(weights(tmp_path / "run"), weights(folder), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_every_byte_of_a_checkpoint_is_verified(config, tmp_path):
    interrupted(config, tmp_path / "run", at=10)
    newest = checkpoints(tmp_path / "run" / "checkpoints")[-1]
    sums = json.loads((newest / "checksums.json").read_text())
    held = {path.relative_to(newest).as_posix() for part in newest.iterdir() for path in part.rglob("*")}
    files = {path for path in held if (newest / path).is_file()}
    assert set(sums) >= files and sums
    for path in sums:
        kept = (newest / path).read_bytes()
        (newest / path).write_bytes(kept + b"x")
        assert path in checkpoints_module.damage(newest)
        (newest / path).write_bytes(kept)
    assert checkpoints_module.damage(newest) is None


def test_run_without_a_valid_checkpoint_is_refused(config, tmp_path):
    interrupted(config, tmp_path / "run", at=4)
    found = checkpoints(tmp_path / "run" / "checkpoints")
    for damage in (lambda path: path.write_text("{", "utf-8"), Path.unlink):
        for path in found:
            damage(path / "checksums.json")
        with pytest.raises(TrainingError, match=r"All checkpoints are damaged in .*run.*--output"):
            train_tiny(config, tmp_path / "run", resume=True)
    assert all(len(list(path.iterdir())) > 1 for path in found)


def test_final_selection_skips_damaged_checkpoints(config, tmp_path):
    class DamagesTheBest(Listener):
        def evaluated(self, row):
            if row["step"] == 12:
                flip(newest_file(tmp_path / "run"))

    listener = DamagesTheBest()
    result = train_tiny(config, tmp_path / "run", progress=listener)
    assert any("not used" in note for note in listener.notes)
    assert np.isfinite(result.score) and all(np.isfinite(value).all() for value in weights(tmp_path / "run"))


def test_two_checkpoints_are_always_there_to_fall_back_on(data, tmp_path):
    config = tiny_config(data, average=1, learning_rate=1e-3, dropout=0.0)  # the newest is the best
    interrupted(config, tmp_path / "run", at=10)
    assert len(checkpoints(tmp_path / "run" / "checkpoints")) >= 2


def test_non_finite_weights_are_not_saved(config, tmp_path, monkeypatch):
    class Spoils(TinyTraining):
        def _train_on(self, batch):
            super()._train_on(batch)
            if self.step == 8:
                self.model.trainable_variables[0].assign(np.full((2, 2), np.nan, np.float32))

    from keras_attn.training.start import run_training

    with pytest.raises(NonFiniteLossError, match=r"at step 8 .*the last good checkpoint is .*step-0000006"):
        run_training(Spoils, config, tmp_path / "run")
    assert max(load_state(path)["step"] for path in checkpoints(tmp_path / "run" / "checkpoints")) == 6


def test_damaged_checkpoint_is_not_reported_as_good(config, tmp_path):
    class DamagesAndSpoils(TinyTraining):
        def _train_on(self, batch):
            if self.step == 7:
                self.writer.wait()
                flip(newest_file(self.output))
                self.model.trainable_variables[0].assign(np.full((2, 2), np.nan, np.float32))
            super()._train_on(batch)

    from keras_attn.training.start import run_training

    with pytest.raises(NonFiniteLossError, match=r"loss became nan at step 8 .*good .*step-0000004"):
        run_training(DamagesAndSpoils, config, tmp_path / "run")


# ---- what else a folder holds ----


@pytest.mark.parametrize("name", ["model.keras", "tokenizer.json"])
def test_damaged_files_of_a_run_are_named(config, tmp_path, name):
    train_tiny(config, tmp_path / "run")
    flip(tmp_path / "run" / name)
    with pytest.raises(TrainingError, match=rf"{name} is damaged"):
        load_run(tmp_path / "run")
    if name == "tokenizer.json":
        with pytest.raises(TrainingError, match=rf"{name} is damaged"):
            train_tiny(config, tmp_path / "run", resume=True)


def test_truncated_history_is_reported_and_rewritten_on_resume(whole, config, tmp_path):
    interrupted(config, tmp_path / "run", at=9)
    path = tmp_path / "run" / "history.csv"
    lines = path.read_text("utf-8")
    path.write_text(lines[: lines.rindex(",") - 3], "utf-8")
    with pytest.raises(TrainingError, match=r"history\.csv, line 5: .*number of fields") as caught:
        read_history(tmp_path / "run")
    assert "\n" not in str(caught.value)
    train_tiny(config, tmp_path / "run", resume=True)
    assert path.read_bytes() == (whole[0] / "history.csv").read_bytes()


def test_history_ahead_of_the_checkpoint_is_cut_back(config, tmp_path):
    interrupted(config, tmp_path / "run", at=9)
    last = read_history(tmp_path / "run")[-1]
    with (tmp_path / "run" / "history.csv").open("a", encoding="utf-8") as file:
        file.write(",".join(str(value) for value in {**last, "step": 10}.values()) + "\n")
    with pytest.raises(KeyboardInterrupt):
        train_tiny(config, tmp_path / "run", resume=True, progress=Listener(9))
    assert [row["step"] for row in read_history(tmp_path / "run")] == [2, 4, 6, 8]


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_damaged_arrays_on_disk_are_named(tmp_path, damage):
    make = lambda: {"ids": np.arange(500, dtype=np.int32)}  # noqa: E731
    stored(tmp_path / "tokens", make)
    damage(tmp_path / "tokens" / "ids.npy")
    with pytest.raises(DataError, match=r"ids\.npy (is damaged|cannot be read).*delete .*tokens"):
        stored(tmp_path / "tokens", make)


def test_leftovers_of_a_killed_process_are_not_read_as_arrays(tmp_path):
    left = tmp_path / ".tokens.part-00"
    left.mkdir()
    np.save(left / "stale.npy", np.zeros(3))
    assert list(stored(tmp_path / "tokens", lambda: {"ids": np.arange(3)})) == ["ids"]
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


NASTY = [
    "a\u00a0b",
    "全\u3000角",
    "two  spaces",
    "a\tb",
    "a\nb",
    "a\r\nb\r",
    '"q"',
    '""',
    "\\t\\n\\",
    "\u2028\x85\x0c",
]


@pytest.mark.parametrize("text", NASTY)
def test_held_out_pairs_are_read_back_unchanged(tmp_path, text):
    pairs = [(text, "x"), ("y", text), (text, text)]
    write_validation(tmp_path / "validation.tsv", pairs)
    assert read_validation(tmp_path / "validation.tsv") == pairs


def test_held_out_pairs_of_earlier_runs_are_read_as_before(tmp_path):
    (tmp_path / "validation.tsv").write_text('He said "hi".\tEr sagte "hallo".\n"so\t\\n\n', "utf-8")
    wanted = [('He said "hi".', 'Er sagte "hallo".'), ('"so', "\\n")]
    assert read_validation(tmp_path / "validation.tsv") == wanted


# ---- other data ----


def test_other_data_is_refused_by_name(tmp_path):
    config = tiny_config(tmp_path)
    interrupted(config, tmp_path / "run", at=9)
    numbers = Path(config.train)
    before = numbers.read_text("utf-8")
    numbers.write_text(before.replace("-", "", 1), "utf-8")
    with pytest.raises(TrainingError, match=r"numbers\.txt has changed since .*run was started"):
        train_tiny(config, tmp_path / "run", resume=True)
    numbers.write_text(before, "utf-8")
    train_tiny(config, tmp_path / "run", resume=True)


def test_swapped_files_are_different_data(tmp_path):
    began = {"train.csv": "1", "validation.csv": "2"}
    run_module.check_data(tmp_path, began, {"/moved/train.csv": "1", "/moved/validation.csv": "2"})
    with pytest.raises(TrainingError, match=r"train\.csv has changed; validation\.csv has changed"):
        run_module.check_data(tmp_path, began, {"train.csv": "2", "validation.csv": "1"})


@pytest.mark.parametrize("name", ["run.json", "validation.tsv", "tokenizer.json", "model.keras"])
def test_edited_run_folder_is_refused(whole, tmp_path, name):
    shutil.copytree(whole[0], tmp_path / "run")
    path = tmp_path / "run" / name
    content = bytearray(path.read_bytes())
    at = content.index(b"tiny") if name == "run.json" else len(content) // 2
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=rf"{name} is damaged or was"):
        load_run(tmp_path / "run")


def test_a_setting_that_is_newer_than_the_run_had_its_default(config, tmp_path):
    interrupted(config, tmp_path / "run", at=9)
    run = run_module.read_config(tmp_path / "run")
    del run["training"]["patience"]
    run_module.write_config(tmp_path / "run", run)
    with pytest.raises(TrainingError, match=r"another configuration: patience 0 \(now 3\)"):
        train_tiny(dataclasses.replace(config, patience=3), tmp_path / "run", resume=True)
    assert train_tiny(config, tmp_path / "run", resume=True).steps == 12


def test_a_run_of_an_earlier_version_is_not_resumed(config, tmp_path):
    interrupted(config, tmp_path / "run", at=9)
    path = tmp_path / "run" / "run.json"
    run = json.loads(path.read_text("utf-8"))
    del run["data_files"], run["sha256"]["run.json"]
    path.write_text(json.dumps(run), "utf-8")
    with pytest.raises(TrainingError, match=r"no SHA-256 of the training data.*--output"):
        train_tiny(config, tmp_path / "run", resume=True)
