"""The whole road by its commands: text, a trained model, a proven bundle, answers on the device runtime."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import keras_attn
from keras_attn import cli

WORDS = ("ein", "zwei", "drei", "vier", "fünf", "sechs")


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """A folder with parallel files, a run that hardly learned anything, and its fp32 bundle."""
    folder = tmp_path_factory.mktemp("road")
    rng = np.random.default_rng(0)
    for split, count in (("train", 120), ("val", 16), ("test", 12)):
        texts = [" ".join(rng.choice(WORDS, rng.integers(1, 5))) for _ in range(count)]
        (folder / f"{split}.de").write_text("".join(f"{text}\n" for text in texts), "utf-8")
        (folder / f"{split}.xx").write_text("".join(f"{text.upper()}\n" for text in texts), "utf-8")
    train = [
        *("train", "translation", "--model", "rnnsearch", "--train", folder / "train"),
        *("--validation", folder / "val", "--source-language", "de", "--target-language", "xx"),
        *("--vocabulary-size", "300", "--max-tokens", "32", "--batch-tokens", "512", "--steps", "4"),
        *("--evaluations", "1", "--output", folder / "run"),
    ]
    assert call(*train) == 0
    options = ("--recipe", "fp32", "--beam", "2", "--with-runtime")
    assert call("export", folder / "run", folder / "bundle", *options) == 0
    return folder


def call(*arguments):
    return cli.run_program([str(argument) for argument in arguments])


def printed(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_proof_repeats_on_the_device_and_against_the_run(road, capsys):
    assert call("verify", road / "bundle", "--against", road / "run", "--json") == 0
    (report,) = printed(capsys)
    assert report["ok"]
    assert {check["name"] for check in report["rungs"]} >= {"files", "references"}


def test_a_run_and_its_bundle_score_alike(road, capsys):
    scores = []
    for path in (road / "run", road / "bundle"):
        assert call("evaluate", path, "--test", road / "test", "--beam", "2", "--json") == 0
        scores += printed(capsys)
    # Hardly trained, it has near ties, which rounding decides.
    assert scores[0] == pytest.approx(scores[1], abs=0.1)
    assert scores[0]["sentences"] == 12
    assert keras_attn.evaluation.evaluate(road / "bundle", test=road / "test", beam=2) == scores[1]


def test_a_run_and_its_bundle_load_as_the_same_object(road):
    run, bundle = (keras_attn.load(road / name, task="translation") for name in ("run", "bundle"))
    texts = ["drei vier", "eins"]
    assert type(run) is type(bundle)
    found = [
        [each.score for each in translator.translate(texts, max_length=3)] for translator in (run, bundle)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-3)


def test_the_device_answers_as_the_command_does(road, capsys):
    assert call("run", road / "bundle", "drei vier", "", "--beam", "2", "--json") == 0
    first, empty = printed(capsys)
    assert empty["outputs"][0]["text"] == ""
    # The package's program, and the single file that lies beside the bundle, not in it.
    for program in (["-m", "keras_attn.device"], [road / "keras_attn-device.pyz"]):
        command = [sys.executable, *program, road / "bundle", "drei vier", "--beam", "2", "--json"]
        said = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
        assert json.loads(said.stdout) == first
    assert not [path for path in (road / "bundle").iterdir() if path.suffix == ".pyz"]


# What so small a model writes may have characters that no font here has.
@pytest.mark.filterwarnings("default::keras_attn.pictures.MissingGlyphWarning")
def test_pictures_are_drawn_from_run_and_bundle(road, tmp_path):
    for path, name in ((road / "run", "run.png"), (road / "bundle", "bundle.html")):
        assert call("attention", path, "drei vier fünf", "--output", tmp_path / name) == 0
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.filterwarnings("default::keras_attn.pictures.MissingGlyphWarning")
def test_every_head_of_a_transformer_is_drawn(road, tmp_path, capsys):
    train = [
        *("train", "translation", "--model", "transformer", "--train", road / "train"),
        *("--validation", road / "val", "--source-language", "de", "--target-language", "xx"),
        *("--vocabulary-size", "300", "--max-tokens", "16", "--batch-tokens", "256", "--steps", "2"),
        *("--evaluations", "1", "--output", tmp_path / "run"),
    ]
    assert call(*train) == 0
    for which in ("encoder", "decoder", "cross"):
        picture = tmp_path / f"{which}.png"
        assert call("attention", tmp_path / "run", "drei vier", "--heads", which, "--output", picture) == 0
        assert picture.stat().st_size > 5000
    page = tmp_path / "cross.html"
    assert call("attention", tmp_path / "run", "drei vier", "--heads", "cross", "--output", page) == 0
    data = page.read_text("utf-8").partition('id="data">')[2].partition("</script>")[0]
    sources = "".join(piece for piece, _ in json.loads(data)["sources"])
    assert sources.replace("␣", "").startswith("dreivier")
    picture = tmp_path / "none.png"
    assert call("attention", road / "run", "drei", "--heads", "cross", "--output", picture) == 2
    assert "Transformer" in capsys.readouterr().err and not picture.exists()


def test_the_bundle_can_be_looked_into_and_timed(road, capsys):
    assert call("inspect", road / "bundle", "--json") == 0
    (facts,) = printed(capsys)
    assert facts["recipe"] == "fp32"
    assert call("benchmark", road / "bundle", "--json") == 0
    (figures,) = printed(capsys)
    assert {"latency_ms", "tokens_per_second", "peak_memory_bytes", "file_bytes"} <= set(figures)


@pytest.mark.parametrize(
    ("name", "damage", "word"),
    [
        ("model.tflite", lambda path: path.write_bytes(path.read_bytes()[:-100]), "model.tflite"),
        ("tokenizer.json", lambda path: path.unlink(), "tokenizer.json"),
        ("proof.npz", lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), "proof.npz"),
        (
            "manifest.json",
            lambda path: path.write_text(
                path.read_text("utf-8").replace('"format_version": 2', '"format_version": 7'), "utf-8"
            ),
            "format_version",
        ),
    ],
)
def test_damage_is_named_in_one_line(road, tmp_path, capsys, name, damage, word):
    shutil.copytree(road / "bundle", tmp_path / "bundle")
    damage(tmp_path / "bundle" / name)
    assert call("run", tmp_path / "bundle", "drei") == 2
    captured = capsys.readouterr()
    assert word in captured.err
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1


@pytest.mark.parametrize("text", ["\x00\x07\x1b[31m", "🦆🦆 👩‍👩‍👧", "ⵣⴰⵎⴰⵣⵉⵖ", "a\u202eb", "<eos> <pad>"])
def test_strange_text_gets_an_answer(road, capsys, text):
    assert call("run", road / "bundle", text, "--json") == 0
    (result,) = printed(capsys)
    assert result["input"] == text


def test_long_text_is_split_at_sentence_ends_or_refused(road, capsys):
    assert call("run", road / "bundle", "drei vier. " * 300, "--json") == 0
    (result,) = printed(capsys)
    assert result["outputs"][0]["ids"]
    assert call("run", road / "bundle", "drei " * 10_000) == 2
    assert "at most 32" in capsys.readouterr().err
