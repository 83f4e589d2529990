"""The bundles of this repository: registered, described, small, and what their registry says."""

import hashlib
import json

import make
import pytest
from recipes import RECIPES

from keras_attn.bundles.find import shipped
from keras_attn.bundles.registry import entries
from keras_attn.commands.train import app as train_commands
from keras_attn.device import verify
from keras_attn.device.files.bundle import Bundle

LARGEST = {"dates": 1_300_000, "en-ja": 3_500_000, "ja-en": 3_500_000}
ALL = 20_000_000


def test_the_page_is_up_to_date():
    assert make.PAGE.read_text("utf-8") == make.page(), "docs/bundles.md is old: run `make docs`"


def test_every_bundle_of_the_repository_is_registered_and_the_other_way_round():
    present = {path.parent.name for path in make.BUNDLES.glob("*/manifest.json")}
    assert present == {name for name in entries() if shipped(name)}
    assert entries().keys() <= RECIPES.keys()


def test_they_are_small():
    sizes = {name: entry.bytes for name, entry in entries().items()}
    assert sum(sizes.values()) <= ALL
    assert all(size <= LARGEST.get(name, ALL) for name, size in sizes.items())


@pytest.mark.parametrize("name", entries())
def test_a_bundle_is_what_the_registry_says_and_verifies(name, tmp_path):
    entry, bundle = entries()[name], shipped(name)
    make.zip_of(bundle, tmp_path / f"{name}.zip")
    content = (tmp_path / f"{name}.zip").read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (entry.bytes, entry.sha256)
    assert Bundle.open(bundle).manifest["task"] == entry.task
    text = (bundle / "README.md").read_text("utf-8")
    for part in (entry.licence, RECIPES[name].limits, "keras-attn train", "report.md", "step,epoch"):
        assert part in text
    assert verify(bundle).ok


@pytest.mark.parametrize("name", RECIPES)
def test_the_commands_of_a_recipe_are_read(name):
    from typer.main import get_command

    task, *arguments = RECIPES[name].train
    command = get_command(train_commands).get_command(None, task)
    assert command.make_context(task, [*arguments, "--output", "run"]) is not None


def test_a_zip_depends_on_the_files_only(tmp_path):
    (tmp_path / "bundle").mkdir()
    for name in ("b", "a"):
        (tmp_path / "bundle" / name).write_text(json.dumps(name))
    make.zip_of(tmp_path / "bundle", tmp_path / "one.zip")
    (tmp_path / "bundle" / "a").touch()
    make.zip_of(tmp_path / "bundle", tmp_path / "other.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
