"""Masked language models: the head's formula and tying, and which tokens the generator chooses."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_attn.layers.masked_lm_head import MaskedLMHead
from keras_attn.layers.masked_lm_mask_generator import MaskedLMMaskGenerator, mask_tokens


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


POSITIONS = np.array([[0, 3], [2, 2]], "int32")


@pytest.mark.parametrize("tied", [False, True])
def test_the_head_is_dense_normalization_and_projection(tied):
    embedding = keras.layers.ReversibleEmbedding(9, 4) if tied else None
    head = MaskedLMHead(9, embedding, intermediate_activation="tanh", activation="softmax")
    x = array(2, 5, 6) if tied else array(2, 5, 4)
    head.build(x.shape, POSITIONS.shape)
    head.set_weights([array(*w.shape, seed=i) for i, w in enumerate(head.get_weights())])
    by_name = {w.path.split("/", 1)[-1]: numpy(w) for w in head.weights}
    gathered = np.stack([x[b, POSITIONS[b]] for b in range(2)])
    dense, normalization = "intermediate_dense/", "intermediate_layer_norm/"
    h = np.tanh(gathered @ by_name[dense + "kernel"] + by_name[dense + "bias"])
    h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
    h = h * by_name[normalization + "gamma"] + by_name[normalization + "beta"]
    projection = numpy(embedding.embeddings).T if tied else by_name["output_kernel"]
    logits = h @ projection + by_name["output_bias"]
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(numpy(head(x, POSITIONS)), expected, atol=1e-5)
    assert len(head.trainable_weights) == 6


def test_head_depends_only_on_its_positions():
    head = MaskedLMHead(9)
    x, other = array(2, 5, 4), array(2, 5, 4, seed=1)
    for row, positions in enumerate(POSITIONS):
        other[row, positions] = x[row, positions]
    np.testing.assert_array_equal(numpy(head(x, POSITIONS)), numpy(head(other, POSITIONS)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16"])
def test_half_precision_stays_near(policy):
    exact, head = (
        MaskedLMHead(300, activation="softmax"),
        MaskedLMHead(300, activation="softmax", dtype=policy),
    )
    x = array(2, 5, 8)
    exact(x, POSITIONS)
    head.build(x.shape, POSITIONS.shape)
    head.set_weights(exact.get_weights())
    got = head(x, POSITIONS)
    assert keras.backend.standardize_dtype(got.dtype) == head.compute_dtype
    np.testing.assert_allclose(
        numpy(ops.cast(got, "float32")), numpy(exact(x, POSITIONS)), rtol=0.05, atol=1e-4
    )


def tied_model():
    ids, positions = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    embedding = keras.layers.ReversibleEmbedding(9, 4, mask_zero=True)
    head = MaskedLMHead(token_embedding=embedding)
    return keras.Model([ids, positions], head(embedding(ids), positions))


def test_tied_model_supports_unknown_lengths_and_is_saved_tied(tmp_path):
    model = tied_model()
    assert model.output_shape == (None, None, 9)
    ids = np.array([[3, 1, 2, 5], [4, 4, 2, 0]])
    expected = model.predict([ids, POSITIONS], verbose=0)
    assert expected.shape == (2, 2, 9)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict([ids, POSITIONS], verbose=0), expected)
    assert len(again.trainable_weights) == len(model.trainable_weights) == 6


def test_head_is_restored_from_its_config():
    for embedding in (None, keras.layers.ReversibleEmbedding(9, 4)):
        head = MaskedLMHead(9, embedding, "gelu", "softmax", 1e-12, "he_normal", "ones")
        config = head.get_config()
        assert MaskedLMHead.from_config(config).get_config() == config == head.get_config()


def test_the_head_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="vocabulary_size"):
        MaskedLMHead()
    with pytest.raises(ValueError, match="token_embedding"):
        MaskedLMHead(10, keras.layers.ReversibleEmbedding(9, 4))
    with pytest.raises(ValueError, match="mask_positions"):
        MaskedLMHead(9)(array(2, 5, 4), np.zeros((2,), "int32"))
    with pytest.raises(ValueError, match="inputs"):
        MaskedLMHead(9)(array(2, 5), POSITIONS)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.1, 0.15, 0.5, 1.0]),
    st.sampled_from([None, 0, 1, 3, 20]),
    st.integers(0, 1000),
)
def test_selected_rows_can_be_restored(texts, rate, length, seed):
    generator = MaskedLMMaskGenerator(50, rate, 49, length, [0, 7], seed=seed)
    got = generator(texts)
    for row, text in enumerate(texts):
        selectable = [i for i, token in enumerate(text) if token not in (0, 7)]
        count = int(np.ceil(len(selectable) * rate - 1e-4))
        count = count if length is None else min(count, length)
        positions, ids, weights = (
            np.asarray(got[name][row]) for name in ("mask_positions", "mask_ids", "mask_weights")
        )
        assert weights.sum() == count
        assert len(positions) == len(ids) == len(weights) == (count if length is None else length)
        assert (positions[count:] == 0).all() and (ids[count:] == 0).all()
        chosen = positions[:count].tolist()
        assert chosen == sorted(set(chosen)) and set(chosen) <= set(selectable)
        restored = np.array(got["token_ids"][row])
        restored[chosen] = ids[:count]
        assert restored.tolist() == text


def test_masked_and_random_rates_of_selected_tokens():
    ids = np.full((200, 100), 5)
    got = MaskedLMMaskGenerator(1000, 0.2, 999, seed=3)(ids)["token_ids"]
    assert isinstance(got, np.ndarray) and got.dtype == ids.dtype
    masked, other = (got == 999).mean(), ((got != 999) & (got != 5)).mean()
    # Four standard deviations of 4,000 draws.
    assert masked / 0.2 == pytest.approx(0.8, abs=0.026)
    assert other / 0.2 == pytest.approx(0.1, abs=0.02)
    assert len(np.unique(got)) > 200


def test_every_position_is_as_likely_as_another():
    ids = np.full((4000, 8), 5)
    got = MaskedLMMaskGenerator(10, 0.25, 9, mask_token_rate=1, random_token_rate=0, seed=3)(ids)
    assert (got["token_ids"] == 9).sum(1).tolist() == [2] * 4000
    np.testing.assert_allclose((got["token_ids"] == 9).mean(0), 0.25, atol=0.03)


def test_equal_seeds_give_equal_masks_that_differ_from_call_to_call():
    ids = np.arange(100, 200).reshape(2, 50)
    first, second = (MaskedLMMaskGenerator(200, 0.3, 4, seed=8) for _ in range(2))
    one, two = first(ids)["token_ids"], first(ids)["token_ids"]
    assert (one != two).any()
    np.testing.assert_array_equal(second(ids)["token_ids"], one)


def test_results_have_the_type_of_the_inputs():
    generator = MaskedLMMaskGenerator(10, 0.5, 9, mask_selection_length=3)
    tensors = generator(ops.convert_to_tensor([[5, 6, 7]], dtype="int32"))
    lists = generator([[5, 6, 7]])
    for x in (*tensors.values(), *lists.values()):
        assert ops.is_tensor(x)
    assert [tuple(x.shape) for x in lists.values()] == [(1, 3)] * 4
    assert [tuple(x.shape) for x in generator([5, 6, 7, 8]).values()] == [(4,), (3,), (3,), (3,)]
    assert isinstance(generator([[5, 6], [7]])["token_ids"], list)
    assert generator(np.zeros((0, 4), "int64"))["mask_positions"].shape == (0, 3)
    assert generator.compute_output_shape((2, 7))["mask_ids"] == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"mask_token_id": 10}, "mask_token_id"),
        ({"mask_selection_rate": 1.5}, "mask_selection_rate"),
        ({"mask_token_rate": 0.95}, "random_token_rate"),
        ({"mask_selection_length": -1}, "mask_selection_length"),
    ],
)
def test_the_generator_refuses_arguments_that_do_not_fit(arguments, named):
    with pytest.raises(ValueError, match=named):
        MaskedLMMaskGenerator(
            **{"vocabulary_size": 10, "mask_selection_rate": 0.2, "mask_token_id": 9} | arguments
        )


@pytest.mark.parametrize("ids", [[0.5, 1.0], np.zeros((1, 2, 3), "int32"), [[[1], [2]]]])
def test_the_generator_refuses_what_are_no_token_ids(ids):
    with pytest.raises(ValueError, match="inputs"):
        MaskedLMMaskGenerator(10, 0.2, 9)(ids)


def test_generator_is_restored_from_its_config():
    generator = MaskedLMMaskGenerator(10, 0.2, 9, 3, [1, 2], 0.7, 0.2, seed=5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(generator))
    assert again.get_config() == generator.get_config()
    np.testing.assert_array_equal(
        numpy(again([[5, 6, 7, 8]])["token_ids"]), numpy(generator([[5, 6, 7, 8]])["token_ids"])
    )


def test_tensorflow_and_numpy_choose_alike_given_the_same_random_numbers():
    tf = pytest.importorskip("tensorflow")
    draw = np.random.default_rng(0)
    ids = draw.integers(0, 20, (5, 12)).astype("int32")
    draws = (
        draw.random(ids.shape, "float32"),
        draw.random(ids.shape, "float32"),
        draw.integers(20, size=ids.shape, dtype="int32"),
    )
    arguments = {"rates": (0.4, 0.6, 0.3), "limit": 4, "mask_token_id": 19}
    expected = mask_tokens(np, ids, ids > 5, draws, **arguments)
    tensors = [tf.constant(x) for x in (ids, ids > 5, *draws)]
    got = mask_tokens(tf.experimental.numpy, *tensors[:2], tensors[2:], **arguments)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs)


def test_tf_data_masks_differ_by_epoch_and_repeat_with_the_seed():
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices(np.arange(100, 200).reshape(4, 25).astype("int32"))

    def epochs():
        generator = MaskedLMMaskGenerator(200, 0.3, 4, mask_selection_length=9, seed=8)
        masked = data.batch(2).map(generator)
        return [np.concatenate([x["token_ids"].numpy() for x in masked]) for _ in range(2)]

    first, second = epochs()
    assert ((first != np.arange(100, 200).reshape(4, 25)).sum(1) >= 6).all()
    assert (first != second).any()
    np.testing.assert_array_equal(epochs(), [first, second])


@pytest.mark.parametrize("length", [None, 3])
def test_tf_data_takes_batches_single_texts_and_ragged_ones(length):
    tf = pytest.importorskip("tensorflow")
    generator = MaskedLMMaskGenerator(50, 0.5, 4, length, [0, 1])
    texts = [[1, 5, 6], [1, 5, 6, 7, 8, 9, 10], [], [3]]
    data = tf.data.Dataset.from_tensor_slices(tf.ragged.constant(texts, dtype="int32"))
    counts = [1, 3, 0, 1]
    (batch,) = data.batch(4).map(generator)
    assert [len(row) for row in batch["token_ids"].to_list()] == [3, 7, 0, 1]
    assert [sum(row.numpy()) for row in batch["mask_weights"]] == counts
    single = list(data.map(generator))
    assert [sum(x["mask_weights"].numpy()) for x in single] == counts
    assert [x["mask_positions"].shape[0] for x in single] == (counts if length is None else [3] * 4)
    dense = tf.data.Dataset.from_tensors(tf.constant([[5, 6, 7, 8], [1, 1, 1, 3]], "int64")).map(generator)
    assert dense.element_spec["token_ids"].shape == (2, 4)
    assert dense.element_spec["token_ids"].dtype == "int64"
    # A list inside a pipeline is no constant: its mask is drawn for each element.
    listed = data.map(lambda _: generator(list(range(2, 40)))["token_ids"])
    first, second, *_ = (x.numpy().tolist() for x in listed)
    assert first != second
