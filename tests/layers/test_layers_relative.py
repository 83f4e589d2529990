"""Attention by relative positions: biases, rotation, disentangled scores, local windows."""

import numpy as np
import pytest
from keras import ops
from layer_cases import array, numpy

from keras_attn import layers
from keras_attn.layers.attention.disentangled_attention import signed_buckets
from keras_attn.layers.positions.relative_position_bias import distance_buckets

X = array(2, 7, 8)


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def parts(layer, x):
    """Projected queries, keys and values (B, H, T, dh) of a layer, by NumPy."""
    dense = (layer._query_dense, layer._key_dense, layer._value_dense)
    found = [np.einsum("btd,dhe->bhte", x, numpy(each.kernel)) for each in dense]
    return [y + numpy(each.bias)[:, None] for y, each in zip(found, dense, strict=True)]


def attended(layer, scores, value):
    context = np.einsum("bhts,bhse->bthe", softmax(scores), value)
    return np.einsum("bthe,hed->btd", context, numpy(layer._output_dense.kernel))


def test_buckets_are_fine_near_and_coarse_far():
    # T5 of 8 buckets up to distance 16: 2 of one distance a side, and 2 ranges.
    distances = np.array([-100, -16, -6, -5, -2, -1, 0, 1, 2, 6, 16, 100])
    found = distance_buckets(distances, 8, 16).tolist()
    assert found == [3, 3, 3, 2, 2, 1, 0, 5, 6, 7, 7, 7]
    # DeBERTa of 4 buckets up to distance 8: exact up to 2, then one more.
    assert signed_buckets(np.arange(-8, 9), 4, 8).tolist()[::2] == [-4, -3, -3, -2, 0, 2, 3, 3, 4]
    assert signed_buckets(np.arange(-3, 4), 0, 8).tolist() == [-3, -2, -1, 0, 1, 2, 3]


def test_a_bias_is_looked_up_by_distance_and_added_to_scores():
    bias = layers.RelativePositionBias(num_heads=2, num_buckets=8, max_distance=16)
    found = numpy(bias(X))
    table = numpy(bias.table.embeddings)
    for i in range(7):
        for j in range(7):
            bucket = distance_buckets(np.array(j - i), 8, 16)
            np.testing.assert_array_equal(found[0, :, i, j], table[bucket])
    layer = layers.MultiHeadAttention(2, 4)
    layer.build(X.shape, X.shape)
    query, key, value = parts(layer, X)
    scores = np.einsum("bhte,bhse->bhts", query, key) / 2 + found
    outputs, weights = layer(X, X, attention_bias=bias(X), return_attention_scores=True)
    np.testing.assert_allclose(numpy(weights), softmax(scores), atol=1e-6)
    np.testing.assert_allclose(numpy(outputs), attended(layer, scores, value), atol=1e-5)
    np.testing.assert_allclose(numpy(layer(X, X, attention_bias=bias(X))), numpy(outputs), atol=1e-6)


def test_buckets_of_a_decoder_are_all_for_keys_before_the_query():
    # T5's of 8 buckets up to distance 16: 4 of one distance, and 4 ranges that double together.
    distances = -np.array([-3, 0, 1, 2, 3, 4, 5, 6, 8, 11, 12, 16, 100])
    found = distance_buckets(distances, 8, 16, bidirectional=False).tolist()
    assert found == [0, 0, 1, 2, 3, 4, 4, 5, 6, 6, 7, 7, 7]
    with pytest.raises(ValueError, match="multiple of 2"):
        layers.RelativePositionBias(2, num_buckets=7, bidirectional=False)
    with pytest.raises(ValueError, match="must exceed 16"):
        layers.RelativePositionBias(2, max_distance=16, bidirectional=False)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_biases_of_unknown_lengths_and_of_steps_are_those_of_a_whole_text(bidirectional):
    layer = layers.RelativePositionBias(2, 8, 5, bidirectional=bidirectional)
    whole = numpy(layer(np.zeros((1, 9, 4))))[0]  # (H, T, T)
    positions = np.arange(9, dtype="int32")
    np.testing.assert_array_equal(numpy(layer.between(positions, positions))[0], whole)
    position = np.array([0, 8, 3], "int32")
    steps = numpy(layer.of_step(position, 9))  # (R, H, T + 1)
    for row, at in enumerate(position):
        np.testing.assert_array_equal(steps[row, :, :9], whole[:, at])
        np.testing.assert_array_equal(steps[row, :, 9], whole[:, at, at])


def test_relative_encoder_is_its_formula():
    layer = layers.RelativeTransformerEncoder(6, 2, key_dim=3, num_buckets=8, max_distance=5, gated=True)
    outputs = numpy(layer(X))
    attention = layer._self_attention_layer

    def normalized(x, norm):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * numpy(norm.scale)

    seen = normalized(X, layer._self_attention_layer_norm)
    dense = (attention._query_dense, attention._key_dense, attention._value_dense)
    assert all(each.bias is None for each in dense)
    query, key, value = (np.einsum("btd,dhe->bhte", seen, numpy(each.kernel)) for each in dense)
    scores = np.einsum("bhte,bhse->bhts", query, key) + numpy(layer._position_bias(X))  # not scaled
    x = X + attended(attention, scores, value)
    y = normalized(x, layer._feedforward_layer_norm)
    network = layer._gated_feedforward
    hidden, gates = (y @ numpy(each.kernel) for each in (network._intermediate_dense, network._gate_dense))
    wanted = x + np.maximum(hidden, 0) * gates @ numpy(network._output_dense.kernel)
    np.testing.assert_allclose(outputs, wanted, atol=1e-5)


def test_a_relative_decoder_computes_with_caches_and_in_steps_what_it_computes_at_once():
    source, lengths = array(2, 5, 8, seed=1), {"num_buckets": 4, "max_distance": 4}
    layer = layers.RelativeTransformerDecoder(6, 2, key_dim=3, **lengths)
    wanted = numpy(layer(X, source))
    room = np.zeros((2, 2, 7, 2, 3), "float32")
    cross = np.zeros((2, 2, 5, 2, 3), "float32")
    keys = values = np.zeros((2, 2, 7, 3), "float32")  # (R, H, T, dh)
    memory = numpy(layer.project_memory(source)).transpose(1, 0, 3, 2, 4)  # 2 x (R, H, S, dh)
    for i in range(7):
        found, room, cross = layer(
            X[:, i : i + 1],
            source,
            self_attention_cache=room,
            self_attention_cache_update_index=i,
            cross_attention_cache=cross,
            cross_attention_cache_update_index=0,
        )
        np.testing.assert_allclose(numpy(found)[:, 0], wanted[:, i], atol=1e-5)
        position = np.full(2, i, "int32")
        given = [ops.convert_to_tensor(each) for each in (X[:, i : i + 1], position, keys, values, memory)]
        found, _, (key, value) = layer.read_token(*given)
        np.testing.assert_allclose(numpy(found)[:, 0], wanted[:, i], atol=1e-5)
        keys, values = keys.copy(), values.copy()
        keys[:, :, i], values[:, :, i] = numpy(key), numpy(value)


@pytest.mark.parametrize("terms", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("share", [True, False])
def test_disentangled_scores_are_deberta_s(terms, share):
    """Equation 4 term by term, with loops."""
    layer = layers.DisentangledAttention(
        2, 4, num_buckets=4, max_distance=8, content_to_position=terms[0], position_to_content=terms[1],
        share_projections=share,
    )  # fmt: skip
    table = array(8, 8, seed=3)
    outputs = numpy(layer(X, X, relative_embeddings=table))
    query, key, value = parts(layer, X)
    scores = np.einsum("bhte,bhse->bhts", query, key)
    rows = {}
    for part in ("key", "query"):
        dense = getattr(layer, f"_position_{part}_dense")
        rows[part] = np.einsum("rd,dhe->rhe", table, numpy(dense.kernel)) + numpy(dense.bias)
        assert (dense is getattr(layer, f"_{part}_dense")) == (share or not terms[part == "query"])
    for i in range(7):
        for j in range(7):
            row = int(np.clip(signed_buckets(np.array(i - j), 4, 8) + 4, 0, 7))
            if terms[0]:
                scores[:, :, i, j] += np.einsum("bhe,he->bh", query[:, :, i], rows["key"][row])
            if terms[1]:
                scores[:, :, i, j] += np.einsum("bhe,he->bh", key[:, :, j], rows["query"][row])
    scores /= np.sqrt(4 * (1 + sum(terms)))
    np.testing.assert_allclose(outputs, attended(layer, scores, value), atol=1e-5)


def test_disentangled_attention_to_one_token_and_what_it_needs():
    layer = layers.DisentangledAttention(2, 4, num_buckets=4, max_distance=8)
    table = array(8, 8, seed=3)
    assert layer(X[:, :1], X[:, :1], relative_embeddings=table).shape == (2, 1, 8)
    with pytest.raises(ValueError, match="`relative_embeddings`"):
        layer(X, X)
    with pytest.raises(ValueError, match="the same length"):
        layer(X, X[:, :3], relative_embeddings=table)
    with pytest.raises(ValueError, match="multiple of 4"):
        layers.RelativePositionBias(2, num_buckets=6)
    with pytest.raises(ValueError, match="must exceed 8"):
        layers.RelativePositionBias(2, max_distance=8)


def test_rotary_attention_depends_on_distances_only():
    layer = layers.RotaryAttention(2, 4)
    layer.build(X.shape, X.shape)
    rotate = layers.RotaryEmbedding()
    query, key, value = parts(layer, X)
    turned = [numpy(rotate(np.swapaxes(each, 1, 2))) for each in (query, key)]
    scores = np.einsum("bthe,bshe->bhts", *turned) / 2
    np.testing.assert_allclose(numpy(layer(X, X)), attended(layer, scores, value), atol=1e-5)
    plain = layers.MultiHeadAttention(2, 4)
    plain.build(X.shape, X.shape)
    plain.set_weights(layer.get_weights())
    assert np.abs(numpy(plain(X, X)) - numpy(layer(X, X))).max() > 1e-2


def test_rotary_encoder_is_its_formula():
    layer = layers.RotaryTransformerEncoder(6, 2, sliding_window=2, activation="gelu")
    outputs = numpy(layer(X))
    attention = layer._self_attention_layer
    assert attention._query_dense.bias is None and layer._gated_feedforward._gate_dense.bias is None
    seen = numpy(layer._self_attention_layer_norm(X))
    x = X + numpy(attention(seen, seen))
    y = numpy(layer._feedforward_layer_norm(x))
    dense = {
        name: getattr(layer._gated_feedforward, f"_{name}_dense")
        for name in ("intermediate", "gate", "output")
    }
    kernels = {name: numpy(each.kernel) for name, each in dense.items()}
    hidden = numpy(ops.gelu(y @ kernels["intermediate"], approximate=False)) * (y @ kernels["gate"])
    np.testing.assert_allclose(outputs, x + hidden @ kernels["output"], atol=1e-5)
    assert layer._feedforward_layer_norm.beta is None
    first = layers.RotaryTransformerEncoder(6, 2, attention_norm=False)
    first.build(X.shape)
    assert len(first.weights) == len(layer.weights) - 1
