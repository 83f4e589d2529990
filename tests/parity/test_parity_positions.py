"""Positions, heads and mask generator against KerasHub's layers and Hugging Face's rotary embeddings."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers.masked_lm_head import MaskedLMHead
from keras_attn.layers.masked_lm_mask_generator import MaskedLMMaskGenerator
from keras_attn.layers.positions.alibi_bias import AlibiBias
from keras_attn.layers.positions.position_embedding import PositionEmbedding, TokenAndPositionEmbedding
from keras_attn.layers.positions.rotary_embedding import RotaryEmbedding
from keras_attn.layers.positions.sine_position_encoding import SinePositionEncoding

pytestmark = pytest.mark.parity

OURS = [
    RotaryEmbedding,
    AlibiBias,
    MaskedLMHead,
    MaskedLMMaskGenerator,
    PositionEmbedding,
    SinePositionEncoding,
    TokenAndPositionEmbedding,
]


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("keras_hub")


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def assert_close(ours, theirs):
    np.testing.assert_allclose(numpy(ours), numpy(theirs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ours", OURS, ids=lambda c: c.__name__)
def test_arguments_and_defaults_are_kerashub_s(hub, ours):
    theirs = getattr(hub.layers, ours.__name__)

    def comparable(default):
        return list(default) if isinstance(default, tuple) else default

    for method in ("__init__", "call"):
        expected = inspect.signature(getattr(theirs, method)).parameters.values()
        got = inspect.signature(getattr(ours, method)).parameters
        positional = [p for p in expected if p.kind is not p.VAR_KEYWORD]
        assert list(got)[: len(positional)] == [p.name for p in positional]
        for parameter in positional:
            assert comparable(got[parameter.name].default) == comparable(parameter.default)


@pytest.mark.parametrize("shape", [(2, 9, 8), (2, 9, 3, 8)])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"max_wavelength": 500, "scaling_factor": 2.0},
        {"scaling_factor": 2.0, "rope_type": "dynamic"},
        {"scaling_factor": 4.0, "rope_type": "yarn", "original_max_position_embeddings": 64},
        {"scaling_factor": 4.0, "rope_type": "yarn", "truncate": False, "beta_fast": 8.0, "beta_slow": 2.0},
        {"denominator_dim": 16},
    ],
    ids=str,
)
def test_rotary_embedding_is_kerashub_s(hub, arguments, shape):
    ours, theirs = RotaryEmbedding(**arguments), hub.layers.RotaryEmbedding(**arguments)
    x = array(*shape)
    assert_close(ours(x), theirs(x))
    assert_close(ours(x, start_index=30), theirs(x, start_index=30))
    positions = np.random.default_rng(1).integers(0, 40, shape[:2])
    assert_close(ours(x, positions=positions), theirs(x, positions=positions))
    assert_close(ours(x, positions=positions[0]), theirs(x, positions=positions[0]))


def test_rotary_embedding_has_kerashub_s_axes(hub):
    x = array(2, 8, 3, 9)
    axes = {"sequence_axis": -1, "feature_axis": 1}
    assert_close(RotaryEmbedding(**axes)(x), hub.layers.RotaryEmbedding(**axes)(x))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {"rope_type": "default"}),
        ({"scaling_factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        (
            {"scaling_factor": 4.0, "rope_type": "dynamic_ntk", "original_max_position_embeddings": 16},
            {"rope_type": "dynamic", "factor": 4.0},
        ),
        (
            {"scaling_factor": 8.0, "rope_type": "llama3", "original_max_position_embeddings": 128},
            {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 128,
            },
        ),
        (
            {"scaling_factor": 4.0, "rope_type": "yarn", "original_max_position_embeddings": 128},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128},
        ),
        (
            {
                "scaling_factor": 4.0,
                "rope_type": "yarn",
                "original_max_position_embeddings": 512,
                "beta_fast": 16.0,
                "beta_slow": 2.0,
                "truncate": False,
                "attention_factor": 1.3,
            },
            {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 512,
                "beta_fast": 16.0,
                "beta_slow": 2.0,
                "truncate": False,
                "attention_factor": 1.3,
            },
        ),
    ],
    ids=lambda arguments: arguments.get("rope_type", "linear"),
)
@pytest.mark.parametrize("length", [12, 40])
def test_rotary_scaling_is_hugging_face_s(ours, theirs, length):
    torch = pytest.importorskip("torch")
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    config = llama.LlamaConfig(
        hidden_size=64,
        num_attention_heads=2,
        head_dim=32,
        max_position_embeddings=16,
        rope_parameters={"rope_theta": 10000.0, **theirs},
    )
    x = array(2, length, 2, 32)
    query = torch.from_numpy(x).transpose(1, 2)  # (B, H, T, dh)
    cos, sin = llama.LlamaRotaryEmbedding(config)(query, torch.arange(length)[None])
    expected, _ = llama.apply_rotary_pos_emb(query, query, cos, sin)
    np.testing.assert_allclose(numpy(RotaryEmbedding(**ours)(x)), expected.transpose(1, 2).numpy(), atol=1e-5)


@pytest.mark.parametrize("heads", [1, 2, 6, 8, 12])
def test_alibi_bias_is_kerashub_s(hub, heads):
    scores = array(2, heads, 3, 7)
    for most in (8, 6):
        assert_close(AlibiBias(most)(scores), hub.layers.AlibiBias(most)(scores))


def test_sine_position_encoding_is_kerashub_s(hub):
    for shape in ((2, 9, 8), (2, 9, 7), (2, 3, 9, 8)):
        x = array(*shape)
        for wavelength in (10000, 50):
            ours, theirs = SinePositionEncoding(wavelength), hub.layers.SinePositionEncoding(wavelength)
            assert_close(ours(x), theirs(x))
            assert_close(ours(x, start_index=20), theirs(x, start_index=20))
    x, positions = array(2, 9, 8), np.random.default_rng(1).integers(0, 40, (2, 9)).astype("float32")
    theirs = hub.layers.SinePositionEncoding()
    assert_close(SinePositionEncoding()(x, positions=positions), theirs(x, positions=positions))


class Around(keras.Model):
    """A model of one layer, to write its weights."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.built = True


def weighted_layers(hub):
    """Pairs of ours and theirs, with the inputs to call them with."""
    ids = np.random.default_rng(0).integers(0, 11, (2, 7)).astype("int32")
    positions = np.random.default_rng(1).integers(0, 7, (2, 3)).astype("int32")
    embeddings = [keras.layers.ReversibleEmbedding(11, 4) for _ in range(2)]
    for embedding in embeddings:
        embedding.build(None)
    sizes = {"vocabulary_size": 11, "sequence_length": 9, "embedding_dim": 6}
    for name, arguments, inputs in (
        ("PositionEmbedding", {"sequence_length": 9}, (array(2, 7, 6),)),
        ("PositionEmbedding", {"sequence_length": 9}, (array(2, 3, 7, 6),)),
        ("TokenAndPositionEmbedding", sizes, (ids,)),
        ("TokenAndPositionEmbedding", sizes | {"tie_weights": False}, (ids,)),
        ("MaskedLMHead", {"vocabulary_size": 11}, (array(2, 7, 6), positions)),
        (
            "MaskedLMHead",
            {"vocabulary_size": 11, "activation": "softmax", "intermediate_activation": "gelu"},
            (array(2, 7, 6), positions),
        ),
        ("MaskedLMHead", {"token_embedding": embeddings}, (array(2, 7, 6), positions)),
    ):
        make = {cls.__name__: cls for cls in OURS}[name], getattr(hub.layers, name)
        own = [{k: v[i] if isinstance(v, list) else v for k, v in arguments.items()} for i in range(2)]
        yield make[0](**own[0]), make[1](**own[1]), inputs


def test_weights_move_both_ways_and_give_equal_results(hub, tmp_path):
    for number, (ours, theirs, inputs) in enumerate(weighted_layers(hub)):
        ours(*inputs), theirs(*inputs)
        names = [[w.path.split("/", 1)[-1] for w in layer.weights] for layer in (ours, theirs)]
        assert names[0] == names[1]
        random = [array(*w.shape, seed=i) for i, w in enumerate(theirs.get_weights())]
        theirs.set_weights(random)
        ours.set_weights(theirs.get_weights())
        assert_close(ours(*inputs), theirs(*inputs))
        ours.set_weights([w + 1 for w in random])
        theirs.set_weights(ours.get_weights())
        assert_close(ours(*inputs), theirs(*inputs))
        # And as files.
        for source, target in ((ours, theirs), (theirs, ours)):
            source.set_weights([w * 2 for w in source.get_weights()])
            path = tmp_path / f"{number}-{source is ours}.weights.h5"
            Around(source).save_weights(path)
            Around(target).load_weights(path)
            for a, b in zip(source.get_weights(), target.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)


def test_kerashub_s_start_index_and_positions_of_learned_vectors(hub):
    ours, theirs = PositionEmbedding(9), hub.layers.PositionEmbedding(9)
    x = array(2, 3, 6)
    ours(x), theirs(x)
    ours.set_weights(theirs.get_weights())
    assert_close(ours(x, start_index=4), theirs(x, start_index=4))
    positions = np.array([[4, 0, 8], [1, 1, 7]])
    assert_close(ours(x, positions=positions), theirs(x, positions=positions))


def test_mask_generator_equals_kerashub_if_deterministic(hub):
    arguments = {"vocabulary_size": 13, "mask_selection_rate": 1, "mask_token_id": 1, "mask_token_rate": 1}
    arguments |= {"random_token_rate": 0, "unselectable_token_ids": [0, 3]}
    for length in (None, 4, 6):
        ours = MaskedLMMaskGenerator(**arguments, mask_selection_length=length)
        theirs = hub.layers.MaskedLMMaskGenerator(**arguments, mask_selection_length=length)
        for x in ([[5, 3, 2], [3, 2, 4, 0]], [[5, 0, 2, 4]], [5, 3, 2]):
            got, expected = ours(x), theirs(x)
            assert got.keys() == expected.keys()
            for name in expected:
                assert as_lists(got[name]) == as_lists(expected[name])


def test_mask_generator_in_tf_data_chooses_as_many_as_kerashub(hub):
    pytest.importorskip("tensorflow_text")
    tf = pytest.importorskip("tensorflow")
    ids = np.random.default_rng(0).integers(0, 9, (6, 30)).astype("int32")
    data = tf.data.Dataset.from_tensors(ids)
    for rate in (0.15, 0.2, 0.5):
        for length in (None, 4):
            arguments = (50, rate, 49, length, [0, 1])
            (got,) = data.map(MaskedLMMaskGenerator(*arguments))
            (expected,) = data.map(hub.layers.MaskedLMMaskGenerator(*arguments))
            assert got["token_ids"].shape == expected["token_ids"].shape
            assert got["token_ids"].dtype == expected["token_ids"].dtype
            for name in ("mask_positions", "mask_ids", "mask_weights"):
                assert type(got[name]) is type(expected[name])
                assert got[name].shape.as_list() == expected[name].shape.as_list()
            counts = [[float(sum(row)) for row in as_lists(x["mask_weights"])] for x in (got, expected)]
            assert counts[0] == counts[1]


def as_lists(x):
    if isinstance(x, list):
        return x
    return x.to_list() if hasattr(x, "to_list") else numpy(x).tolist()
