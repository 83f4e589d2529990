"""The road of encoders by its commands: labelled texts, a classifier, a proven bundle, answers."""

import json

import numpy as np
import pytest
from tiny_models import in_process

import keras_attn
from keras_attn import cli

KINDS = {"fruit": ("apple", "pear", "plum"), "metal": ("iron", "gold", "tin")}


def call(*arguments):
    return cli.run_program([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """A folder with tables, a run trained on them, and its int8 bundle."""
    folder = tmp_path_factory.mktemp("road")
    rng = np.random.default_rng(0)
    for split, count in (("train", 240), ("test", 40)):
        rows = ["text,label"]
        for _ in range(count):
            kind = rng.choice(list(KINDS))
            rows.append(f"{' '.join(rng.choice(KINDS[kind], rng.integers(2, 5)))},{kind}")
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", "utf-8")
    train = ("train", "classification", "--train", folder / "train.csv", "--preset", "tiny")
    sizes = ("--vocabulary-size", "300", "--max-tokens", "16", "--steps", "30", "--evaluations", "1")
    assert call(*train, *sizes, "--learning-rate", "3e-3", "--output", folder / "run") == 0
    with in_process():
        assert call("export", folder / "run", folder / "bundle", "--heads") == 0
    return folder


def printed(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_proof_repeats_on_the_device_and_against_the_run(road, capsys):
    assert call("verify", road / "bundle", "--against", road / "run", "--json") == 0
    (report,) = printed(capsys)
    assert {check["name"] for check in report["rungs"]} >= {"scores", "answers", "references"}


def test_a_run_and_its_bundle_score_alike(road, capsys):
    scores = []
    for path in (road / "run", road / "bundle"):
        assert call("evaluate", path, "--test", road / "test.csv", "--json") == 0
        scores += printed(capsys)
    assert scores[0]["accuracy"] > 0.9 and scores[0]["sentences"] == 40
    assert scores[1] == pytest.approx(scores[0], abs=0.05)
    assert keras_attn.evaluation.evaluate(road / "run", test=road / "test.csv") == scores[0]


def test_a_run_and_its_bundle_load_as_the_same_object(road):
    run, bundle = (keras_attn.load(road / name, task="classification") for name in ("run", "bundle"))
    assert type(run) is type(bundle)
    assert run.classify("tin gold").label == bundle.classify("tin gold").label == "metal"


def test_the_bundle_answers(road, capsys):
    assert call("run", road / "bundle", "apple plum", "tin gold", "--json") == 0
    first, second = printed(capsys)
    assert first["outputs"][0]["label"] == "fruit" and second["outputs"][0]["label"] == "metal"
    assert sum(output["score"] for output in first["outputs"]) == pytest.approx(1, abs=1e-3)
    assert call("run", road / "bundle", "apple " * 40, "--json") == 2
    assert "truncate" in printed(capsys)[0]["error"]


def test_other_tasks_name_what_they_lack(road, capsys):
    assert call("evaluate", road / "bundle", "--test", road / "missing.csv") == 2
    assert "missing.csv" in capsys.readouterr().err
    assert call("evaluate", road / "bundle", "--data", "dates") == 2
    assert "translators only" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["run", "bundle"])
@pytest.mark.parametrize("ending", ["png", "html"])
def test_attention_draws_every_head(road, tmp_path, capsys, source, ending):
    picture = tmp_path / f"heads.{ending}"
    asked = ("attention", road / source, "apple plum", "--output", picture, "--words", "--json")
    assert call(*asked) == 0
    assert printed(capsys) == [{"input": "apple plum", "picture": str(picture)}]
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG") or b'["apple", false], ["plum", false]' in content


def test_attention_names_what_an_encoder_lacks(road, tmp_path, capsys):
    for options, message in (
        (["apple", "--beam", "2"], "for translators"),
        (["apple", "--heads", "cross"], "for translators"),
        ([" "], "the text is empty"),
        (["apple " * 40], "shorten it"),
    ):
        assert call("attention", road / "bundle", *options, "--output", tmp_path / "a.png") == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_benchmark_has_a_row_for_each_length(road, capsys):
    assert call("benchmark", road / "bundle", "--json") == 0
    (figures,) = printed(capsys)
    assert {"latency_ms", "tokens_per_second", "peak_memory_bytes", "file_bytes"} <= figures.keys()
    assert figures["file_bytes"] == (road / "bundle" / "model.tflite").stat().st_size
    manifest = json.loads((road / "bundle" / "manifest.json").read_text("utf-8"))
    assert [row["tokens"] for row in figures["buckets"]] == [each["source"] for each in manifest["buckets"]]
    assert all(row["latency_ms"] > 0 and row["tokens_per_second"] > 0 for row in figures["buckets"])
    # The table of words is looked up, not read: it has no part in the floor.
    whole = figures["file_bytes"] / figures["bandwidth_bytes_per_second"] * 1e3
    assert 0 < figures["floor_ms"] < whole
    assert call("benchmark", road / "bundle") == 0
    shown = capsys.readouterr().out
    assert "ms per text" in shown and f"{manifest['buckets'][0]['source']} tokens" in shown
    assert call("benchmark", road / "bundle", "--beam", "2") == 2
    assert "--beam" in capsys.readouterr().err


def test_the_device_measures_an_encoder_as_well(road, capsys):
    from keras_attn.device.__main__ import main

    assert main([str(road / "bundle"), "--benchmark", "--json"]) == 0
    assert printed(capsys)[0]["buckets"]


def test_inspect_shows_labels_lengths_and_signatures(road, capsys):
    assert call("inspect", road / "bundle") == 0
    shown = capsys.readouterr().out
    for expected in (
        "TextClassifier",
        "classification",
        "fruit, metal",
        "heads_8",
        "attention",
    ):
        assert expected in shown
    assert call("inspect", road / "bundle", "--json") == 0
    (contents,) = printed(capsys)
    assert contents["labels"] == ["fruit", "metal"] and contents["languages"] is None
