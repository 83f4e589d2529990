"""Our attention and transformer layers against Keras' and KerasHub's, given the same weights."""

import keras
import numpy as np
import pytest

from keras_attn import layers

BATCH, LENGTH, MEMORY_LENGTH, DEPTH, HEADS = 2, 5, 4, 8, 2
TOLERANCE = 1e-5

pytestmark = pytest.mark.parity


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def mask(*shape, seed=0):
    """A random mask in which nobody is left without anything to attend to."""
    chosen = np.random.default_rng(seed).random(shape) < 0.6
    chosen[..., 0] = True
    return chosen


def padding(length):
    return np.arange(length) < np.array([[length], [length - 2]])  # (B, S)


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def assert_close(ours, theirs):
    np.testing.assert_allclose(numpy(ours), numpy(theirs), rtol=0, atol=TOLERANCE)


def give_same_weights(ours, theirs, source):
    """Draw new weights for one of the two layers, hand them to the other, and check that the names agree."""
    giver, taker = (theirs, ours) if source == "theirs" else (ours, theirs)
    shapes = [weight.shape for weight in giver.get_weights()]
    giver.set_weights([0.4 * array(*shape, seed=seed) for seed, shape in enumerate(shapes)])
    taker.set_weights(giver.get_weights())
    names = [[weight.path.partition("/")[2] for weight in layer.weights] for layer in (ours, theirs)]
    assert names[0] == names[1]


def hub():
    return pytest.importorskip("keras_hub").layers


both_sources = pytest.mark.parametrize("source", ["theirs", "ours"])

MHA_OPTIONS = {
    "plain": {},
    "value_dim": {"value_dim": 3, "use_bias": False},
    "output_shape": {"output_shape": 7},
    "gate": {"use_gate": True},
}
MHA_MASKS = {
    "none": {},
    "rank 2": {"attention_mask": mask(LENGTH, MEMORY_LENGTH)},
    "rank 3": {"attention_mask": mask(BATCH, LENGTH, MEMORY_LENGTH)},
    "rank 4": {"attention_mask": mask(BATCH, HEADS, LENGTH, MEMORY_LENGTH)},
    "shared by the batch": {"attention_mask": mask(1, 1, LENGTH, MEMORY_LENGTH)},
    "causal": {"use_causal_mask": True},
    "padding": {"value_mask": padding(MEMORY_LENGTH)},
    "key padding": {"key_mask": padding(MEMORY_LENGTH)},
    "all": {
        "attention_mask": mask(BATCH, LENGTH, MEMORY_LENGTH),
        "value_mask": padding(MEMORY_LENGTH),
        "use_causal_mask": True,
    },
}


@both_sources
@pytest.mark.parametrize("options", MHA_OPTIONS.values(), ids=MHA_OPTIONS)
def test_multi_head_attention_is_keras(options, source):
    query, value = array(BATCH, LENGTH, DEPTH), array(BATCH, MEMORY_LENGTH, DEPTH, seed=1)
    pair = [
        layer(HEADS, 4, **options) for layer in (layers.MultiHeadAttention, keras.layers.MultiHeadAttention)
    ]
    for layer in pair:
        layer.build(query.shape, value.shape)
    give_same_weights(*pair, source)
    for restricted in MHA_MASKS.values():
        ours, theirs = (layer(query, value, return_attention_scores=True, **restricted) for layer in pair)
        assert_close(ours[0], theirs[0])
        assert_close(ours[1], theirs[1])
        assert_close(pair[0](query, value, **restricted), theirs[0])


@pytest.mark.parametrize("options", [{}, {"sliding_window": 2}], ids=["everywhere", "sliding window"])
def test_self_attention_is_keras_where_there_are_queries(options):
    x, exists = array(BATCH, LENGTH, DEPTH), padding(LENGTH)
    pair = [
        layer(HEADS, 4, **options) for layer in (layers.MultiHeadAttention, keras.layers.MultiHeadAttention)
    ]
    for layer in pair:
        layer.build(x.shape, x.shape)
    give_same_weights(*pair, "theirs")
    for causal in (False, True):
        assert_close(*(layer(x, x, use_causal_mask=causal) for layer in pair))
    ours, theirs = (numpy(layer(x, x, query_mask=exists, value_mask=exists)) for layer in pair)
    assert_close(ours[exists], theirs[exists])


@both_sources
def test_cached_attention_is_kerashub_s_step_by_step(source):
    x = array(BATCH, LENGTH, DEPTH)
    pair = layers.CachedMultiHeadAttention(HEADS, 4), hub().CachedMultiHeadAttention(HEADS, 4)
    for layer in pair:
        layer.build(x.shape, x.shape)
    give_same_weights(*pair, source)
    for attention_mask in (None, mask(BATCH, LENGTH, LENGTH), mask(1, LENGTH, LENGTH).astype("int32")):
        assert_close(*(layer(x, x, attention_mask=attention_mask) for layer in pair))
    visible = np.tril(np.ones((BATCH, LENGTH, LENGTH), bool))
    caches = [np.zeros((BATCH, 2, LENGTH, HEADS, 4), "float32")] * 2
    for start, length in ((0, 2), (2, 1), (3, 2)):
        steps = slice(start, start + length)
        found = [
            layer(
                x[:, steps],
                x[:, steps],
                attention_mask=visible[:, steps],
                cache=cache,
                cache_update_index=start,
                return_attention_scores=True,
            )
            for layer, cache in zip(pair, caches, strict=True)
        ]
        for ours, theirs in zip(*found, strict=True):
            assert_close(ours, theirs)
        caches = [outputs[-1] for outputs in found]
    for ours, theirs in zip(*(layer(x, x, cache=caches[0]) for layer in pair), strict=True):  # used as it is
        assert_close(ours, theirs)


ENCODER_MASKS = {
    "none": {},
    "padding": {"padding_mask": padding(LENGTH)},
    "attention": {"attention_mask": mask(BATCH, LENGTH, LENGTH)},
    "both": {"padding_mask": padding(LENGTH), "attention_mask": mask(BATCH, LENGTH, LENGTH)},
    "integers": {"padding_mask": padding(LENGTH).astype("int32")},
}


@both_sources
@pytest.mark.parametrize(
    "options", [{}, {"normalize_first": True, "activation": "gelu"}], ids=["post", "pre"]
)
def test_encoder_is_kerashub_s(options, source):
    x = array(BATCH, LENGTH, DEPTH)
    pair = layers.TransformerEncoder(16, HEADS, **options), hub().TransformerEncoder(16, HEADS, **options)
    for layer in pair:
        layer.build(x.shape)
    give_same_weights(*pair, source)
    for restricted in ENCODER_MASKS.values():
        ours, theirs = (layer(x, return_attention_scores=True, **restricted) for layer in pair)
        assert_close(ours[0], theirs[0])
        assert_close(ours[1], theirs[1])
        assert_close(pair[0](x, **restricted), theirs[0])


DECODER_MASKS = {
    "causal": {},
    "not causal": {"use_causal_mask": False},
    "padding": {"decoder_padding_mask": padding(LENGTH)},
    "attention": {"decoder_attention_mask": mask(BATCH, LENGTH, LENGTH)},
    "padding and attention": {
        "decoder_padding_mask": padding(LENGTH),
        "decoder_attention_mask": mask(BATCH, LENGTH, LENGTH),
    },
}
MEMORY_MASKS = {
    "memory": {"encoder_padding_mask": padding(MEMORY_LENGTH)},
    "memory attention": {"encoder_attention_mask": mask(BATCH, LENGTH, MEMORY_LENGTH)},
    "everything": {
        "decoder_padding_mask": padding(LENGTH),
        "encoder_padding_mask": padding(MEMORY_LENGTH),
        "encoder_attention_mask": mask(BATCH, LENGTH, MEMORY_LENGTH),
    },
}


def decoders(memory, source, **options):
    """Our block and KerasHub's with the same weights, over a memory or without one."""
    pair = layers.TransformerDecoder(16, HEADS, **options), hub().TransformerDecoder(16, HEADS, **options)
    for layer in pair:
        layer.build((BATCH, LENGTH, DEPTH), None if memory is None else memory.shape)
    give_same_weights(*pair, source)
    return pair


@both_sources
@pytest.mark.parametrize(
    "options", [{}, {"normalize_first": True, "activation": "gelu"}], ids=["post", "pre"]
)
@pytest.mark.parametrize("with_memory", [False, True], ids=["decoder-only", "cross-attention"])
def test_decoder_is_kerashub_s(with_memory, options, source):
    x = array(BATCH, LENGTH, DEPTH)
    memory = array(BATCH, MEMORY_LENGTH, DEPTH, seed=1) if with_memory else None
    pair = decoders(memory, source, **options)
    for restricted in {**DECODER_MASKS, **(MEMORY_MASKS if with_memory else {})}.values():
        assert_close(*(layer(x, memory, **restricted) for layer in pair))


@pytest.mark.parametrize("with_memory", [False, True], ids=["decoder-only", "cross-attention"])
def test_decoder_s_caches_are_kerashub_s_step_by_step(with_memory):
    x = array(BATCH, LENGTH, DEPTH)
    memory = array(BATCH, MEMORY_LENGTH, DEPTH, seed=1) if with_memory else None
    pair = decoders(memory, "theirs")
    state = {"self_attention_cache": np.zeros((BATCH, 2, LENGTH, HEADS, 4), "float32")}
    if with_memory:
        state["cross_attention_cache"] = np.zeros((BATCH, 2, MEMORY_LENGTH, HEADS, 4), "float32")
    states, restricted = [state, state], {}
    if with_memory:
        restricted = {"encoder_padding_mask": padding(MEMORY_LENGTH), "cross_attention_cache_update_index": 0}
    for start, length in ((0, 2), (2, 1), (3, 2)):
        found = [
            layer(
                x[:, start : start + length],
                memory,
                self_attention_cache_update_index=start,
                **cache,
                **restricted,
            )
            for layer, cache in zip(pair, states, strict=True)
        ]
        for ours, theirs in zip(*found, strict=True):
            assert_close(ours, theirs)
        states = [dict(zip(state, outputs[1:], strict=True)) for outputs in found]
        restricted.pop("cross_attention_cache_update_index", None)  # filled by the first step


def with_inputs(layer, *lengths):
    """A model of one layer, so that its weights have a file."""
    inputs = [keras.Input((length, DEPTH)) for length in lengths]
    return keras.Model(inputs, layer(*inputs))


@both_sources
@pytest.mark.parametrize("name", ["MultiHeadAttention", "TransformerEncoder", "TransformerDecoder"])
def test_weight_files_are_read_by_either_side(name, source, tmp_path):
    published = keras.layers if name == "MultiHeadAttention" else hub()
    lengths = (LENGTH,) if name == "TransformerEncoder" else (LENGTH, MEMORY_LENGTH)
    sizes = (HEADS, 4) if name == "MultiHeadAttention" else (16, HEADS)
    ours, theirs = (with_inputs(getattr(module, name)(*sizes), *lengths) for module in (layers, published))
    giver, taker = (theirs, ours) if source == "theirs" else (ours, theirs)
    giver.save_weights(tmp_path / "layer.weights.h5")
    taker.load_weights(tmp_path / "layer.weights.h5")
    inputs = [array(BATCH, length, DEPTH, seed=length) for length in lengths]
    assert_close(ours(inputs), theirs(inputs))
