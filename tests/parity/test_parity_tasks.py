"""GPT-2 and the heads of tasks: Hugging Face's outputs here, and what is saved here is loaded there."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import pretrained
from keras_attn.generation import KerasStepModel
from keras_attn.models import (
    GPT2,
    Bert,
    BigBird,
    CausalLM,
    MaskedLM,
    NextSentence,
    TextClassifier,
    TextScorer,
)

pytestmark = pytest.mark.parity

BERT = {
    "vocab_size": 40, "max_position_embeddings": 16, "hidden_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 3, "intermediate_size": 20,
}  # fmt: skip
DISTIL = {
    "vocab_size": 40, "max_position_embeddings": 16, "dim": 24, "n_layers": 1, "n_heads": 3, "hidden_dim": 20
}  # fmt: skip
GPT = {
    "vocab_size": 40, "n_positions": 16, "n_embd": 24, "n_layer": 2, "n_head": 3,
    "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip
BIGBIRD = {**BERT, "block_size": 1, "num_random_blocks": 1, "num_hidden_layers": 2}
LABELS = {"id2label": {0: "World", 1: "Sports", 2: "Science"}, "num_labels": 3}
CASES = {
    "bert classifier": ("BertForSequenceClassification", {**BERT, **LABELS}, TextClassifier),
    "bert classifier, two labels": ("BertForSequenceClassification", {**BERT, "classifier_dropout": 0.3},
                                    TextClassifier),
    "distilbert classifier": ("DistilBertForSequenceClassification", {**DISTIL, **LABELS}, TextClassifier),
    "bigbird classifier": ("BigBirdForSequenceClassification", {**BIGBIRD, **LABELS}, TextClassifier),
    "bert words": ("BertForMaskedLM", BERT, MaskedLM),
    "bert words, untied": ("BertForMaskedLM", {**BERT, "tie_word_embeddings": False, "hidden_act": "relu"},
                           MaskedLM),
    "bert pretraining": ("BertForPreTraining", BERT, MaskedLM),
    "bert pretraining, untied": ("BertForPreTraining", {**BERT, "tie_word_embeddings": False}, MaskedLM),
    "bigbird pretraining": ("BigBirdForPreTraining", BIGBIRD, MaskedLM),
    "bert next sentence": ("BertForNextSentencePrediction", BERT, NextSentence),
    "distilbert words": ("DistilBertForMaskedLM", DISTIL, MaskedLM),
    "distilbert words, untied": ("DistilBertForMaskedLM", {**DISTIL, "tie_word_embeddings": False}, MaskedLM),
    "bigbird words": ("BigBirdForMaskedLM", BIGBIRD, MaskedLM),
    "gpt2": ("GPT2Model", GPT, GPT2),
    "gpt2 words": ("GPT2LMHeadModel", GPT, CausalLM),
    "gpt2 words, untied": (
        "GPT2LMHeadModel",
        {**GPT, "tie_word_embeddings": False, "n_inner": 20, "activation_function": "relu"},
        CausalLM,
    ),
    "gpt2 classifier": (
        "GPT2ForSequenceClassification",
        {**GPT, **LABELS, "pad_token_id": 0},
        TextClassifier,
    ),
    "gpt2 classifier, padded by its end": (
        "GPT2ForSequenceClassification",
        {**GPT, "n_head": 2, "eos_token_id": 0, "pad_token_id": 0},
        TextClassifier,
    ),
    "gpt2 by erf": ("GPT2LMHeadModel", {**GPT, "n_head": 1, "activation_function": "gelu"}, CausalLM),
}  # fmt: skip


def hugging_face(name, options):
    """A model whose weights are large enough to tell mistakes, in evaluation."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    torch.manual_seed(0)
    make = getattr(transformers, name)
    model = make(make.config_class(**options))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def given():
    mask = np.arange(9)[None] < np.array([[9], [5], [1]])
    ids = np.random.default_rng(0).integers(4, 40, (3, 9))
    # GPT-2's classifier finds the last token by the padding, 0 here, and not by the mask.
    return {"token_ids": np.where(mask, ids, 0), "padding_mask": mask}


def theirs(model):
    torch = pytest.importorskip("torch")
    inputs = given()
    ids, mask = torch.tensor(inputs["token_ids"]), torch.tensor(inputs["padding_mask"]).long()
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=mask)
    for name in ("logits", "prediction_logits", "last_hidden_state"):
        if name in found:
            return found[name].numpy()
    raise AssertionError(f"no known output among {list(found)}")


def ours(model):
    found = model(given())
    found = found["sequence_output"] if isinstance(found, dict) else found
    return np.asarray(ops.convert_to_numpy(found))


def assert_equal(found, expected):
    if found.ndim == 3:
        exists = given()["padding_mask"]
        found, expected = found[exists], expected[exists]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_outputs_are_hugging_face_s_both_ways(case, tmp_path):
    transformers = pytest.importorskip("transformers")
    name, options, task = case
    model = hugging_face(name, options)
    model.save_pretrained(tmp_path / "theirs")
    loaded = pretrained.load(tmp_path / "theirs")
    assert type(loaded) is task
    expected = theirs(model)
    assert_equal(ours(loaded), expected)
    # What is saved here is the same there, and here to the bit.
    pretrained.save(loaded, tmp_path / "ours")
    saved = getattr(transformers, name)
    assert_equal(theirs(saved.from_pretrained(tmp_path / "ours").eval()), expected)
    again = pretrained.load(tmp_path / "ours")
    assert without_names(again.get_config()) == without_names(loaded.get_config())
    for one, other in zip(loaded.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def without_names(config):
    """A configuration without the names that Keras counts up."""
    if not isinstance(config, dict):
        return config
    return {key: without_names(value) for key, value in config.items() if key != "name"}


def test_labels_and_dropout_are_loaded(tmp_path):
    hugging_face(*CASES["bert classifier"][:2]).save_pretrained(tmp_path / "three")
    assert pretrained.load(tmp_path / "three").labels == ["World", "Sports", "Science"]
    hugging_face(*CASES["bert classifier, two labels"][:2]).save_pretrained(tmp_path / "two")
    found = pretrained.load(tmp_path / "two", attention_dropout=0.0)
    assert (found.labels, found.dropout) == (["LABEL_0", "LABEL_1"], 0.3)
    assert found.backbone.attention_dropout == 0.0


@pytest.mark.parametrize("case", ["bert pretraining", "bigbird pretraining", "bert next sentence"])
def test_next_sentences_are_hugging_face_s_both_ways(case, tmp_path):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    name, options, _ = CASES[case]
    model, inputs = hugging_face(name, options), given()
    segments = np.array([[0] * 4 + [1] * 5, [0] * 2 + [1] * 7, [0] * 9])
    model.save_pretrained(tmp_path / "theirs")
    loaded = pretrained.load(tmp_path / "theirs")
    pretrained.save(loaded, tmp_path / "ours")
    for each in (model, getattr(transformers, name).from_pretrained(tmp_path / "ours").eval()):
        with torch.no_grad():
            expected = each(
                input_ids=torch.tensor(inputs["token_ids"]),
                attention_mask=torch.tensor(inputs["padding_mask"]).long(),
                token_type_ids=torch.tensor(segments),
            )
        expected = expected["seq_relationship_logits" if "pretraining" in case else "logits"].numpy()
        asked = {**inputs, "segment_ids": segments}
        found = loaded(asked, return_next_sentence=True)[1] if "pretraining" in case else loaded(asked)
        np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-5)


def test_padding_without_a_mask_is_not_the_last_token(tmp_path):
    model = hugging_face(*CASES["gpt2 classifier, padded by its end"][:2])
    model.save_pretrained(tmp_path)
    loaded, masked = pretrained.load(tmp_path), given()
    without = loaded({"token_ids": masked["token_ids"]})
    assert_equal(np.asarray(ops.convert_to_numpy(without)), theirs(model))
    # Padding may also stand in front, with the mask.
    turned = {name: np.asarray(each)[:, ::-1] for name, each in masked.items()}
    turned["token_ids"] = np.stack([np.r_[row[row == 0], row[row > 0][::-1]] for row in turned["token_ids"]])
    assert_equal(np.asarray(ops.convert_to_numpy(loaded(turned))), theirs(model))


def test_the_head_may_be_left_out(tmp_path):
    for number, (case, backbone) in enumerate(
        {
            "bert pretraining": Bert,
            "bigbird classifier": BigBird,
            "gpt2 words, untied": GPT2,
            "gpt2 classifier": GPT2,
        }.items()
    ):
        model = hugging_face(*CASES[case][:2])
        model.save_pretrained(tmp_path / str(number))
        found = pretrained.load(tmp_path / str(number), without_head=True)
        assert type(found) is backbone
        assert_equal(ours(found), theirs(model.base_model))


def test_unknown_head_is_refused_with_a_hint(tmp_path):
    hugging_face("BertForMultipleChoice", BERT).save_pretrained(tmp_path)
    with pytest.raises(pretrained.PretrainedError, match=r"BertForMultipleChoice(.|\n)*without_head=True"):
        pretrained.load(tmp_path)
    assert isinstance(pretrained.load(tmp_path, without_head=True), Bert)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": None}))
    # Without the name of its class it is what its tensors are: a logit of each pair, as a scorer has it.
    assert isinstance(pretrained.load(tmp_path), TextScorer)


def test_gpt2_steps_give_the_tokens_of_generate(tmp_path):
    torch = pytest.importorskip("torch")
    model = hugging_face("GPT2LMHeadModel", GPT)
    model.save_pretrained(tmp_path)
    loaded = pretrained.load(tmp_path)
    # Prompts of different lengths, padded in front as generate() wants them.
    ids, mask = given()["token_ids"][:2], given()["padding_mask"][:2, ::-1]
    expected = model.generate(
        torch.tensor(ids),
        attention_mask=torch.tensor(mask.copy()).long(),
        max_new_tokens=6,
        do_sample=False,
        pad_token_id=0,
    )
    step_model = KerasStepModel(loaded, 6)
    state, tokens, written = step_model.start(ids[:, :-1], mask[:, :-1]), ids[:, -1], []
    for _ in range(6):
        scores, state = step_model.step(tokens, state)
        tokens = scores.argmax(-1)
        written.append(tokens)
    np.testing.assert_array_equal(np.stack(written, 1), expected[:, 9:].numpy())


def test_unsupported_models_are_not_saved(tmp_path):
    sizes = {
        "num_layers": 1,
        "num_heads": 2,
        "hidden_dim": 8,
        "intermediate_dim": 8,
        "max_sequence_length": 8,
    }
    bert = Bert(20, **sizes)
    for model, message in (
        (GPT2(20, **sizes, local_window=2), "local_window=2"),
        (TextClassifier(bert, ["a", "b"], pooling="mean"), "pooling='mean'"),
        (TextClassifier(bert, ["a", "b"], hidden_activation="tanh"), "hidden_activation='tanh'"),
        (TextClassifier(GPT2(20, **sizes), ["a", "b"], use_bias=True), "use_bias=True"),
        (NextSentence(bert, ["yes", "no"]), "labels"),
        (NextSentence(BigBird(20, **sizes)), "only a BertModel's"),
        (keras.Sequential(), "Sequential has no counterpart"),
    ):
        with pytest.raises(pretrained.PretrainedError, match=message):
            pretrained.save(model, tmp_path / "folder")
    assert not list(tmp_path.iterdir())
