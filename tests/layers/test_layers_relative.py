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
