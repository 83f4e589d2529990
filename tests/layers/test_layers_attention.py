"""The attention layers against NumPy renderings of their papers and against Keras' own layer."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_attn.layers import (
    BahdanauAttention,
    CachedMultiHeadAttention,
    MultiHeadAttention,
    dot_product_attention,
    filled_slots,
    step_attention,
)
from keras_attn.layers.attention.dot_product import average


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def bahdanau(query, values, w, u, v, mask=None):
    """Equations of section 3.1 and A.1.2, one query and one key at a time."""
    weights = np.zeros((len(query), query.shape[1], values.shape[1]))
    for b in range(len(query)):
        for i in range(query.shape[1]):
            energies = [
                v @ np.tanh(query[b, i] @ w + values[b, j] @ u) if mask is None or mask[b, j] else -np.inf
                for j in range(values.shape[1])
            ]
            weights[b, i] = softmax(np.array(energies))
    return weights @ values, weights


@pytest.mark.parametrize("masked", [False, True])
def test_bahdanau_is_the_paper(masked):
    query, values = array(2, 3, 5), array(2, 4, 6, seed=1)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool) if masked else None
    layer = BahdanauAttention(7)
    context, weights = layer([query, values], mask=[None, mask], return_attention_scores=True)
    w, u, v = (numpy(x) for x in (layer.query_kernel, layer.key_kernel, layer.score_vector))
    expected, expected_weights = bahdanau(query, values, w, u, v[:, 0], mask)
    np.testing.assert_allclose(numpy(context), expected, atol=1e-5)
    np.testing.assert_allclose(numpy(weights), expected_weights, atol=1e-6)


def test_bahdanau_takes_one_step_with_keys_projected_once():
    query, values, mask = array(2, 3, 5), array(2, 4, 6, seed=1), np.array([[1, 1, 1, 0]] * 2, bool)
    layer = BahdanauAttention(7)
    whole = numpy(layer([query, values], mask=[None, mask]))
    keys = layer.project_keys(values)
    for i in range(3):
        step = layer([query[:, i], values], mask=[None, mask], projected_keys=keys)
        np.testing.assert_allclose(numpy(step), whole[:, i], atol=1e-6)


def test_bahdanau_refuses_what_is_not_query_and_value():
    with pytest.raises(ValueError, match="two or three"):
        BahdanauAttention(4)(array(2, 3, 5))
    with pytest.raises(ValueError, match="`units`"):
        BahdanauAttention(0)


def test_bahdanau_is_restored_from_its_config():
    layer = BahdanauAttention(7, use_bias=True, dropout=0.1, name="align")
    copy = BahdanauAttention.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


def paired_with_keras(**kwargs):
    ours, theirs = MultiHeadAttention(3, 4, **kwargs), keras.layers.MultiHeadAttention(3, 4, **kwargs)
    query, value = array(2, 5, 8), array(2, 6, 10, seed=1)
    ours.build(query.shape, value.shape)
    theirs.build(query.shape, value.shape)
    for mine, yours in zip(ours.weights, theirs.weights, strict=True):
        assert mine.path.split("/")[-2:] == yours.path.split("/")[-2:]
        yours.assign(array(*mine.shape, seed=len(mine.path)))
        mine.assign(yours)
    return ours, theirs, query, value


@pytest.mark.parametrize("kwargs", [{}, {"value_dim": 5}, {"use_bias": False}, {"output_shape": 9}])
def test_multi_head_attention_equals_keras(kwargs):
    ours, theirs, query, value = paired_with_keras(**kwargs)
    # A mask, because Keras' layer without one is wrong on some accelerators.
    mask = np.random.default_rng(2).random((2, 5, 6)) < 0.6
    mask[:, :, 0] = True
    got, weights = ours(query, value, attention_mask=mask, return_attention_scores=True)
    expected, expected_weights = theirs(query, value, attention_mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(numpy(got), numpy(expected), atol=1e-5)
    np.testing.assert_allclose(numpy(weights), numpy(expected_weights), atol=1e-6)


def test_masks_are_merged():
    layer = MultiHeadAttention(2, 4)
    x = array(1, 4, 8)
    padding = np.array([[True, True, True, False]])
    _, weights = layer(x, x, value_mask=padding, use_causal_mask=True, return_attention_scores=True)
    allowed = np.tril(np.ones((4, 4), bool)) & padding[0]
    assert (numpy(weights)[0, :, ~allowed] == 0).all()
    assert (numpy(weights)[0, :, allowed] > 0).all()


@pytest.mark.parametrize("return_weights", [False, True])
def test_averages_are_weighted_by_the_softmax_of_large_scores_too(return_weights):
    value, scores = array(2, 3, 6, 4), 300 * array(2, 3, 5, 6, seed=1)
    mask = np.random.default_rng(2).random((2, 5, 6)) < 0.5
    mask[0, 0] = False  # this query attends evenly everywhere
    weights = softmax(np.where(mask[:, None], scores, -1e9))
    found, found_weights = average(value, scores, mask, return_weights=return_weights)
    np.testing.assert_allclose(numpy(found), weights @ value, atol=1e-5)
    np.testing.assert_allclose(numpy(found)[0, :, 0], value[0].mean(1), atol=1e-6)
    if return_weights:
        np.testing.assert_allclose(numpy(found_weights), weights, atol=1e-6)
    else:
        assert found_weights is None


def test_averages_of_large_values_do_not_overflow_in_half_precision():
    value = ops.full((1, 64, 2), 3e4, dtype="float16")  # their sum is far beyond float16
    found, _ = average(value, ops.zeros((1, 3, 64), dtype="float16"))
    assert keras.backend.standardize_dtype(found.dtype) == "float16"
    np.testing.assert_allclose(numpy(found), 3e4, rtol=1e-2)


def test_fully_masked_row_has_finite_gradients():
    if keras.backend.backend() != "jax":
        pytest.skip("gradients are taken with JAX")
    import jax

    layer = MultiHeadAttention(2, 4)
    layer.build((1, 3, 8), (1, 3, 8))
    mask = np.array([[[True, True, False], [False, False, False], [True, True, True]]])
    trainable = [v.value for v in layer.trainable_variables]

    def loss(weights, x):
        out, _ = layer.stateless_call(weights, [], x, x, attention_mask=mask)
        return ops.sum(out**2)

    for gradient in jax.tree.leaves(jax.grad(loss, argnums=(0, 1))(trainable, array(1, 3, 8))):
        assert np.isfinite(np.asarray(gradient)).all()


@st.composite
def restricted(draw):
    """A length, more room in the cache, lengths of the calls, and every mask at once or only some of them."""
    # Few sizes, as each is compiled.
    length, room = draw(st.sampled_from([1, 4, 6])), draw(st.sampled_from([0, 2]))
    cuts = [*sorted(draw(st.sets(st.integers(1, length)))), length]
    spans = [(a, b) for a, b in zip([0, *cuts], cuts, strict=False) if b > a]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    padding = rng.random((2, length)) < 0.7 if draw(st.booleans()) else None
    shape = draw(st.sampled_from([None, (length, length), (2, length, length), (2, 4, length, length)]))
    dense = None if shape is None else rng.random(shape) < 0.7
    layer = CachedMultiHeadAttention(
        4,
        3,
        num_key_value_heads=draw(st.sampled_from([1, 2, 4])),
        sliding_window=draw(st.sampled_from([None, 1, 3])),
    )
    return layer, array(2, length, 8, seed=1), room, spans, padding, dense


@settings(max_examples=25, deadline=None)
@given(restricted(), st.booleans())
def test_cached_call_by_call_equals_uncached(case, index_is_a_tensor):
    layer, x, room, spans, padding, dense = case
    length = x.shape[1]
    masks = {"padding_mask": padding, "attention_mask": dense, "use_causal_mask": True}
    whole, weights = layer(x, x, **masks, return_attention_scores=True)
    seen = np.tril(np.ones((length, length), bool))
    seen = seen if padding is None else seen & padding[:, None, None]
    seen = seen if dense is None else seen & (dense[:, None] if dense.ndim == 3 else dense)
    if layer.get_config()["sliding_window"]:
        distance = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
        seen = seen & (distance < layer.get_config()["sliding_window"])
    seen = np.broadcast_to(seen, (2, 4, length, length))
    # A query that sees nothing attends evenly to what there is, which in a longer cache is more.
    sighted = seen.any(-1).all(1)  # (B, T)

    def over_room(mask):  # what lies beyond the text is not to be seen
        return None if mask is None else np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, room)])

    cache = ops.zeros((2, 2, length + room, layer.num_key_value_heads, 3))
    for begin, end in spans:
        part, part_weights, cache = layer(
            x[:, begin:end],
            x[:, begin:end],
            padding_mask=over_room(padding),
            attention_mask=None if dense is None else over_room(dense[..., begin:end, :]),
            use_causal_mask=True,
            cache=cache,
            cache_update_index=ops.convert_to_tensor(begin, "int32") if index_is_a_tensor else begin,
            return_attention_scores=True,
        )
        kept = sighted[:, begin:end]
        np.testing.assert_allclose(numpy(part)[kept], numpy(whole)[:, begin:end][kept], atol=1e-5)
        part_weights = np.moveaxis(numpy(part_weights), 1, 2)[kept][..., :length]
        expected = np.moveaxis(numpy(weights), 1, 2)[:, begin:end][kept]
        np.testing.assert_allclose(part_weights, expected, atol=1e-5)


def test_a_cache_index_without_a_cache_is_refused():
    x = array(1, 2, 8)
    with pytest.raises(ValueError, match="cache_update_index"):
        CachedMultiHeadAttention(2, 4)(x, x, cache_update_index=0)


@pytest.mark.parametrize("grouped", [1, 2, 4])
@pytest.mark.parametrize("past", [True, False])
def test_a_step_attends_as_the_last_query_of_a_text(grouped, past):
    """`step_attention` over a cache, whose unwritten slots are noise, against attention over the text."""
    rng, lengths = np.random.default_rng(0), np.array([5, 2, 0])
    rows, slots, heads, size = 3, 6, 4, 8
    query, key, value, cached_keys, cached_values = (
        rng.normal(size=shape).astype("float32")
        for shape in [(rows, heads, size), *[(rows, grouped, size)] * 2, *[(rows, grouped, slots, size)] * 2]
    )
    mask = numpy(filled_slots(lengths.astype("int32"), slots))
    assert (mask.sum(1) == lengths).all()
    mask = mask if past else np.maximum(mask, np.arange(slots)[None] == 0)
    found, weights = step_attention(query, cached_keys, cached_values, mask, (key, value) if past else None)
    for row in range(rows):
        keys, values = (each[row, :, mask[row]] for each in (cached_keys, cached_values))  # (n, K, dh)
        if past:
            keys, values = np.concatenate([keys, key[row][None]]), np.concatenate([values, value[row][None]])
        inputs = map(ops.convert_to_tensor, (query[row][None, None], keys[None], values[None]))
        wanted, wanted_weights = dot_product_attention(*inputs, return_scores=True, fused=False)
        np.testing.assert_allclose(numpy(found)[row], numpy(wanted)[0, 0], atol=1e-5)
        seen = numpy(weights)[row][:, mask[row]]
        np.testing.assert_allclose(seen, numpy(wanted_weights)[0, :, 0, : seen.shape[1]], atol=1e-6)


def test_a_window_hides_what_is_too_far_back():
    found = filled_slots(np.array([0, 2, 5], "int32"), 5, sliding_window=3)
    assert numpy(found).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1],
    ]
