"""The demos of models of one's own learn, export, prove and predict on the device."""

import importlib
import re
import runpy
from pathlib import Path

import pytest

import keras_attn

DEMOS = Path(__file__).parents[2] / "demos"
SMALL = {
    "forecast": {"series": 400, "epochs": 3, "units": 8},
    "patches": {"pictures": 400, "epochs": 3, "depth": 16, "blocks": 1},
    "matching": {"pairs": 200, "epochs": 2, "depth": 8},
}


@pytest.fixture
def demo(request, tmp_path, capsys):
    """What a demo printed of Keras and of the device, and its bundle."""
    main = runpy.run_path(str(DEMOS / f"{request.param}.py"))["main"]
    main(tmp_path / "bundle", **SMALL[request.param])
    printed = capsys.readouterr().out
    figures = [
        re.search(rf"^.*{words}.*?: +([\d.]+)", printed, re.MULTILINE) for words in ("Keras", "device")
    ]
    return *(float(found[1]) for found in figures), tmp_path / "bundle", printed


@pytest.mark.parametrize("demo", ["forecast"], indirect=True)
def test_a_forecaster_beats_last_year_and_is_as_good_in_int8(demo):
    by_keras, on_device, bundle, printed = demo
    assert by_keras < float(re.search(r"last year's months: ([\d.]+)", printed)[1])
    assert on_device == pytest.approx(by_keras, rel=0.1)
    assert keras_attn.device.verify(bundle).ok


@pytest.mark.parametrize("demo", ["patches"], indirect=True)
def test_pictures_are_classified_above_chance_and_alike_in_int8(demo):
    by_keras, on_device, bundle, _ = demo
    assert by_keras > 25  # of four shapes, after three epochs
    assert on_device == pytest.approx(by_keras, abs=3)
    assert keras_attn.device.verify(bundle).ok


@pytest.mark.parametrize("demo", ["matching"], indirect=True)
def test_queries_find_documents_and_each_tower_is_an_output(demo):
    by_keras, on_device, bundle, _ = demo
    assert by_keras > 1  # of 300 documents; by chance 0.3
    assert on_device == pytest.approx(by_keras, abs=3)
    inputs = keras_attn.device.load(bundle, task="prediction").interface.inputs
    assert {each.name for each in inputs} == {"query", "document"}


@pytest.mark.parametrize("name", ["own_translator_modern", "own_language_model"])
def test_models_of_own_classes_are_trained_and_leave(name, tmp_path, monkeypatch, capsys):
    """The converter reopens the model below TensorFlow, which needs a module that can be imported."""
    monkeypatch.syspath_prepend(DEMOS)
    importlib.import_module(name).main(epochs=1, train=300, depth=16, bundle=str(tmp_path / "bundle"))
    assert capsys.readouterr().out.count("\n") >= 5  # five dates
    loaded = keras_attn.device.load(tmp_path / "bundle")
    assert hasattr(loaded, "generate" if name == "own_language_model" else "translate")
