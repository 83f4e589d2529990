"""GPT-2: steps equal the whole pass, padding on either side is invisible, models come back from disk."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.device.search.search import search
from keras_attn.generation import KerasStepModel
from keras_attn.models import GPT2, CausalLM

SIZES = {"num_layers": 2, "num_heads": 3, "hidden_dim": 24, "intermediate_dim": 20, "max_sequence_length": 16}
CASES = {"dense": {}, "alternating": {"local_window": 3}, "relu": {"activation": "relu", "pad_id": 0}}


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def stirred(model):
    """Weights large enough to tell mistakes."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.3)
    return model


@pytest.fixture(scope="module", params=CASES)
def model(request):
    return stirred(CausalLM(GPT2(30, **SIZES, **CASES[request.param]), tie_output=request.param != "relu"))


LENGTHS = (9, 6, 1)
TOKENS = np.random.default_rng(0).integers(1, 30, (3, 9)).astype(np.int32)
EXISTS = np.arange(9)[None] < np.array(LENGTHS)[:, None]
RIGHT = {"token_ids": TOKENS * EXISTS, "padding_mask": EXISTS}
LEFT = {
    "token_ids": np.array([np.roll(row, 9 - n) for row, n in zip(TOKENS * EXISTS, LENGTHS, strict=True)]),
    "padding_mask": EXISTS[:, ::-1],
}


def test_padding_on_either_side_is_invisible(model):
    right, left = numpy(model(RIGHT)), numpy(model(LEFT))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(left[row, 9 - length :], right[row, :length], atol=1e-5)
    alone = numpy(model({"token_ids": TOKENS[1:2, :6]}))[0]
    np.testing.assert_allclose(right[1, :6], alone, atol=1e-5)


@pytest.mark.parametrize("given", [RIGHT, LEFT], ids=["right", "left"])
def test_steps_equal_the_whole_pass(model, given):
    following = np.random.default_rng(2).integers(1, 30, (3, 5)).astype(np.int32)
    whole = np.pad(TOKENS, ((0, 0), (0, 5)))
    for row, length in enumerate(LENGTHS):
        whole[row, length : length + 5] = following[row]
    exists = np.arange(14)[None] < np.array(LENGTHS)[:, None] + 5
    expected = numpy(ops.log_softmax(model({"token_ids": whole, "padding_mask": exists})))
    step_model = KerasStepModel(model, 5)
    state = step_model.start(given["token_ids"], given["padding_mask"])
    for t in range(5):
        scores, state = step_model.step(following[:, t], state)
        assert state.alignment is None
        np.testing.assert_allclose(scores, expected[range(3), np.array(LENGTHS) + t], atol=1e-5)


def test_a_search_continues_a_prompt_of_one_token(model):
    ids, mask = np.zeros((2, 0), np.int32), np.zeros((2, 0), bool)
    options = {"start_id": 5, "end_id": 29, "max_length": 6}
    step_model = KerasStepModel(model, 6)
    greedy = search(step_model, ids, mask, **options)
    written = [5, *greedy[0][0].ids]
    following = numpy(model({"token_ids": np.array([written])}))[0].argmax(-1)
    np.testing.assert_array_equal(following[: len(written) - 1], written[1:])
    beams = search(step_model, ids, mask, beam=3, length_penalty=0.0, **options)
    best = beams[0][0]
    read, written = [5, *best.ids], [*best.ids, 29]
    whole = numpy(ops.log_softmax(model({"token_ids": np.array([read])})))[0, range(len(read)), written]
    assert best.log_prob == pytest.approx(whole[: len(best.ids) + best.finished].sum(), abs=1e-4)
    assert beams[0][0].ids == beams[1][0].ids


def test_the_backbone_steps_as_its_tied_task():
    backbone = stirred(GPT2(30, **SIZES))
    memory, state = backbone.start(ops.convert_to_tensor(TOKENS), ops.convert_to_tensor(EXISTS), 2)
    scores, weights, _ = backbone.step(ops.convert_to_tensor(TOKENS[:, 0]), memory, state)
    expected, _, _ = CausalLM(backbone).step(ops.convert_to_tensor(TOKENS[:, 0]), memory, state)
    np.testing.assert_array_equal(numpy(scores), numpy(expected))
    assert weights is None


def test_every_other_layer_sees_a_band():
    scores = numpy(GPT2(30, **SIZES, local_window=3)(RIGHT, return_attention_scores=True)["attention_scores"])
    assert scores.shape == (2, 3, 3, 9, 9)
    seen = (scores[:, 0] > 0).all(axis=1)
    for layer, window in enumerate((9, 3)):
        expected = [[0 <= i - j < window for j in range(9)] for i in range(9)]
        np.testing.assert_array_equal(seen[layer], expected)


def test_models_are_restored_from_file_and_config(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(RIGHT)), numpy(model(RIGHT)))
    assert loaded.get_config() == model.get_config()
    assert len({v.path for v in model.trainable_variables}) == len(model.trainable_variables)
    backbone = GPT2.from_config(model.backbone.get_config())
    assert backbone.get_config() == model.backbone.get_config()


def test_too_long_texts_are_refused(model):
    with pytest.raises(ValueError, match="17 positions, but `max_sequence_length` is 16"):
        model({"token_ids": np.ones((1, 17), int)})
    with pytest.raises(ValueError, match="9 positions and `max_length` is 8"):
        model.start(ops.convert_to_tensor(TOKENS), ops.convert_to_tensor(EXISTS), 8)
    with pytest.raises(ValueError, match="num_heads"):
        GPT2(30, hidden_dim=20, num_heads=3)


def test_dropout_works_in_training_only(model):
    assert (numpy(model(RIGHT, training=True)) != numpy(model(RIGHT, training=True))).any()
    np.testing.assert_array_equal(numpy(model(RIGHT)), numpy(model(RIGHT)))


def test_published_sizes(monkeypatch):
    # Hugging Face's gpt2.
    monkeypatch.setattr("keras_attn.models.backbones.gpt2.initializer", keras.initializers.Zeros)
    assert GPT2.from_preset("base", vocabulary_size=50257).count_params() == 124_439_808
