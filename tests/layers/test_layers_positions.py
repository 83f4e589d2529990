"""Positions: formulas of the papers, axes, starting points, lengths, precision, configurations, wrong use."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_attn.layers.positions.alibi_bias import AlibiBias
from keras_attn.layers.positions.position_embedding import PositionEmbedding, TokenAndPositionEmbedding
from keras_attn.layers.positions.rotary_embedding import RotaryEmbedding
from keras_attn.layers.positions.sine_position_encoding import SinePositionEncoding

MAKE_FLOAT_LAYER = {
    "rotary": RotaryEmbedding,
    "sine": SinePositionEncoding,
    "position": lambda **kwargs: PositionEmbedding(12, **kwargs),
}


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def rotate(x, positions, rates, factor=1.0):
    # As complex numbers, one multiplication: x (B, T, D) or (B, T, H, D), positions (T,).
    half = x.shape[-1] // 2
    turn = factor * np.exp(1j * positions[:, None] * rates[None, :])  # (T, D/2)
    points = x[..., :half] + 1j * x[..., half:]
    points = points * (turn if x.ndim == 3 else turn[:, None, :])
    return np.concatenate([points.real, points.imag], -1)


def test_rotary_is_a_rotation_of_complex_numbers():
    x = array(2, 5, 3, 8)
    rates = 10000.0 ** (-2 * np.arange(4) / 8)
    np.testing.assert_allclose(numpy(RotaryEmbedding()(x)), rotate(x, np.arange(5), rates), atol=1e-5)


def test_rotary_scores_depend_only_on_distance():
    layer = RotaryEmbedding(max_wavelength=100)
    query, key = array(1, 1, 8), array(1, 1, 8, seed=1)

    def score(i, j):
        return (numpy(layer(query, start_index=i)) * numpy(layer(key, start_index=j))).sum()

    assert score(9, 4) == pytest.approx(score(25, 20), abs=1e-4)
    assert abs(score(9, 4) - score(9, 5)) > 1e-2


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(MAKE_FLOAT_LAYER)), st.integers(0, 6), st.integers(1, 6))
def test_pieces_equal_the_whole_from_any_start(name, start, length):
    layer = MAKE_FLOAT_LAYER[name]()
    x = array(2, 12, 6)
    whole = numpy(layer(x))[:, start : start + length]
    piece = x[:, start : start + length]
    tensor = ops.convert_to_tensor(start, dtype="int32")
    for arguments in (
        {"start_index": start},
        {"start_index": tensor},
        {"positions": np.arange(start, start + length)},
        {"positions": np.tile(np.arange(start, start + length), (2, 1)), "start_index": 99},
    ):
        np.testing.assert_allclose(numpy(layer(piece, **arguments)), whole, atol=1e-5)


@pytest.mark.parametrize("name", sorted(MAKE_FLOAT_LAYER))
def test_each_example_may_have_its_own_positions(name):
    layer = MAKE_FLOAT_LAYER[name]()
    x = array(2, 3, 6)
    positions = np.array([[4, 0, 2], [1, 1, 7]])
    got = numpy(layer(x, positions=positions))
    for row in range(2):
        expected = numpy(layer(x[row : row + 1], positions=positions[row]))
        np.testing.assert_allclose(got[row], expected[0], atol=1e-6)


@pytest.mark.parametrize("name", ["sine", "position"])
def test_the_sequence_is_the_last_axis_but_one(name):
    layer = MAKE_FLOAT_LAYER[name]()
    positions = np.array([[4, 0, 2], [1, 1, 7]])
    for arguments in ({}, {"positions": positions}):
        flat = numpy(layer(array(2, 3, 6), **arguments))
        deep = numpy(layer(array(2, 5, 3, 6), **arguments))
        assert deep.shape == (2, 5, 3, 6)
        np.testing.assert_array_equal(deep[:, 4], flat)


@pytest.mark.parametrize("axes", [(1, 2), (1, 3), (3, 1), (-2, 1), (2, -1), (0, -1)])
def test_rotary_axes(axes):
    x = array(2, 4, 6, 8)
    moved = np.moveaxis(x, axes, (1, -1))
    expected = np.moveaxis(numpy(RotaryEmbedding()(moved)), (1, -1), axes)
    layer = RotaryEmbedding(sequence_axis=axes[0], feature_axis=axes[1])
    np.testing.assert_allclose(numpy(layer(x)), expected, atol=1e-6)


def test_linear_scaling_slows_rotation():
    x = array(1, 6, 8)
    slow = RotaryEmbedding(scaling_factor=4.0)(x)
    np.testing.assert_allclose(
        numpy(slow), numpy(RotaryEmbedding()(x, positions=np.arange(6) / 4)), atol=1e-5
    )


def test_dynamic_ntk_scales_only_beyond_the_trained_length():
    x = array(1, 16, 8)
    plain = numpy(RotaryEmbedding()(x))
    within = RotaryEmbedding(scaling_factor=3.0, rope_type="dynamic_ntk", original_max_position_embeddings=16)
    np.testing.assert_allclose(numpy(within(x)), plain, atol=1e-6)
    beyond = RotaryEmbedding(scaling_factor=3.0, rope_type="dynamic_ntk", original_max_position_embeddings=4)
    base = 10000.0 * (3 * 16 / 4 - 2) ** (8 / 6)
    expected = rotate(x, np.arange(16), base ** (-2 * np.arange(4) / 8))
    np.testing.assert_allclose(numpy(beyond(x)), expected, atol=1e-5)
    # The last piece of a text is rotated as in the whole.
    np.testing.assert_allclose(numpy(beyond(x[:, 15:], start_index=15)), expected[:, 15:], atol=1e-5)


@pytest.mark.parametrize("rope_type", ["llama3", "yarn"])
def test_slow_rates_are_divided_and_fast_ones_kept(rope_type):
    # With 64 features and 512 trained positions there are rates of either kind, and between.
    layer = RotaryEmbedding(scaling_factor=4.0, rope_type=rope_type, original_max_position_embeddings=512)
    x = np.concatenate([np.ones((1, 2, 32)), np.zeros((1, 2, 32))], -1).astype("float32")
    turned = numpy(layer(x))[0, 1]  # one step
    factor = 1 + 0.1 * math.log(4) if rope_type == "yarn" else 1.0
    rates = np.arctan2(turned[32:], turned[:32])
    plain = 10000.0 ** (-np.arange(32) / 32)
    np.testing.assert_allclose(np.hypot(turned[:32], turned[32:]), factor, rtol=1e-5)
    np.testing.assert_allclose(rates[[0, 1]], plain[[0, 1]], rtol=1e-5)
    np.testing.assert_allclose(rates[[30, 31]], plain[[30, 31]] / 4, rtol=1e-4)
    assert ((rates <= plain * 1.0001) & (rates >= plain / 4.001)).all()
    assert ((rates < plain * 0.99) & (rates > plain / 3.9)).any()


def test_yarn_takes_an_attention_factor():
    x = array(1, 1, 8)
    layer = RotaryEmbedding(scaling_factor=4.0, rope_type="yarn", attention_factor=2.5)
    np.testing.assert_allclose(numpy(layer(x)), 2.5 * x, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"rope_type": "spiral"}, "rope_type"),
        ({"scaling_factor": 0}, "scaling_factor"),
        ({"rope_type": "yarn", "denominator_dim": 4}, "denominator_dim"),
        ({"rope_type": "llama3", "low_freq_factor": 4.0}, "high_freq_factor"),
    ],
)
def test_rotary_refuses_arguments_that_do_not_fit(arguments, named):
    with pytest.raises(ValueError, match=named):
        RotaryEmbedding(**arguments)


def test_rotary_refuses_inputs_that_do_not_fit():
    with pytest.raises(ValueError, match="even"):
        RotaryEmbedding()(array(1, 3, 5))
    with pytest.raises(ValueError, match="even"):
        RotaryEmbedding()(keras.Input((None, 5)))
    with pytest.raises(ValueError, match="sequence_axis"):
        RotaryEmbedding(sequence_axis=3)(array(1, 3, 4))
    with pytest.raises(ValueError, match="feature_axis"):
        RotaryEmbedding(feature_axis=1)(array(1, 3, 4))
    with pytest.raises(ValueError, match="positions"):
        RotaryEmbedding()(array(1, 3, 4), positions=np.zeros((1, 3, 1)))


def test_alibi_slopes_are_the_paper_s():
    scores = numpy(AlibiBias()(np.zeros((1, 8, 1, 3), "float32")))
    np.testing.assert_allclose(scores[0, :, 0, 1], [-(2.0**-h) for h in range(1, 9)])
    np.testing.assert_allclose(scores[0, :, 0, 0], 2 * scores[0, :, 0, 1])
    np.testing.assert_array_equal(scores[0, :, 0, 2], 0)
    # Section 3's twelve heads: eight as above, four from the geometric sequence of sixteen.
    twelve = numpy(AlibiBias()(np.zeros((1, 12, 1, 2), "float32")))[0, :, 0, 0]
    np.testing.assert_allclose(-twelve[:8], [2.0**-h for h in range(1, 9)])
    np.testing.assert_allclose(-twelve[8:], [2.0 ** (-h / 2) for h in (1, 3, 5, 7)], rtol=1e-6)
    one = numpy(AlibiBias(alibi_bias_max=4)(np.zeros((1, 1, 1, 2), "float32")))
    assert one[0, 0, 0, 0] == -(2.0**-4)


def test_alibi_equals_query_distance_after_softmax():
    scores = array(2, 4, 5, 5)
    distance = np.arange(5)[:, None] - np.arange(5)[None, :]
    slopes = 2.0 ** (-2.0 * np.arange(1, 5))
    causal = np.where(distance >= 0, 0, -np.inf).astype("float32")
    penalty = (slopes[:, None, None] * distance).astype("float32")
    expected = numpy(ops.softmax(scores - penalty + causal))
    np.testing.assert_allclose(numpy(ops.softmax(AlibiBias()(scores) + causal)), expected, atol=1e-6)


def test_alibi_refuses_scores_without_heads():
    with pytest.raises(ValueError, match="attention_scores"):
        AlibiBias()(array(2, 3, 3))
    with pytest.raises(ValueError, match="heads"):
        AlibiBias()(keras.Input((None, 3, 3)))


def test_alibi_is_exact_at_long_distances_in_half_precision():
    bias = numpy(AlibiBias(dtype="float16")(np.zeros((1, 8, 1, 3000), "float16")))
    expected = -(2.0 ** -np.arange(1, 9))[:, None] * np.arange(2999, -1, -1)
    np.testing.assert_allclose(bias[0, :, 0], expected, rtol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16"])
@pytest.mark.parametrize("name", sorted(MAKE_FLOAT_LAYER))
def test_half_precision_rounds_only_the_result(name, policy):
    layer = MAKE_FLOAT_LAYER[name](dtype=policy)
    exact = MAKE_FLOAT_LAYER[name]()
    # Positions beyond 256, which bfloat16 cannot count.
    x = np.ones((1, 12, 6), "float32")
    start = 0 if name == "position" else 1001
    got = layer(x, start_index=start)
    expected = numpy(exact(x, start_index=start))
    assert keras.backend.standardize_dtype(got.dtype) == layer.compute_dtype
    if name == "position":
        exact.set_weights(layer.get_weights())
        expected = numpy(exact(x))
    np.testing.assert_allclose(numpy(ops.cast(got, "float32")), expected, atol=0.012)


def test_positions_beyond_the_table_are_refused():
    layer = PositionEmbedding(6)
    layer(array(1, 4, 3), start_index=2)
    with pytest.raises(ValueError, match="start_index"):
        layer(array(1, 4, 3), start_index=3)


@pytest.mark.parametrize("name", sorted(MAKE_FLOAT_LAYER))
def test_unknown_lengths_and_sequential_models(name, tmp_path):
    model = keras.Sequential([keras.Input((None, 6)), MAKE_FLOAT_LAYER[name]()])
    assert model.output_shape == (None, None, 6)
    x = array(2, 5, 6)
    expected = numpy(model.layers[-1](x))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict(x[:, :3], verbose=0), expected[:, :3], atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(again(x)), numpy(model(x)))


def test_alibi_takes_unknown_lengths():
    scores = keras.Input((4, None, None))
    model = keras.Model(scores, AlibiBias()(scores))
    x = array(2, 4, 3, 5)
    np.testing.assert_allclose(model.predict(x, verbose=0), numpy(AlibiBias()(x)), atol=1e-6)


def test_masks_pass_through():
    embedding = keras.layers.Embedding(9, 6, mask_zero=True)
    tokens = np.array([[3, 1, 0]])
    for make in MAKE_FLOAT_LAYER.values():
        assert numpy(make()(embedding(tokens))._keras_mask).tolist() == [[True, True, False]]
    tied = TokenAndPositionEmbedding(9, 4, 6, mask_zero=True)
    assert numpy(tied(tokens)._keras_mask).tolist() == [[True, True, False]]
    assert TokenAndPositionEmbedding(9, 4, 6).compute_mask(tokens) is None


@pytest.mark.parametrize("tie_weights", [True, False])
def test_the_output_is_tied_to_the_token_vectors(tie_weights):
    layer = TokenAndPositionEmbedding(9, 4, 6, tie_weights=tie_weights)
    layer(np.array([[3, 1, 0]]))
    x = array(2, 3, 6)
    embedding = layer.token_embedding
    matrix = numpy(embedding.embeddings).T if tie_weights else numpy(embedding.reverse_embeddings)
    np.testing.assert_allclose(numpy(embedding(x, reverse=True)), x @ matrix, atol=1e-5)
    assert len(layer.weights) == (2 if tie_weights else 3)
    assert TokenAndPositionEmbedding.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(
    "layer",
    [
        RotaryEmbedding(500, 2.0, "yarn", 16.0, 2.0, 64, False, 2, 1, attention_factor=1.5),
        RotaryEmbedding(rope_type="llama3", low_freq_factor=2.0, high_freq_factor=8.0),
        RotaryEmbedding(denominator_dim=12),
        AlibiBias(alibi_bias_max=6),
        PositionEmbedding(7, initializer="ones"),
        SinePositionEncoding(max_wavelength=100, layout="halves"),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_are_restored_from_their_config(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
