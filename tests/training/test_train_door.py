"""`keras_attn.train`: what the command line does, in one call."""

import subprocess
import sys
from unittest import mock

import pytest

import keras_attn
from keras_attn.errors import KerasAttnError
from keras_attn.presets import PRESETS
from keras_attn.training.progress import Silent

TINY = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 16}
SMALL = {"max_tokens": 16, "vocabulary_size": 280, "batch_size": 8, "steps": 2, "warmup": 1, "evaluations": 1}


@pytest.fixture
def table(tmp_path):
    rows = ["cat meows,1", "dog barks,1", "apple falls,2", "plum ripens,2", "cow moos,1", "fig grows,2"] * 3
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"{number} {row}\n" for number, row in enumerate(rows)), "utf-8")
    return path


@pytest.fixture(autouse=True)
def _tiny():
    with mock.patch.dict(PRESETS["Bert"], tiny=TINY):
        yield


def test_call_returns_the_run_and_prints_lines_without_a_terminal(table, tmp_path, capsys):
    settings = {**SMALL, "labels": "animals,fruit", "checkpoint_every": 1}
    run = keras_attn.train.classification(tmp_path / "run", train=str(table), **settings)
    assert run.config["labels"] == ["animals", "fruit"]
    assert run.config["training"]["learning_rate"] == 5e-4  # of the recipe
    assert run.folder == tmp_path / "run"
    assert type(run.model).__name__ == "TextClassifier"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 0 of 2: compiling"
    with pytest.raises(KerasAttnError, match="already exists"):
        keras_attn.train.classification(tmp_path / "run", train=str(table), **settings)


def test_given_progress_replaces_the_bar(table, tmp_path, capsys):
    class Steps(Silent):
        seen = 0

        def stepped(self, step, loss, target_tokens):
            self.seen = step

    progress = Steps()
    keras_attn.train.classification(tmp_path / "run", progress=progress, train=str(table), **SMALL)
    assert progress.seen == 2
    assert "step" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learnin_rate": 1.0}, "did you mean `learning_rate`"),
        ({"preset": "huge"}, "`preset` must be one of tiny, "),
        ({"mesh": "2x2"}, "needs `distribution`"),
        ({"train": None}, "Give `train`"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(table, tmp_path, settings, message):
    with pytest.raises(KerasAttnError, match=message):
        keras_attn.train.classification(tmp_path / "run", **{"train": str(table), **settings})
    assert not (tmp_path / "run").exists()


def test_entry_points_load_nothing_heavy():
    heavy = {"keras", "jax", "tensorflow", "rich", "typer", "matplotlib"}
    code = "import sys, keras_attn; names = dir(keras_attn.train); "
    code += f"print(*names); print(*sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = "causal_lm classification embedding masked_lm question_answering token_classification translation"
    assert done.stdout == f"{names}\n\n"
