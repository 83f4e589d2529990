"""BigBird's block-sparse attention against a dense masked rendering of the pattern in NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_attn.layers import BigBirdAttention, MultiHeadAttention

HEADS, KEY_DIM, SIZE, DEPTH = 2, 4, 2, 6


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def layer_with_weights(**kwargs):
    layer = BigBirdAttention(HEADS, KEY_DIM, **{"block_size": SIZE, "num_random_blocks": 1, **kwargs})
    layer.build((None, None, DEPTH))
    for number, variable in enumerate(layer.weights):
        variable.assign(0.5 * array(*variable.shape, seed=number))
    return layer


def times_attended(random_blocks, length, size):
    """How often each token attends to each other: the paper's graph, one pair of blocks at a time."""
    blocks = -(-length // size)
    counts = np.zeros((len(random_blocks), blocks, blocks))
    for head, rows in enumerate(random_blocks):
        for i in range(blocks):
            for j in range(blocks):
                is_global = {i, j} & {0, blocks - 1}
                in_window = abs(i - j) <= 1
                counts[head, i, j] = bool(is_global or in_window)
            if 0 < i < blocks - 1:
                for j in rows[i - 1]:
                    counts[head, i, j] += 1
    return np.kron(counts, np.ones((size, size)))[:, :length, :length]  # (H, T, T)


def dense_reference(layer, x, counts, mask=None):
    """Attention over all pairs, each weighted by how often it is attended to: outputs and weights."""
    wq, bq, wk, bk, wv, bv, wo, bo = (numpy(v).astype(float) for v in layer.weights)
    query, key, value = (
        np.einsum("btd,dhe->bhte", x, w) + b[:, None] for w, b in ((wq, bq), (wk, bk), (wv, bv))
    )
    powers = np.exp(query @ key.swapaxes(-1, -2) / np.sqrt(layer.key_dim)) * counts
    if mask is not None:
        powers = powers * mask[:, None, None]
    weights = powers / powers.sum(-1, keepdims=True)
    context = weights @ value
    if mask is not None:
        context = context * mask[:, None, :, None]
    return np.einsum("bhte,hed->btd", context, wo) + bo, weights


def padding(length):
    mask = np.ones((2, length), bool)
    mask[1, length - 5 :] = False
    return mask


@pytest.mark.parametrize("length", [16, 22, 19])
@pytest.mark.parametrize("masked", [False, True])
def test_the_sparse_pattern_is_dense_attention_under_its_mask(length, masked):
    layer = layer_with_weights()
    x, mask = array(2, length, DEPTH, seed=9), padding(length) if masked else None
    assert layer.is_sparse(length)
    counts = times_attended(layer.random_blocks(length), length, SIZE)
    assert counts.max() == 1 and counts.min() == 0
    expected, expected_weights = dense_reference(layer, x, counts, mask)
    np.testing.assert_allclose(numpy(layer(x, padding_mask=mask)), expected, atol=1e-5)
    outputs, weights = layer(x, padding_mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(numpy(outputs), expected, atol=1e-5)
    np.testing.assert_allclose(numpy(weights), expected_weights, atol=1e-6)


@settings(max_examples=6, deadline=None)
@given(length=st.sampled_from([16, 19]), count=st.integers(0, 3), seed=st.integers(0, 99))
def test_repeated_blocks_count_repeatedly(length, count, seed):
    blocks = -(-length // SIZE)
    random_blocks = np.random.default_rng(seed).integers(0, blocks, (HEADS, blocks - 2, count))
    layer, x = layer_with_weights(), array(1, length, DEPTH, seed=seed)
    expected, _ = dense_reference(layer, x, times_attended(random_blocks, length, SIZE))
    np.testing.assert_allclose(numpy(layer(x, random_blocks=random_blocks)), expected, atol=1e-5)


def test_one_block_may_be_given_for_all():
    layer, x = layer_with_weights(), array(1, 16, DEPTH)
    expected = layer(x, random_blocks=np.zeros((HEADS, 6, 1), int))
    np.testing.assert_array_equal(numpy(layer(x, random_blocks=0)), numpy(expected))


@pytest.mark.parametrize("masked", [False, True])
def test_short_sequences_get_dense_attention(masked):
    layer, x = layer_with_weights(), array(2, 14, DEPTH)
    dense = MultiHeadAttention(HEADS, KEY_DIM)
    dense.build(x.shape, x.shape)
    dense.set_weights(layer.get_weights())
    mask = padding(14) if masked else None
    assert not layer.is_sparse(14)
    assert layer.is_sparse(15)
    expected, expected_weights = dense(x, x, value_mask=mask, return_attention_scores=True)
    outputs, weights = layer(x, padding_mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(numpy(outputs), numpy(expected), atol=1e-6)
    np.testing.assert_allclose(numpy(weights), numpy(expected_weights), atol=1e-6)


def test_weights_are_those_of_keras_attention():
    ours, theirs = layer_with_weights(), keras.layers.MultiHeadAttention(HEADS, KEY_DIM)
    theirs.build((1, 3, DEPTH), (1, 3, DEPTH))
    names = [["/".join(v.path.split("/")[-2:]) for v in layer.trainable_weights] for layer in (ours, theirs)]
    assert names[0] == names[1]
    assert [v.shape for v in ours.trainable_weights] == [v.shape for v in theirs.trainable_weights]


def test_random_blocks_are_distinct_and_neither_global_nor_in_the_window():
    layer = BigBirdAttention(3, 4, block_size=2, num_random_blocks=3)
    for length in (24, 40):
        blocks = layer.random_blocks(length)
        assert blocks.shape == (3, length // 2 - 2, 3)
        assert blocks.min() >= 1 and blocks.max() <= length // 2 - 2
        rows = np.arange(1, length // 2 - 1)[None, :, None]
        assert (abs(blocks - rows) > 1).all()
        assert all(len(set(row)) == 3 for row in blocks.reshape(-1, 3).tolist())
    assert (blocks[0] != blocks[1]).any()


def test_only_the_seed_decides_the_random_blocks():
    # Weights are trained for their blocks, so the numbers themselves must stay.
    drawn = BigBirdAttention(1, 4, block_size=2, num_random_blocks=2, seed=7).random_blocks(20)
    assert drawn.tolist() == [[[6, 8], [7, 8], [5, 7], [2, 6], [2, 1], [3, 2], [3, 4], [6, 2]]]
    other = BigBirdAttention(1, 4, block_size=2, num_random_blocks=2, seed=8).random_blocks(20)
    assert (drawn != other).any()


def test_an_explicit_mask_beats_the_inputs_own():
    layer, x = layer_with_weights(), ops.convert_to_tensor(array(2, 16, DEPTH))
    mask = padding(16)
    explicit = numpy(layer(x, padding_mask=mask))
    x._keras_mask = ops.convert_to_tensor(mask)
    np.testing.assert_allclose(numpy(layer(x)), explicit, atol=1e-6)
    everything = numpy(layer(x, padding_mask=np.ones((2, 16), bool)))
    del x._keras_mask
    np.testing.assert_allclose(everything, numpy(layer(x)), atol=1e-6)
    assert abs(everything - explicit).max() > 1e-3


def test_embedding_mask_is_used_and_propagated():
    model = keras.Sequential(
        [keras.layers.Embedding(9, DEPTH, mask_zero=True), BigBirdAttention(HEADS, KEY_DIM, 2, 1)]
    )
    ids = np.random.default_rng(0).integers(1, 9, (2, 17))
    ids[:, 12:] = 0
    outputs = model(ids)
    np.testing.assert_array_equal(numpy(outputs._keras_mask), ids != 0)
    longer = np.pad(ids, ((0, 0), (0, 1)))
    np.testing.assert_allclose(numpy(model(longer))[:, :12], numpy(outputs)[:, :12], atol=1e-5)


def test_models_are_built_without_shapes_and_saved(tmp_path):
    inputs = keras.Input((None, DEPTH))
    layer = BigBirdAttention(HEADS, KEY_DIM, SIZE, 1, seed=3, name="bigbird")
    outputs, weights = layer(inputs, return_attention_scores=True)
    assert outputs.shape == (None, None, DEPTH)
    assert weights.shape == (None, HEADS, None, None)
    fixed = keras.Input((17, DEPTH))
    model = keras.Model(fixed, layer(fixed))
    assert model.output_shape == (None, 17, DEPTH)
    x = array(2, 17, DEPTH)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(expected, numpy(layer(x)), atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    assert [v.path for v in loaded.weights] == [v.path for v in model.weights]


def test_config_round_trip():
    layer = BigBirdAttention(
        3, 4, block_size=8, num_random_blocks=2, dropout=0.1, use_bias=False, seed=5, name="sparse"
    )
    copy = BigBirdAttention.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    np.testing.assert_array_equal(copy.random_blocks(100), layer.random_blocks(100))


def test_it_trains_with_dropout_under_a_compiled_step():
    model = keras.Sequential(
        [keras.Input((17, DEPTH)), BigBirdAttention(HEADS, KEY_DIM, SIZE, 1, dropout=0.5)]
    )
    model.compile(keras.optimizers.Adam(1e-2), "mse", jit_compile=keras.backend.backend() != "torch")
    x = array(4, 17, DEPTH)
    losses = model.fit(x, x, batch_size=2, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_dropout_acts_in_training_only():
    layer, x = layer_with_weights(dropout=0.5), array(1, 16, DEPTH)
    still = layer_with_weights()(x)
    np.testing.assert_array_equal(numpy(layer(x)), numpy(still))
    dropped = abs(numpy(layer(x, training=True)) - numpy(still)).max(axis=(0, 2))
    assert (dropped > 1e-4).all()  # the rows of global and of inner blocks


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_stays_near_single(policy):
    layer, x = layer_with_weights(dtype=policy), array(2, 17, DEPTH)
    outputs = layer(x, padding_mask=padding(17))
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    expected = numpy(layer_with_weights()(x, padding_mask=padding(17)))
    np.testing.assert_allclose(numpy(ops.cast(outputs, "float32")), expected, atol=0.1)


def gradients(layer, x, mask):
    """Gradients of the sum of squared outputs to the weights, with whatever is below Keras."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        def loss(weights):
            outputs, _ = layer.stateless_call(weights, constant, x, padding_mask=mask)
            return ops.sum(outputs**2)

        constant = [v.value for v in layer.non_trainable_variables]
        return jax.grad(loss)([v.value for v in layer.trainable_variables])
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = ops.sum(layer(x, padding_mask=mask) ** 2)
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])
    pytest.skip("gradients are taken with JAX and TensorFlow")


def test_gradients_are_correct_and_finite_for_fully_masked_queries():
    layer, x = layer_with_weights(), array(2, 17, DEPTH)
    mask = np.array([[True] * 17, [False] * 17])
    found = [numpy(g) for g in gradients(layer, x, mask)]
    assert all(np.isfinite(g).all() for g in found)

    def loss():
        return float(ops.sum(layer(x, padding_mask=mask) ** 2))

    for kernel, gradient in zip(layer.trainable_variables[::2], found[::2], strict=True):
        before, step = numpy(kernel).copy(), 1e-2 * np.sign(gradient)
        kernel.assign(before + step)
        above = loss()
        kernel.assign(before - step)
        slope = (above - loss()) / 2
        kernel.assign(before)
        assert slope == pytest.approx((gradient * step).sum(), rel=0.02)


def test_wrong_use_is_refused_by_name():
    for name, kwargs in {
        "num_heads": {"num_heads": 0, "key_dim": 4},
        "key_dim": {"num_heads": 2, "key_dim": -1},
        "block_size": {"num_heads": 2, "key_dim": 4, "block_size": 0},
        "num_random_blocks": {"num_heads": 2, "key_dim": 4, "num_random_blocks": -1},
    }.items():
        with pytest.raises(ValueError, match=f"`{name}`"):
            BigBirdAttention(**kwargs)
    layer, x = layer_with_weights(), array(2, 16, DEPTH)
    with pytest.raises(ValueError, match=r"\(batch, length, depth\), got \(2, 3\)"):
        BigBirdAttention(2, 4)(array(2, 3))
    with pytest.raises(ValueError, match="`padding_mask`"):
        layer(x, padding_mask=np.ones((2, 15), bool))
    for wrong in (np.zeros((HEADS, 5, 1), int), np.full((HEADS, 6, 1), 8), np.zeros((HEADS, 6, 1))):
        with pytest.raises(ValueError, match="`random_blocks`"):
            layer(x, random_blocks=wrong)


def test_an_unknown_length_is_refused():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow traces without a length")
    import tensorflow as tf

    layer = layer_with_weights()
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, DEPTH), "float32")])
    with pytest.raises(ValueError, match="length of `inputs`"):
        traced(array(2, 16, DEPTH))


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX takes one head after another")
@pytest.mark.parametrize("masked", [False, True])
def test_one_head_after_another_equals_all_at_once(masked):
    import jax

    layer, x = layer_with_weights(), array(2, 21, DEPTH)
    mask = np.arange(21) < np.array([[21], [17]]) if masked else None
    weights = [variable.value for variable in layer.trainable_variables]

    def loss(weights, x):
        outputs, _ = layer.stateless_call(weights, [], x, padding_mask=mask)
        return (outputs**2).sum(), outputs

    (_, wanted) = loss(weights, x)  # not compiled: all heads at once
    assert "scan" not in str(jax.make_jaxpr(lambda x: layer(x, return_attention_scores=True))(x))
    assert "scan" in str(jax.make_jaxpr(loss)(weights, x))
    gradients, outputs = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(weights, x)
    np.testing.assert_allclose(outputs, wanted, atol=1e-5)

    def summed(weights, x):
        outputs, _ = layer.stateless_call(weights, [], x, padding_mask=mask, return_attention_scores=True)[0]
        return (outputs**2).sum()

    for ours, reference in zip(
        jax.tree.leaves(gradients), jax.tree.leaves(jax.grad(summed, argnums=(0, 1))(weights, x)), strict=True
    ):
        np.testing.assert_allclose(ours, reference, rtol=1e-4, atol=1e-4)
