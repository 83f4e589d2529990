"""The scripts of demos/ do what their first lines say."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

from tiny_models import in_process, sentences

import keras_attn

DEMOS = Path(__file__).parents[2] / "demos"


def classify(*options):
    command = [sys.executable, DEMOS / "text_classifier.py", *map(str, options)]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "COLUMNS": "200"}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_classifier_made_by_model_add_learns(tmp_path):
    rows = [
        "label,text",
        *(f"{i % 2},a {'good' if i % 2 else 'bad'} film number {i // 4}" for i in range(400)),
    ]
    (tmp_path / "films.csv").write_text("\n".join(rows))
    films, bundle = tmp_path / "films.csv", tmp_path / "bundle"
    done = classify("--train", films, "--test", films, "--length", 8, "--output", bundle)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "100.0% of 400 test texts are right." in done.stdout
    assert "100.0% of them are right on the device, in int8." in done.stdout
    assert keras_attn.device.verify(bundle).ok


def test_a_table_without_labels_is_refused(tmp_path):
    (tmp_path / "films.csv").write_text("text\na good film")
    done = classify("--train", tmp_path / "films.csv", "--test", tmp_path / "films.csv")
    assert done.returncode == 2
    assert "lacks the column label" in done.stderr


def test_a_text_is_continued_and_the_second_time_from_the_bundle(tmp_path, capsys):
    texts, output = tmp_path / "texts.txt", tmp_path / "out"
    texts.write_text("\n".join(sentences() * 2), encoding="utf-8")
    main = runpy.run_path(str(DEMOS / "continue_text.py"))["main"]
    with in_process():
        main("the red", [texts], steps=4, max_length=6, temperature=0.0, output=output)
    first = capsys.readouterr().out.splitlines()[-1]
    main("the red", [], max_length=6, temperature=0.0, output=output)
    assert capsys.readouterr().out == first + "\n" and first.startswith("the red")
