"""The notebooks of the lesson run from top to bottom, and what their texts claim holds in their outputs."""

import importlib.util
import re

import pytest
from test_lesson import lesson

pytestmark = pytest.mark.notebooks

# The code of the two languages is the same (test_lesson.py), so that each notebook runs once, in one of them.
RUNS = [("TransformersTF", "ja"), ("Solution", "ja")]


def printed(notebook):
    """What a notebook printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(output.text for output in outputs if output.output_type == "stream")


@pytest.mark.parametrize(("name", "language"), RUNS)
def test_a_notebook_runs(name, language, monkeypatch):
    if lesson.NOTEBOOKS[name].backend == "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel shows its figures itself
    notebook = lesson.made(name, language)
    lesson.execute(notebook)
    text = printed(notebook)
    assert "the proof holds" in text
    assert "FAILS" not in text
    if name != "Solution":
        check_claims(text)


def check_claims(text):
    """Check what the texts of the lesson say of its models."""
    bleu = {
        name: [float(score) for score in re.search(rf"^{name} +([\d. ]+)$", text, re.MULTILINE)[1].split()]
        for name in ("RNN encoder-decoder", "RNNsearch", "Transformer")
    }
    assert bleu["RNN encoder-decoder"] == sorted(bleu["RNN encoder-decoder"], reverse=True)
    assert bleu["RNN encoder-decoder"][-1] < 60
    assert min(*bleu["RNNsearch"], *bleu["Transformer"]) > 90
    none, *with_positions = (float(each) for each in re.findall(r"^  ([\d.]+)% right$", text, re.MULTILINE))
    assert none < 50 < 95 < min(with_positions)
    found = re.findall(r"what it means ([\d.]+), the other noun ([\d.]+)", text)
    assert max(float(meant) for meant, _ in found) > 0.6
    assert max(float(other) for _, other in found) < 0.2
    random, pretrained = (
        float(re.search(rf"^{name} weights: ([\d.]+)% right", text, re.MULTILINE)[1])
        for name in ("random", "BERT's")
    )
    assert pretrained > max(random + 10, 90)
