"""Text models of the user's own: Keras layers, a tokenizer or a TextVectorization, and labels."""

import json

import keras
import numpy as np
import pytest
from keras import layers
from keras_attn_export import ExportError
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import keras_attn
from keras_attn.device.proof.verify import verify

LABELS = ["calm", "stormy"]
WORDS = [
    "sea",
    "wind",
    "wave",
    "sun",
    "sand",
    "boat",
    "sail",
    "storm",
    "rain",
    "cloud",
    "calm",
    "night",
    "day",
    "fish",
    "gull",
]
TEXTS = [" ".join(WORDS[(i * step) % len(WORDS)] for i in range(2, 4 + step)) for step in range(1, 7)]


def word_tokenizer():
    """Words to ids, enclosed as BERT encloses them, with padding 0."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(words[:4])
    return tokenizer


def functional(outputs=2, activation=None):
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = layers.Embedding(32, 12, mask_zero=True)(ids)
    x = layers.Bidirectional(layers.LSTM(8))(x)
    return keras.Model(ids, layers.Dense(outputs, activation=activation)(x))


@keras.saving.register_keras_serializable("tests")
class Pooled(keras.Model):
    """A subclassed model with the layers of this package and a mask as its second input."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(32, 16)
        self.block = keras_attn.layers.TransformerEncoder(24, 2)
        self.dense = layers.Dense(2)

    def call(self, inputs, training=False):
        mask = inputs["mask"]
        x = self.block(self.embedding(inputs["ids"]), padding_mask=mask, training=training)
        weight = keras.ops.cast(mask, x.dtype)[..., None]
        pooled = keras.ops.sum(x * weight, axis=1) / keras.ops.sum(weight, axis=1)
        return self.dense(pooled)


def with_mask_input():
    ids = keras.Input((None,), dtype="int32", name="ids")
    mask = keras.Input((None,), dtype="bool", name="mask")
    return keras.Model({"ids": ids, "mask": mask}, Pooled()({"ids": ids, "mask": mask}))


def ids_of(text):
    return np.array([word_tokenizer().encode(text).ids], np.int32)


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


@pytest.mark.parametrize(
    ("build", "probabilities"),
    [
        (functional, lambda model, ids: softmax(np.asarray(model(ids))[0])),
        (lambda: functional(2, "softmax"), lambda model, ids: np.asarray(model(ids))[0]),
        (
            lambda: functional(1, "sigmoid"),
            lambda model, ids: np.array([1 - model(ids)[0, 0], model(ids)[0, 0]]),
        ),
        (
            lambda: functional(1),
            lambda model, ids: softmax(np.array([0.0, float(np.asarray(model(ids))[0, 0])])),
        ),
        (
            with_mask_input,
            lambda model, ids: softmax(np.asarray(model({"ids": ids, "mask": ids > 0}))[0]),
        ),
    ],
    ids=["logits", "softmax", "sigmoid", "one-logit", "mask-input"],
)
def test_a_classifier_gives_keras_probabilities_for_texts_of_any_length(build, probabilities, tmp_path):
    keras.utils.set_random_seed(3)
    model = build()
    bundle = tmp_path / "bundle"
    keras_attn.export(
        model, bundle, "fp32", tokenizer=word_tokenizer(), labels=LABELS, examples=TEXTS, lengths=[8, 16]
    )
    classifier = keras_attn.device.load(bundle)
    for text in ["sea", "storm and rain", " ".join(WORDS[:12])]:
        found = {output.label: output.score for output in classifier.classify(text).outputs}
        wanted = probabilities(model, ids_of(text))
        assert [found[label] for label in LABELS] == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_sentence_encoder_of_ones_own_is_proven_in_int8(tmp_path):
    keras.utils.set_random_seed(3)
    ids = keras.Input((None,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(32, 24, mask_zero=True)(ids))
    model = keras.Model(ids, layers.UnitNormalization()(layers.Dense(16)(x)))
    bundle = keras_attn.export(
        model, tmp_path / "bundle", tokenizer=word_tokenizer(), task="embedding", lengths=[16]
    )
    assert bundle.manifest["task"] == "embedding"
    found = keras_attn.device.load(bundle.path).embed("wind and sail").embedding
    wanted = np.asarray(model(ids_of("wind and sail")))[0]
    assert float(np.dot(found, wanted)) > 0.99


def test_a_text_vectorization_in_the_model_becomes_the_tokenizer(tmp_path):
    keras.utils.set_random_seed(3)
    vectorize = layers.TextVectorization(max_tokens=20, output_sequence_length=10)
    vectorize.adapt(TEXTS)
    text = keras.Input((), dtype="string")
    x = layers.GlobalMaxPooling1D()(layers.Embedding(20, 12)(vectorize(text)))
    model = keras.Model(text, layers.Dense(2, activation="softmax")(x))
    rest = keras.Sequential(model.layers[2:])
    bundle = keras_attn.export(model, tmp_path / "bundle", "fp32", labels=LABELS, examples=TEXTS)
    assert bundle.manifest["task"] == "classification"
    classifier = keras_attn.device.load(bundle.path)
    longer = " ".join(WORDS)  # than the layer's ten words, where the model itself cuts
    for each in [*TEXTS, longer]:
        ids = np.asarray(vectorize([each]))
        wanted = np.asarray(rest(ids))[0]
        found = {output.label: output.score for output in classifier.classify(each).outputs}
        assert [found[label] for label in LABELS] == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_task_alone_makes_a_sentence_encoder_of_a_text_vectorization(tmp_path):
    keras.utils.set_random_seed(3)
    vectorize = layers.TextVectorization(max_tokens=20, output_sequence_length=10)
    vectorize.adapt(TEXTS)
    text = keras.Input((), dtype="string")
    x = layers.GlobalMaxPooling1D()(layers.Embedding(20, 12)(vectorize(text)))
    model = keras.Model(text, layers.UnitNormalization()(x))
    bundle = keras_attn.export(model, tmp_path / "bundle", "fp32", task="embedding", examples=TEXTS)
    assert bundle.manifest["task"] == "embedding"
    assert keras_attn.device.load(bundle.path).embed("wind and sail").embedding.shape == (12,)


def test_strings_and_categories_are_predicted_from_and_a_changed_vocabulary_is_found(tmp_path):
    keras.utils.set_random_seed(3)
    colour, size = keras.Input((1,), dtype="string", name="colour"), keras.Input((2,), name="size")
    lookup = layers.StringLookup(vocabulary=["red", "green", "blue"], output_mode="one_hot")
    model = keras.Model(
        {"colour": colour, "size": size}, layers.Dense(3)(layers.Concatenate()([lookup(colour), size]))
    )
    bundle = keras_attn.export(model, tmp_path / "bundle", "fp32")
    predictor = keras_attn.device.load(bundle.path)
    found = predictor.predict({"colour": [["green"], ["pink"]], "size": [[1, 2], [3, 4]]})
    kernel, bias = (np.asarray(weight) for weight in model.layers[-1].get_weights())
    inputs = np.array([[0, 0, 1, 0, 1, 2], [1, 0, 0, 0, 3, 4]], np.float32)
    np.testing.assert_allclose(found, inputs @ kernel + bias, atol=1e-5)
    path = bundle.path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["preprocessing"]["steps"][0]["words"] = ["green", "red", "blue"]
    path.write_text(json.dumps(manifest))
    report = verify(bundle.path)
    assert not report.ok
    assert any(not check.ok and "vocabulary" in check.detail for check in report.checks)


@pytest.mark.filterwarnings("ignore:Layer 'neighbours'")
def test_a_lost_mask_is_named_and_no_bundle_is_left(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(32, 12, mask_zero=True)(ids)
    x = layers.Conv1D(8, 3, padding="same", name="neighbours")(x)
    model = keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    with pytest.raises(ExportError, match="lost at layer 'neighbours'"):
        keras_attn.export(
            model, tmp_path / "bundle", "fp32", tokenizer=word_tokenizer(), labels=LABELS, lengths=[8, 16]
        )
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["one", "two", "three"]}, "scores 2 classes, and there are 3"),
        ({}, "needs `labels`"),
        ({"task": "embedding", "labels": LABELS}, "only a classifier"),
        ({"task": "translation"}, "task must be one of"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_converted(arguments, message, tmp_path):
    with pytest.raises(keras_attn.KerasAttnError, match=message):
        keras_attn.export(functional(), tmp_path / "bundle", tokenizer=word_tokenizer(), **arguments)


def test_a_tokenizer_of_more_words_than_the_model_knows_is_refused(tmp_path):
    model = keras.Sequential(
        [keras.Input((None,)), layers.Embedding(8, 4, mask_zero=True), layers.LSTM(4), layers.Dense(2)]
    )
    with pytest.raises(keras_attn.KerasAttnError, match="embedding has 8 rows"):
        keras_attn.export(
            model, tmp_path / "bundle", tokenizer=word_tokenizer(), labels=LABELS, examples=TEXTS
        )
