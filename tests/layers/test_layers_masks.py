"""Padding is invisible: its content and its length change no output of a token, and masks travel on."""

import keras
import numpy as np
import pytest
from keras import ops
from layer_cases import array, numpy

from keras_attn import layers

TOKENS, LENGTH, PADDED, DEPTH = 4, 6, 9, 8
IDS = np.array([[3, 1, 4, 1, 5, 2]])
KEYS = array(1, PADDED, DEPTH, seed=3)


def padded(x, length, fill):
    """The first `TOKENS` of a sequence (1, T, D) and padding of other content up to a length."""
    rest = np.full((1, length - TOKENS, *x.shape[2:]), fill, x.dtype)
    return np.concatenate([x[:, :TOKENS], rest], axis=1)


def exists(length):
    return np.arange(length)[None] < TOKENS


# Each attends with a layer from x to x; the mask is given in the way that is the layer's.
EXPLICIT = {
    "multi_head": (
        lambda: layers.MultiHeadAttention(2, 4),
        lambda layer, x, mask: layer(x, x, query_mask=mask, value_mask=mask),
    ),
    "multi_head_key": (
        lambda: layers.MultiHeadAttention(2, 4),
        lambda layer, x, mask: layer(x, x, x, value_mask=mask, key_mask=np.ones(mask.shape, bool)),
    ),
    "cached": (
        lambda: layers.CachedMultiHeadAttention(2, 4),
        lambda layer, x, mask: layer(x, x, padding_mask=mask),
    ),
    "bahdanau": (
        lambda: layers.BahdanauAttention(7),
        lambda layer, x, mask: layer([x, x], mask=[None, mask]),
    ),
    "bahdanau_key": (
        lambda: layers.BahdanauAttention(7),
        lambda layer, x, mask: layer([x, x, x], mask=[None, None, mask]),
    ),
    "bigbird": (
        lambda: layers.BigBirdAttention(2, 4, block_size=4, num_random_blocks=0),
        lambda layer, x, mask: layer(x, padding_mask=mask),
    ),
    "encoder": (
        lambda: layers.TransformerEncoder(16, 2),
        lambda layer, x, mask: layer(x, padding_mask=mask),
    ),
    "decoder": (
        lambda: layers.TransformerDecoder(16, 2),
        lambda layer, x, mask: layer(
            x, x, decoder_padding_mask=mask, encoder_padding_mask=mask, use_causal_mask=False
        ),
    ),
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "bool") for name in EXPLICIT]
    + [(name, dtype) for name in ("encoder", "bahdanau") for dtype in ("int32", "float32")],
)
def test_an_explicit_mask_hides_padding(name, dtype):
    make, call = EXPLICIT[name]
    layer, x = make(), array(1, TOKENS, DEPTH)
    first = numpy(call(layer, padded(x, LENGTH, 0.0), exists(LENGTH).astype(dtype)))[:, :TOKENS]
    for length, fill in ((LENGTH, 7.0), (PADDED, -3.0)):
        again = call(layer, padded(x, length, fill), exists(length).astype(dtype))
        np.testing.assert_allclose(numpy(again)[:, :TOKENS], first, atol=1e-5)


IMPLICIT = {
    "multi_head": lambda x: layers.MultiHeadAttention(2, 4)(x, x),
    "cached": lambda x: layers.CachedMultiHeadAttention(2, 4)(x, x),
    "bahdanau": lambda x: layers.BahdanauAttention(7)([x, x]),
    "bahdanau_key": lambda x: layers.BahdanauAttention(7)([x, x, x]),
    "bigbird": lambda x: layers.BigBirdAttention(2, 4, block_size=4, num_random_blocks=0)(x),
    "encoder": lambda x: layers.TransformerEncoder(16, 2)(x),
    "decoder": lambda x: layers.TransformerDecoder(16, 2)(x, x, use_causal_mask=False),
    "positions": lambda x: keras.layers.Add()([x, layers.PositionEmbedding(PADDED)(x)]),
    "sines": lambda x: keras.layers.Add()([x, layers.SinePositionEncoding()(x)]),
    "rotary": lambda x: layers.RotaryEmbedding()(x),
    "dropout": lambda x: layers.Dropout(0.5)(x),
}


class Policy:
    """Makes a dtype policy the global one for a while."""

    def __init__(self, name):
        self.name, self.before = name, keras.config.dtype_policy()

    def __enter__(self):
        keras.config.set_dtype_policy(self.name)

    def __exit__(self, *_):
        keras.config.set_dtype_policy(self.before)


def reads(attend, policy, length):
    """Embedded tokens, a layer, an encoder behind it, and the mean of the tokens that exist."""
    with Policy(policy):
        ids = keras.Input((length,), dtype="int32")
        x = keras.layers.Embedding(9, DEPTH, mask_zero=True)(ids)
        x = layers.TransformerEncoder(16, 2)(attend(x))
        return keras.Model(ids, keras.layers.GlobalAveragePooling1D()(x))


@pytest.mark.parametrize(
    ("name", "policy"),
    [(name, "float32") for name in IMPLICIT]
    + [(name, "mixed_bfloat16") for name in ("encoder", "positions", "cached")],
)
def test_implicit_mask_hides_padding_and_is_propagated(name, policy):
    keras.utils.set_random_seed(0)
    attend = IMPLICIT[name]
    short, long = reads(attend, policy, TOKENS), reads(attend, policy, PADDED)
    long.set_weights(short.get_weights())
    first = numpy(short(IDS[:, :TOKENS]))
    padded_ids = np.pad(IDS[:, :TOKENS], ((0, 0), (0, PADDED - TOKENS)))
    np.testing.assert_allclose(numpy(long(padded_ids)), first, atol=1e-5 if policy == "float32" else 0.05)


def test_mask_ends_with_the_sequence():
    ids = np.array([[3, 1, 0, 0]])
    x = layers.TokenAndPositionEmbedding(9, 9, DEPTH, mask_zero=True)(ids)
    mask = x._keras_mask
    kept = {
        "encoder": layers.TransformerEncoder(16, 2)(x),
        "positions": layers.PositionEmbedding(9)(x),
        "sines": layers.SinePositionEncoding()(x),
        "attention": layers.MultiHeadAttention(2, 4)(x, x),
    }
    for name, out in kept.items():
        np.testing.assert_array_equal(numpy(out._keras_mask), numpy(mask), err_msg=name)
    scores = layers.MaskedLMHead(9)(x, np.array([[1]]))
    assert getattr(scores, "_keras_mask", None) is None
    pooled = layers.BahdanauAttention(7)([x[:, 0], x])
    assert getattr(pooled, "_keras_mask", None) is None


def test_a_cache_is_masked_explicitly_only():
    layer, x = layers.TransformerDecoder(16, 2), array(1, 3, DEPTH)
    cache = np.zeros((1, 2, 5, 2, 4), "float32")
    token = layers.TokenAndPositionEmbedding(9, 9, DEPTH, mask_zero=True)(np.array([[2]]))
    layer(x)
    outputs, _ = layer(token, self_attention_cache=cache, self_attention_cache_update_index=0)
    assert outputs.shape == (1, 1, DEPTH)


WRONG = {
    "encoder": (lambda m: layers.TransformerEncoder(16, 2)(KEYS, padding_mask=m), "padding_mask"),
    "decoder": (lambda m: layers.TransformerDecoder(16, 2)(KEYS, decoder_padding_mask=m), "decoder_padding"),
    "cross": (
        lambda m: layers.TransformerDecoder(16, 2)(KEYS, KEYS, encoder_padding_mask=m),
        "encoder_padding",
    ),
    "multi_head": (lambda m: layers.MultiHeadAttention(2, 4)(KEYS, KEYS, value_mask=m), "key_mask"),
    "bahdanau": (lambda m: layers.BahdanauAttention(7)([KEYS, KEYS], mask=[None, m]), "key_mask"),
    "bigbird": (lambda m: layers.BigBirdAttention(2, 4, block_size=4)(KEYS, padding_mask=m), "padding_mask"),
    "attention": (lambda m: layers.MultiHeadAttention(2, 4)(KEYS, KEYS, attention_mask=m), "attention_mask"),
}


@pytest.mark.parametrize(
    ("name", "length"), [(name, PADDED - 1) for name in WRONG] + [("encoder", 1), ("multi_head", 1)]
)
def test_a_mask_of_a_wrong_length_is_refused_by_name(name, length):
    call, argument = WRONG[name]
    with pytest.raises(ValueError, match=argument):
        call(np.ones((1, length), bool) if name != "attention" else np.ones((PADDED, length), bool))


ADDED = np.where(exists(PADDED), 0.0, -1e9).astype("float32")


@pytest.mark.parametrize("name", WRONG)
def test_a_mask_that_is_added_to_scores_is_refused(name):
    call, _ = WRONG[name]
    with pytest.raises(ValueError, match=r"mask` must be boolean.* -1e\+09"):
        call(ADDED if name != "attention" else np.broadcast_to(ADDED, (PADDED, PADDED)))


def test_masks_of_higher_ranks_reach_the_attention():
    # Of rank 4, Keras' own attention computes; the masks must get there.
    layer = layers.MultiHeadAttention(2, 4, attention_axes=(2,))
    x = array(1, 2, LENGTH, DEPTH)
    mask = np.broadcast_to(exists(LENGTH)[:, None], (1, 2, LENGTH))
    first = numpy(layer(x, x, value_mask=mask))
    other = x.copy()
    other[:, :, TOKENS:] = 5
    again = numpy(layer(x, other, value_mask=mask))
    np.testing.assert_allclose(again, first, atol=1e-5)


def test_positions_in_the_documented_way_keep_the_mask():
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(9, DEPTH, mask_zero=True)(ids)
    x = keras.layers.Add()([x, layers.PositionEmbedding(sequence_length=PADDED)(x)])
    model = keras.Model(ids, layers.TransformerEncoder(16, 2)(x))
    short, long = IDS[:, :TOKENS], np.pad(IDS[:, :TOKENS], ((0, 0), (0, 3)))
    np.testing.assert_allclose(numpy(model(long))[:, :TOKENS], numpy(model(short)), atol=1e-5)
    for layer in (layers.PositionEmbedding, layers.SinePositionEncoding):
        assert "keras.layers.Add()" in layer.__doc__ and "x + " not in layer.__doc__
    assert ops.shape(model(long)) == (1, TOKENS + 3, DEPTH)
