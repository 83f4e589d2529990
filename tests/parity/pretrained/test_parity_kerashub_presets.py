"""KerasHub's presets with tokenizer and head: equal ids and scores, and the commands take them."""

import json

import numpy as np
import pytest
from hard_texts import hard_texts
from tiny_models import in_process
from tokenizers import ByteLevelBPETokenizer

from keras_attn import pretrained
from keras_attn.models import Bert, CausalLM, TextClassifier
from keras_attn.pretrained import PretrainedError

pytestmark = pytest.mark.parity

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    *hard_texts(["covid", "Word"], 200),
    *("Straße ǰ ΐ ſ ŉ", "½ cup … ㎞ ㈱", "Crème 12345", "a\u00a0b\u3000c", "don't 'LL 'Ve"),
]
# Words of more than 100 bytes are unknown to KerasHub, of more than 100 characters to us.
TEXTS = [" ".join(word[:30] for word in text.split(" ")) for text in TEXTS]
SIZES = {
    **{"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 20, "max_sequence_length": 32},
}


def words():
    """Most characters of the texts, as the first and as a further piece, and some longer ones."""
    folded = {
        character for text in TEXTS for character in (text + text.casefold()) if not character.isspace()
    }
    characters = sorted(folded - set("qÅ🥰語"))
    pieces = [*SPECIAL, *characters, *(f"##{each}" for each in characters), "covid", "word", "##ord", "don"]
    return list(dict.fromkeys(piece for piece in pieces if piece.strip() == piece and piece.isprintable()))


def randomized(model):
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.2)
    return model


def bert_tokenizer(kind, **options):
    hub = pytest.importorskip("keras_hub")
    return getattr(hub.models, f"{kind}Tokenizer")(vocabulary=words(), **options)


def classifier(kind, **options):
    hub = pytest.importorskip("keras_hub")
    tokenizer = bert_tokenizer(kind, lowercase=True)
    preprocessor = getattr(hub.models, f"{kind}TextClassifierPreprocessor")(tokenizer, sequence_length=32)
    backbone = getattr(hub.models, f"{kind}Backbone")(vocabulary_size=len(words()), **SIZES)
    make = getattr(hub.models, f"{kind}TextClassifier")
    more = {"hidden_dim": SIZES["hidden_dim"]} if kind == "DistilBert" else {}
    return randomized(make(backbone, num_classes=3, preprocessor=preprocessor, **more, **options))


def gpt2():
    hub = pytest.importorskip("keras_hub")
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(
        TEXTS, vocab_size=400, min_frequency=1, show_progress=False, special_tokens=["<|endoftext|>"]
    )
    layout = json.loads(trainer.to_str())["model"]
    merges = [" ".join(pair) for pair in layout["merges"]]
    tokenizer = hub.models.GPT2Tokenizer(vocabulary=layout["vocab"], merges=merges)
    preprocessor = hub.models.GPT2CausalLMPreprocessor(tokenizer, sequence_length=32)
    backbone = hub.models.GPT2Backbone(vocabulary_size=len(layout["vocab"]), **SIZES)
    return randomized(hub.models.GPT2CausalLM(backbone, preprocessor=preprocessor))


@pytest.mark.parametrize("kind", ["Bert", "DistilBert"])
@pytest.mark.parametrize(
    "options", [{}, {"lowercase": True}, {"lowercase": True, "strip_accents": True}], ids=str
)
def test_word_pieces_have_kerashub_s_ids(kind, options, tmp_path):
    tokenizer = bert_tokenizer(kind, **options)
    backbone = classifier(kind).backbone
    backbone.save_to_preset(str(tmp_path))
    tokenizer.save_to_preset(str(tmp_path))
    ours = pretrained.load_tokenizer(tmp_path)
    ours.encode_special_tokens = True
    for text in TEXTS:
        assert ours.encode(text, add_special_tokens=False).ids == list(map(int, tokenizer(text))), ascii(text)
    with pytest.raises(PretrainedError, match="does not match the model"):
        pretrained.load_tokenizer(tmp_path, vocabulary_size=len(words()) - 1)


@pytest.mark.parametrize("kind", ["Bert", "DistilBert"])
def test_a_classifier_s_preset_has_its_scores(kind, tmp_path):
    theirs = classifier(kind)
    theirs.save_to_preset(str(tmp_path))
    model, tokenizer = pretrained.load(tmp_path), pretrained.load_tokenizer(tmp_path)
    assert type(model) is TextClassifier and model.labels == ["LABEL_0", "LABEL_1", "LABEL_2"]
    for text in TEXTS[20:40]:
        expected = theirs.preprocessor([text])
        length = int(np.sum(expected["padding_mask"]))
        ids = tokenizer.encode(text).ids
        if len(ids) <= 32:
            assert ids == np.asarray(expected["token_ids"])[0, :length].tolist()
        inputs = {name: np.asarray(value) for name, value in expected.items()}
        np.testing.assert_allclose(np.asarray(model(inputs)), np.asarray(theirs(expected)), atol=2e-5)
    assert type(pretrained.load(tmp_path, without_head=True)) is Bert
    assert type(pretrained.load(theirs)) is TextClassifier


def test_a_language_model_s_preset_has_its_scores(tmp_path):
    theirs = gpt2()
    theirs.save_to_preset(str(tmp_path))
    model, tokenizer = pretrained.load(tmp_path), pretrained.load_tokenizer(tmp_path)
    assert type(model) is CausalLM
    tokenizer.encode_special_tokens = True
    hub = theirs.preprocessor.tokenizer
    for text in TEXTS:
        assert tokenizer.encode(text).ids == list(map(int, hub(text))), ascii(text)
    inputs = {"token_ids": np.arange(24).reshape(2, 12), "padding_mask": np.ones((2, 12), bool)}
    np.testing.assert_allclose(np.asarray(model(inputs)), np.asarray(theirs(inputs)), atol=2e-5)


def test_presets_are_exported_and_answer_on_the_device(tmp_path):
    from keras_attn_export import export

    from keras_attn import device

    theirs = classifier("Bert", activation="softmax")
    theirs.save_to_preset(str(tmp_path / "classifier"))
    gpt2().save_to_preset(str(tmp_path / "gpt2"))
    with in_process():
        export(tmp_path / "classifier", tmp_path / "scores", "fp32", buckets=(16,))
        export(tmp_path / "gpt2", tmp_path / "words", "fp32", buckets=(16,))
    text = "covid was bad"
    expected = np.asarray(theirs(theirs.preprocessor([text])))[0]
    found = device.load(tmp_path / "scores").classify(text)
    assert found.label == f"LABEL_{expected.argmax()}"
    assert found.score == pytest.approx(expected.max(), abs=1e-5)
    assert device.load(tmp_path / "words").generate("covid was", max_length=4)


def test_heads_and_tokenizers_that_are_not_known_are_refused(tmp_path):
    hub = pytest.importorskip("keras_hub")
    with pytest.raises(PretrainedError, match="activation sigmoid is not supported"):
        pretrained.load(classifier("Bert", activation="sigmoid"))
    backbone = hub.models.BertBackbone(vocabulary_size=40, **SIZES)
    with pytest.raises(PretrainedError, match="head of KerasHub's BertMaskedLM is not known, only those of"):
        pretrained.load(hub.models.BertMaskedLM(backbone))
    classifier("Bert").save_to_preset(str(tmp_path))
    config = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    for options, message in (
        ({"split": False}, "option split=False is not supported"),
        ({"own": 1}, "option own=1 is not supported"),
    ):
        changed = {**config, "config": {**config["config"], **options}}
        (tmp_path / "tokenizer.json").write_text(json.dumps(changed), "utf-8")
        with pytest.raises(PretrainedError, match=message):
            pretrained.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text(
        json.dumps({"registered_name": "keras_hub>WhisperTokenizer"}), "utf-8"
    )
    with pytest.raises(PretrainedError, match="WhisperTokenizer is not a tokenizer that is known"):
        pretrained.load_tokenizer(tmp_path)
