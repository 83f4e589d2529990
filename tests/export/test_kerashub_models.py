"""KerasHub's classifiers, exported with the tokenizer of their preprocessor."""

import io

import numpy as np
import pytest

import keras_attn

hub = pytest.importorskip("keras_hub")
LABELS = ["calm", "stormy"]
WORDS = ["sea", "wind", "wave", "sun", "sand", "boat", "sail", "storm", "rain", "cloud"]
TEXTS = [" ".join(WORDS[(i * step) % len(WORDS)] for i in range(2, 4 + step)) for step in range(1, 7)]


def word_pieces():
    return hub.models.BertTokenizer(vocabulary=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])


def sentence_pieces():
    trainer = pytest.importorskip("sentencepiece").SentencePieceTrainer
    written = io.BytesIO()
    special = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
    options = {**special, "user_defined_symbols": "[MASK]", "vocab_size": 40, "hard_vocab_limit": False}
    trainer.train(sentence_iterator=iter(TEXTS * 20), model_writer=written, minloglevel=2, **options)
    return hub.models.AlbertTokenizer(proto=written.getvalue())


@pytest.mark.parametrize(("name", "make"), [("Bert", word_pieces), ("Albert", sentence_pieces)])
def test_a_classifier_of_kerashub_gives_its_own_probabilities_for_texts(name, make, tmp_path):
    tokenizer = make()
    more = {"embedding_dim": 16} if name == "Albert" else {}
    backbone = getattr(hub.models, f"{name}Backbone")(
        vocabulary_size=40,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=64,
        **more,
    )
    preprocessor = getattr(hub.models, f"{name}TextClassifierPreprocessor")(tokenizer, sequence_length=32)
    model = getattr(hub.models, f"{name}TextClassifier")(backbone, 2, preprocessor=preprocessor)
    rng = np.random.default_rng(0)
    for weight in model.weights:  # as they are begun, texts hardly matter
        if len(weight.shape) >= 2:
            weight.assign(rng.normal(0, 0.35, weight.shape))
    keras_attn.export(model, tmp_path / "bundle", "fp32", labels=LABELS, examples=TEXTS, lengths=[8, 32])
    classifier = keras_attn.device.load(tmp_path / "bundle")
    powers = np.exp(model.predict(TEXTS, verbose=0))
    wanted = powers / powers.sum(1, keepdims=True)
    for text, expected in zip(TEXTS, wanted.tolist(), strict=True):
        found = {output.label: output.score for output in classifier.classify(text).outputs}
        assert [found[label] for label in LABELS] == pytest.approx(expected, abs=1e-5)
