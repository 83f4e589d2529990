"""The pages that are made from the code are up to date, and the layers' examples run."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def load(path):
    """Import a program that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


layer_pages = load(ROOT / "tools" / "layer_pages.py")
checkpoint_page = load(ROOT / "tools" / "checkpoint_page.py")
benchmark_plot = load(ROOT / "tools" / "benchmark_plot.py")


def test_the_pages_are_up_to_date():
    for path, text in layer_pages.pages().items():
        assert (DOCS / path).read_text(encoding="utf-8") == text, f"{path} is old: run `make docs`"


def test_the_page_of_checkpoints_is_up_to_date():
    assert checkpoint_page.PAGE.read_text("utf-8") == checkpoint_page.page(), "it is old: run `make docs`"


def test_a_class_that_is_not_loaded_is_not_listed():
    assert checkpoint_page.kind_of("DistilBertForMaskedLM") == ("MaskedLM", "fills masks")
    assert checkpoint_page.kind_of("LongformerModel") is None


def test_the_plot_finds_its_figures_in_the_benchmarks():
    found = benchmark_plot.ratios((DOCS / "benchmarks.md").read_text("utf-8"))
    assert found["decode tiny, greedy (CTranslate2)"] == 0.56
    assert found["train BERT-base, JAX (KerasHub)"] == pytest.approx(3745 / 4384)
    assert all(0.1 < value < 2 for value in found.values())


@pytest.mark.parametrize("layer", layer_pages.classes(), ids=lambda layer: layer.__name__)
def test_every_layer_has_formula_or_paper_shapes_and_an_example_that_runs(layer):
    text = layer_pages.document(layer)
    for section in ("Args:", "Call arguments:", "Returns:", "Example:"):
        assert section in text, f"{layer.__name__} lacks {section}"
    exec(compile(layer_pages.example(layer), layer.__name__, "exec"), {})
