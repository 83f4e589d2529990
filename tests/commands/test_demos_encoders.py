"""The demos over encoders, with tiny models: each is one command that answers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_encoders import encoder_tokenizer, tiny_encoder
from tiny_models import in_process, sentences

DEMOS = Path(__file__).parents[2] / "demos"


def demo(name, *options, backend="jax"):
    command = [sys.executable, DEMOS / f"{name}.py", *map(str, options)]
    environment = {**os.environ, "KERAS_BACKEND": backend, "COLUMNS": "200"}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def bundle(path, name):
    from keras_attn_export import export

    with in_process():
        tokenizer = encoder_tokenizer(written_specials=name == "masked")
        export(tiny_encoder(name), path, "fp32", buckets=(8, 16), tokenizer=tokenizer)
    return path


def test_headlines_are_classified_by_two_models(tmp_path):
    rows = [
        "label,text",
        *(f"{i % 2},a {'good' if i % 2 else 'bad'} film number {i // 4}" for i in range(80)),
    ]
    (tmp_path / "films.csv").write_text("\n".join(rows))
    table, run = tmp_path / "films.csv", tmp_path / "run"
    asked = ("--train", table, "--test", table, "--labels", "Bad,Good", "--from-scratch", "--steps", 8)
    done = demo("classify_news", *asked, "--output", run, "a good film", backend="tensorflow")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "of one block's" in done.stdout and done.stdout.splitlines()[-1].endswith("a good film")


def test_masks_are_filled(tmp_path):
    path = bundle(tmp_path / "bundle", "masked")
    done = demo("fill_mask", "--model", path, "the red [MASK]", "--top", 2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.strip().splitlines()) == 3 and "%  the red " in done.stdout
    none = demo("fill_mask", "--model", path, "the red cat")
    assert none.returncode == 2 and "no [MASK]" in none.stderr and "Traceback" not in none.stderr


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return bundle(tmp_path_factory.mktemp("search") / "bundle", "embedder")


def test_a_search_finds_the_line_and_reads_only_what_changed(tmp_path, embedder):
    notes = tmp_path / "notes"
    notes.mkdir()
    first, second, *others = sentences()
    (notes / "one.md").write_text(f"{first}\n\n{second}\nhouse\n\n{' '.join(others[:12])}\n")
    (notes / "two.txt").write_text(f"\n{others[20]}\n")

    def search(*questions):
        done = demo("semantic_search", notes, *questions, "--bundle", embedder, "--top", 1)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    found = search(f"{second} house", others[20])
    assert f"1.000  {notes / 'one.md'}:3  {second} house" in found
    assert f"1.000  {notes / 'two.txt'}:2" in found and "2 files read anew" in found
    assert "0 files read anew" in search(first)
    (notes / "two.txt").unlink()
    (notes / "one.md").write_text(f"{others[30]}\n")
    assert f"1.000  {notes / 'one.md'}:1" in search(others[30])
    assert sorted(path.name for path in notes.iterdir()) == [".semantic-search.npz", "one.md"]


def test_search_names_what_is_missing(tmp_path, embedder):
    for options, message in (
        ([tmp_path, "a", "--bundle", embedder], "has no text"),
        ([tmp_path / "none", "a"], "is not a folder"),
    ):
        done = demo("semantic_search", *options)
        assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["classify_news", "fill_mask", "semantic_search"])
def test_every_demo_has_help(name):
    done = demo(name, "--help")
    assert done.returncode == 0 and "--model" in done.stdout
