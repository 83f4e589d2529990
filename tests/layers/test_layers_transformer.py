"""Blocks, positions and dropout: formulas, caches, configurations, masks."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import (
    Dropout,
    PositionEmbedding,
    SinePositionEncoding,
    TokenAndPositionEmbedding,
    TransformerDecoder,
    TransformerEncoder,
    sine_table,
)
from keras_attn.layers.gelu import fast_equivalent


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


@pytest.mark.parametrize("depth", [6, 7])
def test_sines_are_the_paper_s(depth):
    table = sine_table(5, depth)
    for position in range(5):
        for column in range(depth):
            angle = position / 10000 ** (2 * (column // 2) / depth)
            expected = np.cos(angle) if column % 2 else np.sin(angle)
            assert table[position, column] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("layout", ["interleaved", "halves"])
@pytest.mark.parametrize("depth", [8, 9])
def test_sines_at_explicit_positions_equal_the_table(layout, depth):
    layer = SinePositionEncoding(layout=layout)
    x = array(2, 4, depth)
    table = sine_table(12, depth, layout=layout)
    np.testing.assert_allclose(numpy(layer(x, start_index=3))[1], table[3:7], atol=1e-6)
    np.testing.assert_allclose(numpy(layer(x, positions=np.arange(3, 7)))[0], table[3:7], atol=1e-5)
    started = layer(x, start_index=ops.convert_to_tensor(3, dtype="int32"))
    np.testing.assert_allclose(numpy(started)[0], table[3:7], atol=1e-5)


def test_halves_and_interleaved_hold_the_same_columns():
    interleaved, halves = sine_table(9, 8), sine_table(9, 8, layout="halves")
    np.testing.assert_array_equal(np.concatenate([interleaved[:, 0::2], interleaved[:, 1::2]], 1), halves)


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="layout"):
        SinePositionEncoding(layout="spiral")


def test_positions_are_looked_up_and_bounded():
    layer = PositionEmbedding(6)
    x = array(2, 4, 3)
    rows = numpy(layer(x, start_index=2))
    np.testing.assert_array_equal(rows[0], numpy(layer.position_embeddings)[2:6])
    with pytest.raises(ValueError, match="sequence_length"):
        layer(array(1, 7, 3))


def test_tokens_and_positions_add_up_and_mask_padding():
    layer = TokenAndPositionEmbedding(10, 6, 4, mask_zero=True)
    ids = np.array([[3, 1, 0]])
    got = numpy(layer(ids))
    tokens, positions = layer.token_embedding.embeddings, layer.position_embedding.position_embeddings
    np.testing.assert_allclose(got, numpy(tokens)[ids] + numpy(positions)[:3], atol=1e-6)
    assert numpy(layer.compute_mask(ids)).tolist() == [[True, True, False]]


@pytest.mark.parametrize("normalize_first", [False, True])
def test_padding_does_not_reach_the_encoder_s_text(normalize_first):
    layer = TransformerEncoder(16, 2, normalize_first=normalize_first)
    short = array(1, 3, 8)
    padded = np.concatenate([short, array(1, 2, 8, seed=5)], 1)
    mask = np.array([[True, True, True, False, False]])
    got, weights = layer(padded, padding_mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(numpy(got)[:, :3], numpy(layer(short)), atol=1e-5)
    assert numpy(weights).shape == (1, 2, 5, 5)
    assert (numpy(weights)[..., 3:] == 0).all()


@pytest.mark.parametrize("normalize_first", [False, True])
@pytest.mark.parametrize("with_memory", [False, True])
def test_the_decoder_s_caches_equal_the_uncached_pass(normalize_first, with_memory):
    layer = TransformerDecoder(16, 2, normalize_first=normalize_first)
    x, memory = array(2, 5, 8), array(2, 4, 8, seed=1)
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    source = {"encoder_sequence": memory, "encoder_padding_mask": mask} if with_memory else {}
    whole, weights = layer(x, **source, return_attention_scores=True)
    assert numpy(weights["self"]).shape == (2, 2, 5, 5)
    assert (weights["cross"] is not None) == with_memory
    cache = ops.zeros((2, 2, 6, 2, 4))
    if with_memory:
        source = {"encoder_padding_mask": mask, "cross_attention_cache": layer.project_memory(memory)}
    for i in range(5):
        step, cache, *_ = layer(
            x[:, i : i + 1], **source, self_attention_cache=cache, self_attention_cache_update_index=i
        )
        np.testing.assert_allclose(numpy(step)[:, 0], numpy(whole)[:, i], atol=1e-5)


def test_decoder_built_with_memory_requires_it():
    layer = TransformerDecoder(16, 2)
    layer(array(1, 2, 8), array(1, 3, 8))
    with pytest.raises(ValueError, match="encoder_sequence"):
        layer(array(1, 2, 8))


def test_heads_must_divide_the_depth():
    with pytest.raises(ValueError, match="num_heads"):
        TransformerEncoder(16, 3)(array(1, 2, 8))


@pytest.mark.parametrize("make", [TransformerEncoder, TransformerDecoder])
def test_blocks_are_restored_from_their_config(make):
    layer = make(16, 2, dropout=0.1, activation="gelu", normalize_first=True, attention_dropout=0.0)
    assert make.from_config(layer.get_config()).get_config() == layer.get_config()


def test_layers_work_in_a_functional_model_and_are_saved(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    x = TokenAndPositionEmbedding(20, 10, 8)(ids)
    x = TransformerEncoder(16, 2)(x)
    model = keras.Model(ids, keras.layers.GlobalAveragePooling1D()(x))
    batch = np.arange(8).reshape(2, 4)
    expected = numpy(model(batch))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(keras.saving.load_model(tmp_path / "model.keras")(batch)), expected)


def test_dropout_drops_its_rate_and_keeps_the_mean():
    layer = Dropout(0.3, seed=1)
    x = np.ones((64, 32, 32), np.float32)
    y = numpy(layer(x, training=True))
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert y.mean() == pytest.approx(1.0, abs=0.01)
    # No pattern along either axis: the dropped shares differ no more than chance allows.
    for axis in (0, 1, 2):
        others = tuple(a for a in range(3) if a != axis)
        assert np.abs((y == 0).mean(others) - 0.3).max() < 0.08


def test_dropout_differs_between_calls_and_repeats_with_its_seed():
    x = np.ones((8, 16), np.float32)
    first, second = Dropout(0.5, seed=7), Dropout(0.5, seed=7)
    a, b = numpy(first(x, training=True)), numpy(first(x, training=True))
    assert (a != b).any()
    np.testing.assert_array_equal(a, numpy(second(x, training=True)))
    np.testing.assert_array_equal(numpy(first(x, training=False)), x)


def test_the_cheapest_gelu_is_the_exact_one():
    x = np.linspace(-9, 9, 181).astype("float32")
    expected = [a * (1 + math.erf(a / math.sqrt(2))) / 2 for a in x.tolist()]
    np.testing.assert_allclose(numpy(fast_equivalent(keras.activations.gelu)(x)), expected, atol=1e-6)
    assert fast_equivalent(keras.activations.relu) is keras.activations.relu
