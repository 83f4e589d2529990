"""The pages of the layers are those of the docstrings, and their examples run."""

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


def test_the_pages_are_up_to_date():
    for path, text in layer_pages.pages().items():
        assert (DOCS / path).read_text(encoding="utf-8") == text, f"{path} is old: run `make docs`"


@pytest.mark.parametrize("layer", layer_pages.classes(), ids=lambda layer: layer.__name__)
def test_every_layer_has_formula_or_paper_shapes_and_an_example_that_runs(layer):
    text = layer_pages.document(layer)
    for section in ("Args:", "Call arguments:", "Returns:", "Example:"):
        assert section in text, f"{layer.__name__} lacks {section}"
    exec(compile(layer_pages.example(layer), layer.__name__, "exec"), {})
