"""Tasks, BigBird, GPT-2 and MarianMT of others, with outputs of Hugging Face (tests/golden); tokenizers."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import pretrained
from keras_attn.device.search.search import search
from keras_attn.generation import KerasStepModel
from keras_attn.models import (
    BigBird,
    CausalLM,
    MaskedLM,
    NextSentence,
    QuestionAnswerer,
    TextClassifier,
    TextScorer,
    TokenClassifier,
)
from keras_attn.pretrained import PretrainedError

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = {
    "bert-classifier": TextClassifier,
    "bert-pretraining": MaskedLM,
    "bert-next-sentence": NextSentence,
    "distilbert-words": MaskedLM,
    "bigbird": BigBird,
    "gpt2": CausalLM,
    "gpt2-classifier": TextClassifier,
    "bert-tokens": TokenClassifier,
    "bert-reranker": TextScorer,
    "distilbert-answers": QuestionAnswerer,
    "bigbird-answers": QuestionAnswerer,
}


def outputs(model, expected):
    """Outputs where there are tokens."""
    found = model(given(expected))
    found = found["sequence_output"] if isinstance(found, dict) else found
    return existing(np.asarray(ops.convert_to_numpy(found)), expected)


def given(expected):
    return {name: expected[name] for name in ("token_ids", "padding_mask", "segment_ids") if name in expected}


def existing(values, expected):
    if "start" in expected:  # (N, 2, T); BigBird's lower those of the question
        inside = np.array(expected["padding_mask"])
        inside &= expected["segment_ids"] == 1 if "segment_ids" in expected else True
        return values.transpose(0, 2, 1)[inside]
    return values[expected["padding_mask"]] if values.ndim == 3 else values


def wanted_of(name, expected):
    if "start" in expected:
        return np.stack([expected["start"], expected["end"]], axis=1)
    return expected["sequence_output" if name == "bigbird" else "logits"]


@pytest.mark.parametrize("name", KINDS)
def test_a_checkpoint_gives_the_outputs_it_was_published_with(name, tmp_path):
    expected = np.load(GOLDEN / name / "expected.npz")
    model = pretrained.load(GOLDEN / name)
    assert type(model) is KINDS[name]
    found = outputs(model, expected)
    np.testing.assert_allclose(found, existing(wanted_of(name, expected), expected), atol=1e-5)
    # Saved both ways it is the same model, to the bit.
    pretrained.save(model, tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    for again in (pretrained.load(tmp_path / "folder"), keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(outputs(again, expected), found)


def test_two_pretraining_heads_are_distinguished(tmp_path):
    expected, model = np.load(GOLDEN / "bert-pretraining" / "expected.npz"), None
    pretrained.save(pretrained.load(GOLDEN / "bert-pretraining"), tmp_path / "folder")
    for folder in (GOLDEN / "bert-pretraining", tmp_path / "folder"):
        model = pretrained.load(folder)
        words, following = model(given(expected), return_next_sentence=True)
        np.testing.assert_allclose(
            words[expected["padding_mask"]], existing(expected["logits"], expected), atol=1e-5
        )
        np.testing.assert_allclose(following, expected["next_sentence"], atol=1e-5)
    with pytest.raises(ValueError, match="next_sentence=True"):
        MaskedLM(model.backbone)(given(expected), return_next_sentence=True)
    assert pretrained.load(GOLDEN / "bert-next-sentence").labels == ["next", "random"]


def test_labels_come_from_the_configuration():
    assert pretrained.load(GOLDEN / "bert-classifier").labels == ["World", "Sports", "Science"]


def test_marian_gives_the_logits_and_tokens_it_was_published_with(tmp_path):
    expected = np.load(GOLDEN / "marian" / "expected.npz")
    model = pretrained.load(GOLDEN / "marian")
    given = {
        "encoder_token_ids": expected["token_ids"],
        "encoder_padding_mask": expected["padding_mask"],
        "decoder_token_ids": expected["tokens"][:, :-1],
    }
    logits = np.asarray(ops.convert_to_numpy(model(given)))
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-5)
    options = pretrained.search_options(GOLDEN / "marian")
    assert (options["beam"], options["suppress"]) == (4, (3,))
    options.update(max_length=8, early_stopping=True)  # as the tokens were made
    found = search(KerasStepModel(model, 8), given["encoder_token_ids"], expected["padding_mask"], **options)
    wanted = [[int(token) for token in tokens if token not in (0, 3)] for tokens in expected["tokens"]]
    assert [sentence[0].ids for sentence in found] == wanted
    pretrained.save(model, tmp_path / "folder", {"eos_token_id": 0})
    again = pretrained.load(tmp_path / "folder")
    np.testing.assert_array_equal(ops.convert_to_numpy(again(given)), logits)
    assert pretrained.search_options(tmp_path / "folder")["start_id"] == 3
    with pytest.raises(PretrainedError, match="contradict the model, which has pad_token_id=3"):
        pretrained.save(model, tmp_path / "other", {"pad_token_id": 1})


@pytest.fixture
def folder(tmp_path):
    """A folder that a test may change."""

    def copy(name, **options):
        to = Path(shutil.copytree(GOLDEN / name, tmp_path / name))
        config = json.loads((to / "config.json").read_text(encoding="utf-8"))
        (to / "config.json").write_text(json.dumps({**config, **options}), encoding="utf-8")
        return to

    return copy


def test_old_names_of_normalizations_are_known(folder):
    from safetensors.numpy import load_file, save_file

    to = folder("bert-classifier")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in load_file(to / "model.safetensors").items()
    }
    assert any("gamma" in name for name in old)
    save_file(old, to / "model.safetensors")
    expected = np.load(to / "expected.npz")
    np.testing.assert_allclose(outputs(pretrained.load(to), expected), expected["logits"], atol=1e-5)


def test_half_precision_is_read(folder):
    import ml_dtypes
    from safetensors.numpy import load_file, save_file

    to = folder("gpt2")
    for dtype in (np.float16, ml_dtypes.bfloat16):
        half = {name: array.astype(dtype) for name, array in load_file(to / "model.safetensors").items()}
        save_file(half, to / "model.safetensors")
        positions = pretrained.load(to).backbone.position_embedding.position_embeddings
        np.testing.assert_array_equal(
            np.asarray(positions), half["transformer.wpe.weight"].astype(np.float32)
        )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bert-classifier", {"problem_type": "regression"}, "problem_type='regression'"),
        ("bert-classifier", {"id2label": {"0": "a", "1": "b"}}, "numbers 0 to 2"),
        (
            "bert-classifier",
            {"architectures": ["BertForMultipleChoice"]},
            "head of BertForMultipleChoice",
        ),
        ("distilbert-words", {"architectures": None, "vocab_size": 41}, r"vocab_projector.bias is \(40,\)"),
        ("gpt2", {"embd_pdrop": 0.3}, "embd_pdrop=0.3 and resid_pdrop=0.1 differ"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ("marian", {"decoder_attention_heads": 2}, "decoder_attention_heads=2 and encoder_attention_heads=3"),
        ("marian", {"tie_word_embeddings": False}, "tie_word_embeddings=False is not supported"),
    ],
)
def test_mismatches_are_refused(folder, name, options, message):
    with pytest.raises(PretrainedError, match=message):
        pretrained.load(folder(name, **options))


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hel", "##lo", "wor", "##ld"]


def test_word_pieces_are_read_and_must_fit_the_model(folder):
    to = folder("bert-classifier")
    (to / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    tokenizer = pretrained.load_tokenizer(to)
    assert tokenizer.encode("Hello, [MASK] wörld").ids == [2, 5, 6, 1, 4, 7, 8, 3]
    tokenizer.enable_truncation(4)
    tokenizer.save(str(to / "tokenizer.json"))
    # The file is preferred, and its truncation left alone.
    (to / "vocab.txt").unlink()
    assert len(pretrained.load_tokenizer(to).encode("hello world").ids) == 6
    with pytest.raises(PretrainedError, match=r"does not match the model: its token '##ld' has the id 8"):
        pretrained.load_tokenizer(to, vocabulary_size=8)
    config = json.loads((to / "config.json").read_text(encoding="utf-8"))
    (to / "config.json").write_text(json.dumps({**config, "vocab_size": 7}), encoding="utf-8")
    with pytest.raises(PretrainedError, match="the model has only 7 tokens"):
        pretrained.load_tokenizer(to)


def test_byte_pairs_are_read(tmp_path):
    pieces = ["a", "b", "Ġ", "ab", "Ġab", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\nĠ ab\n", encoding="utf-8")
    tokenizer = pretrained.load_tokenizer(tmp_path)
    assert tokenizer.encode("ab ab a<|endoftext|>").ids == [3, 4, 2, 0, 5]
    assert tokenizer.decode([3, 4, 2, 0]) == "ab ab a"
    (tmp_path / "merges.txt").write_text("a c\n", encoding="utf-8")
    with pytest.raises(PretrainedError, match=r"merges.txt does not fit vocab.json"):
        pretrained.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": true}')
    with pytest.raises(PretrainedError, match="add_bos_token=True"):
        pretrained.load_tokenizer(tmp_path)


def test_unreadable_tokenizers_are_reported(tmp_path):
    with pytest.raises(PretrainedError, match=r"has no tokenizer: neither tokenizer.json"):
        pretrained.load_tokenizer(tmp_path)
    (tmp_path / "other.model").write_bytes(b"")
    with pytest.raises(PretrainedError, match=r"merges.txt, only other.model"):
        pretrained.load_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").write_text("[UNK]\nword\n", encoding="utf-8")
    with pytest.raises(PretrainedError, match=r'lacks the special tokens \["\[CLS\]", "\[MASK\]"'):
        pretrained.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PretrainedError, match=r"tokenizer.json is not a tokenizer that can be read"):
        pretrained.load_tokenizer(tmp_path)
