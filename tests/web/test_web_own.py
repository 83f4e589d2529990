"""Translators of the user's own class in Chromium: states that are carried, and caches with a row a step."""

import contextlib

import keras
import keras_attn_export
import pytest
import tiny_own
from web_browser import drive, require_browser

from keras_attn import device
from keras_attn.cli import run_program

pytestmark = pytest.mark.web
LENGTHS = {"gru": (16, 16), "modern": (16, 64)}  # the second begins with steps for 16 tokens


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    require_browser()
    folder, made = tmp_path_factory.mktemp("own"), {}
    for name, length in LENGTHS.items():
        keras.utils.set_random_seed(2)
        model = tiny_own.BUILDERS[name]()
        with contextlib.redirect_stdout(None):
            made[name] = keras_attn_export.export(
                model, folder / name, "fp32", tokenizer=tiny_own.letters(), lengths=[length], beam=4,
                examples=[(text, "") for text in tiny_own.TEXTS],
            ).path  # fmt: skip
    return made


@pytest.fixture(scope="module")
def site(bundles, tmp_path_factory):
    site = tmp_path_factory.mktemp("site") / "site"
    given = [f"{name.title()}={path}" for name, path in bundles.items()]
    assert run_program(["web", *given, "--output", str(site)]) == 0
    return site


def test_the_browser_translates_as_python_does(bundles, site):
    jobs = [(name, beam) for name in bundles for beam in (1, 4)]
    asked = [{"bundle": name, "beam": beam, "texts": tiny_own.TEXTS} for name, beam in jobs]
    lengths = set()
    for (name, beam), found in zip(jobs, drive("translate", site, given=asked), strict=True):
        expected = device.load(bundles[name]).translate(tiny_own.TEXTS, beam=beam)
        assert [each["ids"] for each in found["outputs"]] == [each.outputs[0].ids for each in expected]
        lengths |= {len(each["ids"]) for each in found["outputs"]}
    assert max(lengths) > 16  # the caches have grown


def test_the_proof_is_repeated_in_the_browser(bundles, site):
    for name in bundles:
        found = drive("verify", site, name)
        assert found["ok"] and found["rungs"][1]["figures"]["by_rows"]["4"]["max_error"] < 1e-4
