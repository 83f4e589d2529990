"""The translation models: steps equal the whole pass, padding is invisible, models come back from disk."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.data import special_ids, train_tokenizer
from keras_attn.device.text.tokenizer import Tokenizer
from keras_attn.generation import KerasStepModel, keras_translator
from keras_attn.models import RNNSearch, Seq2SeqRNN, Transformer

MARIAN = {
    "normalize_first": False,
    "position_encoding": "sine-halves",
    "output_bias": True,
    "activation": "swish",
}
CASES = {
    "transformer": (Transformer, {"num_encoder_layers": 2, "num_decoder_layers": 2}),
    "marian": (Transformer, {"num_encoder_layers": 1, "num_decoder_layers": 2, **MARIAN}),
    "untied": (
        Transformer,
        {
            "num_encoder_layers": 1,
            "num_decoder_layers": 1,
            "share_embeddings": False,
            "tie_output": False,
            "position_encoding": "learned",
            "scale_embedding": False,
            "max_sequence_length": 40,
        },
    ),
    "rnnsearch": (RNNSearch, {}),
    "seq2seq": (Seq2SeqRNN, {}),
}


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


@pytest.fixture(scope="module", params=CASES)
def model(request):
    keras.utils.set_random_seed(3)
    make, kwargs = CASES[request.param]
    return make.from_preset("tiny", vocabulary_size=30, dropout=0.1, **kwargs)


@pytest.fixture(scope="module")
def step_model(model):
    """One for all tests, as it is what is compiled."""
    return KerasStepModel(model, 5)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    source = rng.integers(3, 30, (3, 6)).astype(np.int32)
    source[1, 4:] = 0
    target = rng.integers(3, 30, (3, 5)).astype(np.int32)
    return {"encoder_token_ids": source, "decoder_token_ids": target}


def test_steps_equal_the_whole_pass(model, step_model, batch):
    logits, weights = model(batch, return_attention_scores=True)
    expected = numpy(ops.log_softmax(logits))
    state = step_model.start(batch["encoder_token_ids"], batch["encoder_token_ids"] != 0)
    for t in range(5):
        scores, state = step_model.step(batch["decoder_token_ids"][:, t], state)
        np.testing.assert_allclose(scores, expected[:, t], atol=1e-5)
        if weights is not None:
            np.testing.assert_allclose(state.alignment, numpy(weights)[:, t], atol=1e-5)


def test_selected_rows_continue_independently_of_their_history(step_model, batch):
    source = batch["encoder_token_ids"]
    tokens = np.array([5, 6, 7])
    rows = np.array([2, 0, 0, 1])
    _, state = step_model.step(tokens, step_model.start(source, source != 0))
    scores, _ = step_model.step(np.array([4, 4, 9, 4]), state.select(rows))
    direct = step_model.start(source[rows], source[rows] != 0)
    _, direct = step_model.step(tokens[rows], direct)
    expected, _ = step_model.step(np.array([4, 4, 9, 4]), direct)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_padding_of_the_source_is_invisible(model, batch):
    padded = {**batch, "encoder_token_ids": np.pad(batch["encoder_token_ids"], ((0, 0), (0, 3)))}
    np.testing.assert_allclose(numpy(model(padded)), numpy(model(batch)), atol=1e-5)


def test_every_source_token_matters_and_the_future_does_not(model, batch):
    logits = numpy(model(batch))
    source = batch["encoder_token_ids"].copy()
    source[0, 0] = 3 + (source[0, 0] - 2) % 27
    assert np.abs(numpy(model({**batch, "encoder_token_ids": source})) - logits)[0].max() > 1e-4
    target = batch["decoder_token_ids"].copy()
    target[:, 3] = 3 + (target[:, 3] - 2) % 27
    changed = np.abs(numpy(model({**batch, "decoder_token_ids": target})) - logits).max(axis=(0, 2))
    assert (changed[:3] < 1e-6).all()
    assert changed[3] > 1e-4


def test_models_are_restored_from_file_and_config(model, batch, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(batch)), numpy(model(batch)))
    assert type(model).from_config(model.get_config()).get_config() == model.get_config()
    assert len({v.path for v in model.trainable_variables}) == len(model.trainable_variables)


def test_translations_do_not_depend_on_the_batch(model):
    tokenizer = train_tokenizer(["a bird in the hand", "two in the bush"] * 5, 300)
    model = type(model).from_config({**model.get_config(), "vocabulary_size": tokenizer.get_vocab_size()})
    translator = keras_translator(
        model, Tokenizer(tokenizer, special_ids(tokenizer)), max_source_tokens=32, batch_size=3
    )
    texts = ["a bird", "in the bush, two", "hand", "the hand in a bush", ""]
    together = translator.translate(texts, beam=2, max_length=8)
    for text, translation in zip(texts, together, strict=True):
        alone = translator.translate(text, beam=2, max_length=8)
        assert alone.text == translation.text
        assert alone.score == pytest.approx(translation.score, abs=1e-4)


def test_dropout_works_in_training_only(model, batch):
    assert (numpy(model(batch, training=True)) != numpy(model(batch, training=True))).any()
    np.testing.assert_array_equal(numpy(model(batch)), numpy(model(batch)))


def test_presets_and_wrong_arguments():
    assert RNNSearch.from_preset("small", vocabulary_size=10).hidden_dim == 256
    with pytest.raises(ValueError, match="preset"):
        Transformer.from_preset("huge", vocabulary_size=10)
    with pytest.raises(ValueError, match="position_encoding"):
        Transformer(10, position_encoding="none")
    with pytest.raises(ValueError, match="num_heads"):
        Transformer(10, hidden_dim=30, num_heads=4)


def test_the_summary_shows_the_parameters(capsys):
    model = Transformer.from_preset("tiny", vocabulary_size=6000)
    model.summary(print_fn=print)
    assert f"{model.count_params():,}" in capsys.readouterr().out
