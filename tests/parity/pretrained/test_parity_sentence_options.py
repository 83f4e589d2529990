"""Sentence encoders with every option of sentence-transformers: its vectors, or a refusal by name."""

import json
import shutil

import numpy as np
import pytest
from keras_attn_export.buckets import choose_buckets

from keras_attn import pretrained
from keras_attn.encoding import keras_task
from keras_attn.pretrained.architectures.sentence_encoders import (
    EMBEDDER_OPTIONS,
    ENCODER_OPTIONS,
    POOLING,
    POOLING_OPTIONS,
)
from keras_attn.sources.find_source import find_source
from keras_attn.sources.lengths import ENCODER_LENGTHS

pytestmark = pytest.mark.parity

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", ":", *(f"w{number}" for number in range(33))]
TEXTS = ["w1 w2 w3", "W4 w5", "", " ".join(f"w{number}" for number in range(1, 20))]
PROMPTS = {"query": "query: ", "passage": "w9 w8 "}
# What is saved with a sentence encoder, and the arguments of its encode() that ask for something else.
CASES = {
    "nothing": ({}, {}),
    "a default prompt": ({"prompts": PROMPTS, "default_prompt_name": "query"}, {}),
    "another than the default prompt": (
        {"prompts": PROMPTS, "default_prompt_name": "query"},
        {"prompt_name": "passage"},
    ),
    "no prompt, though there is a default": (
        {"prompts": PROMPTS, "default_prompt_name": "query"},
        {"prompt": ""},
    ),
    "prompts without a default": ({"prompts": PROMPTS}, {}),
    "a prompt by name": ({"prompts": PROMPTS}, {"prompt_name": "query"}),
    "fewer dimensions": ({"truncate_dim": 10, "similarity_fn_name": "dot"}, {}),
    "more dimensions than there are": ({"truncate_dim": 100}, {}),
    "a longest text": ({"max_seq_length": 10}, {}),
    "a longest text and a prompt": (
        {"max_seq_length": 10, "prompts": PROMPTS, "default_prompt_name": "passage"},
        {},
    ),
    "no normalization": ({"normalize": False}, {}),
    "the mean by the root": ({"pooling_mode": "mean_sqrt_len_tokens"}, {}),
    "the largest": ({"pooling_mode": "max"}, {}),
    "the first": ({"pooling_mode": "cls"}, {}),
    "the last": ({"pooling_mode": "lasttoken"}, {}),
    "a weighted mean": ({"pooling_mode": "weightedmean"}, {}),
    "several ways of pooling": ({"pooling_mode": ["cls", "weightedmean", "lasttoken"]}, {}),
    "a dense layer": ({"dense": [(24, 10, "Tanh")], "pooling_mode": "cls"}, {}),
    "dense layers of several ways of pooling": (
        {
            "dense": [(48, 12, "Identity"), (12, 20, "GELU")],
            "pooling_mode": ["mean", "max"],
            "truncate_dim": 8,
        },
        {},
    ),
    "a dense layer, not normalized": (
        {"dense": [(24, 30, "ReLU")], "normalize": False, "truncate_dim": 25},
        {},
    ),
    "a dense layer of another activation": ({"dense": [(24, 30, "Softplus")]}, {}),
    "pooling without the prompt": ({"prompts": PROMPTS, "include_prompt": False}, {"prompt_name": "query"}),
    "pooling without prompts": ({"include_prompt": False}, {}),
}

REFUSED = {
    "a dense layer of another activation": "activation_function='torch.nn.modules.activation.Softplus'",
    "pooling without the prompt": "option include_prompt=False with the prompts",
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
        max_position_embeddings=32,
    )  # fmt: skip
    model = transformers.BertModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def saved(encoder, to, options):
    """Save a sentence encoder with sentence-transformers, and load it again with it."""
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    transformer = pytest.importorskip("sentence_transformers.base.modules").Transformer
    options = dict(options)
    reading = {name: options.pop(name) for name in ("max_seq_length", "do_lower_case") if name in options}
    pooling = {name: options.pop(name) for name in ("pooling_mode", "include_prompt") if name in options}
    parts = [transformer(str(encoder), **reading), modules.Pooling(24, **pooling)]
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    for number, (inputs, outputs, activation) in enumerate(options.pop("dense", [])):
        made = getattr(torch.nn, activation)()
        parts.append(modules.Dense(inputs, outputs, bias=not number, activation_function=made))
    parts += [modules.Normalize()] if options.pop("normalize", True) else []
    library.SentenceTransformer(modules=parts, device="cpu", **options).save(str(to))
    return library.SentenceTransformer(str(to), device="cpu")


def assert_equal_or_refused(folder, theirs, asked, message=""):
    try:
        source = find_source(folder)
    except pretrained.PretrainedError as error:
        assert message and message in str(error)
        return
    buckets = choose_buckets(None, source.longest, None, ENCODER_LENGTHS, longest_text=source.longest_text)
    task = keras_task(source.model, source.tokenizer, [bucket.source for bucket in buckets])
    name = asked.get("prompt_name", asked.get("prompt"))
    found = np.stack([each.embedding for each in task.embed(TEXTS, prompt=name, truncate=True)])
    expected = theirs.encode(TEXTS, **asked)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2e-6 * max(1, np.abs(expected).max())
    return source.model


@pytest.mark.parametrize("case", CASES)
def test_embedder_equals_sentence_transformers_or_is_refused(encoder, case, tmp_path):
    options, asked = CASES[case]
    theirs = saved(encoder, tmp_path / "folder", options)
    model = assert_equal_or_refused(tmp_path / "folder", theirs, asked, REFUSED.get(case, ""))
    if model is not None and "dense" in options:
        # Saved again it is the same there.
        library = pytest.importorskip("sentence_transformers")
        pretrained.save(model, tmp_path / "again")
        for path in encoder.glob("*token*"):
            shutil.copy(path, tmp_path / "again")
        again = library.SentenceTransformer(str(tmp_path / "again"), device="cpu")
        np.testing.assert_allclose(again.encode(TEXTS), theirs.encode(TEXTS), atol=1e-6)


def test_fewer_dimensions_are_sentence_transformers(encoder, tmp_path):
    theirs = saved(encoder, tmp_path, {})
    source = find_source(tmp_path)
    task = keras_task(source.model, source.tokenizer, [32])
    found = np.stack([each.embedding for each in task.embed(TEXTS, truncate=True, dimensions=7)])
    np.testing.assert_allclose(found, theirs.encode(TEXTS, truncate_dim=7), atol=1e-6)


# Files as older versions wrote them, over a folder that the newest has saved.
OLD = {
    "sentence_bert_config.json": {"max_seq_length": 9, "do_lower_case": False},
    "sentence_distilbert_config.json": {"max_seq_length": 9, "do_lower_case": True},
    "1_Pooling/config.json": {"word_embedding_dimension": 24, "pooling_mode_cls_token": True,
                              "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False},
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_older_files_are_read_as_sentence_transformers_reads_them(encoder, name, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    saved(encoder, tmp_path, {})
    if name.startswith("sentence"):
        (tmp_path / "sentence_bert_config.json").unlink()
    (tmp_path / name).write_text(json.dumps(OLD[name]), encoding="utf-8")
    assert_equal_or_refused(tmp_path, library.SentenceTransformer(str(tmp_path), device="cpu"), {})


def test_every_option_that_sentence_transformers_writes_is_in_one_list():
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    transformer = pytest.importorskip("sentence_transformers.base.modules").Transformer
    pooling = pytest.importorskip("sentence_transformers.sentence_transformer.modules.pooling")
    model = library.SentenceTransformer(modules=[modules.Normalize()], truncate_dim=3, device="cpu")
    written = {
        "pooling": ({*modules.Pooling.config_keys, *pooling._LEGACY_POOLING_MODE_KWARGS}, POOLING_OPTIONS),
        "encoder": (set(transformer.config_keys), ENCODER_OPTIONS),
        "embedder": (set(model._get_model_config()), EMBEDDER_OPTIONS),
    }
    for name, (fields, known) in written.items():
        lists = (
            known["computed"] | (set(POOLING) if name == "pooling" else set()),
            known["only"],
            known["harmless"],
        )
        unknown = sorted(field for field in fields if sum(field in each for each in lists) != 1)
        assert not unknown, f"{name}: decide what to do with {', '.join(unknown)}"
