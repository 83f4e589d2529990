"""BigBird's block-sparse attention on the device: the Keras model's answers at every length."""

import dataclasses
import functools

import numpy as np
import pytest
from keras_attn_export import export
from keras_attn_export.buckets import SPARSE_LENGTHS, Bucket, Sparsity, choose_buckets
from keras_attn_export.pipeline import ENCODER_TRACE
from keras_attn_export.recipes import FP32, INT8
from keras_attn_export.samples import text_samples
from keras_attn_export.tflite.convert import convert_traced
from keras_attn_export.tracing.handover import Traced
from tiny_encoders import LABELS, encoder_tokenizer
from tiny_models import in_process, scratch, stir

from keras_attn.device.runtime.encoder import LiteRTEncoder
from keras_attn.device.runtime.interpreter import Model
from keras_attn.encoding import KerasEncoder
from keras_attn.layers import BigBirdAttention
from keras_attn.sources.find_source import find_source

# Random blocks, block size, a dense length that is no multiple, and sparse lengths of 6 blocks and more.
CASES = {
    "mean": (1, 4, (27, 32, 44)),
    "pooled": (3, 4, (44, 48)),
    "cls": (2, 4, (36, 40)),
    "embedder": (0, 8, (37, 48)),
    "masked": (1, 4, (28, 48)),
}


@functools.cache
def model(name):
    import keras

    from keras_attn.models import BigBird, MaskedLM, TextClassifier, TextEmbedder

    keras.utils.set_random_seed(3)
    repeats, size, lengths = CASES[name]
    backbone = BigBird(
        encoder_tokenizer().tokenizer.get_vocab_size(), block_size=size, num_random_blocks=repeats,
        num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=24, max_sequence_length=lengths[-1],
    )  # fmt: skip
    match name:
        case "embedder":
            made = TextEmbedder(backbone)
        case "masked":
            made = MaskedLM(backbone)
        case _:
            made = TextClassifier(backbone, LABELS, pooling=name)
    stir(made)
    for variable in made.variables:
        if variable.path.endswith(("kernel", "embeddings")):
            variable.assign(8.0 * variable.value)
    return made


@functools.cache
def files(name):
    lengths = CASES[name][2]
    source = find_source(model(name), tokenizer=encoder_tokenizer(name == "masked"))
    sparsity = Sparsity.of(source.config["backbone"]["config"])
    buckets = choose_buckets(lengths, source.longest, sparsity=sparsity)
    traced = Traced(source.model, ENCODER_TRACE, {"buckets": list(map(dataclasses.asdict, buckets))})
    folder = scratch() / f"bigbird-{name}"
    folder.mkdir()
    recipe = INT8 if name in ("mean", "masked") else FP32
    with in_process():
        return convert_traced(folder, traced, recipe, text_samples(source, buckets, 0))


def differences(name, file):
    """By bucket, the largest difference from Keras: of full texts, and with one or most tokens padded."""
    lengths = CASES[name][2]
    layout = [{"source": length, "encode": f"encode_{length}"} for length in lengths]
    device = LiteRTEncoder(Model(file), layout, model(name).backbone.pad_id)
    keras, rng, found = KerasEncoder(model(name), lengths), np.random.default_rng(0), {}
    for shorter, length in zip((0, *lengths), lengths, strict=False):
        for tokens in sorted({shorter + 1, length - 1, length}):
            ids = rng.integers(5, 60, tokens).tolist()
            places = {0, 1, tokens // 3, tokens // 2, tokens - 2, tokens - 1} if name == "masked" else {0}
            for place in (place for place in places if 0 <= place < tokens):
                gap = np.abs(device.run(ids, place) - keras.run(ids, place)).max()
                found[length] = max(found.get(length, 0.0), float(gap))
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_file_answers_as_keras_does_dense_and_sparse(name):
    found = differences(name, files(name).fp32)
    assert len(found) == len(CASES[name][2]) and max(found.values()) < 3e-5, found


@pytest.mark.parametrize("name", ["mean", "masked"])
def test_int8_is_close(name):
    found = differences(name, files(name).quantized)
    assert all(1e-6 < each < 1.0 for each in found.values()), found


def test_signatures_share_the_weights():
    small, large = 4 * sum(int(np.prod(v.shape)) for v in model("mean").variables), len(CASES["mean"][2])
    # Each signature adds its operators, none its weights.
    assert files("mean").fp32.stat().st_size < small + 20_000 * large


@pytest.mark.parametrize("repeats", [0, 1, 3])
def test_lengths_are_sparse_where_the_layer_is(repeats):
    layer = BigBirdAttention(2, 4, block_size=4, num_random_blocks=repeats)
    sparsity = Sparsity(4, repeats)
    for length in range(1, 60):
        assert sparsity.is_sparse(length) == layer.is_sparse(length)


def test_default_lengths_are_whole_blocks():
    def lengths(longest, block_size, trained=None):
        sparsity = Sparsity(block_size, 3)
        found = choose_buckets(None, longest, trained, SPARSE_LENGTHS, sparsity)
        sparsity.check(found, heads=False)
        return [bucket.source for bucket in found]

    assert lengths(4096, 64) == [32, 64, 128, 256, 512, 1024, 2048, 4096]
    assert lengths(2000, 64) == [32, 64, 128, 256, 512, 1024]
    assert lengths(4096, 84)[-3:] == [1008, 2016, 4032]
    assert lengths(4096, 84, trained=1010)[-2:] == [1008, 2016]
    assert lengths(4096, 64, trained=300)[-1] == 512


def test_impossible_lengths_are_named():
    sparsity = Sparsity(64, 3)
    with pytest.raises(
        ValueError, match=r"bucket 710, 1000: .*block_size.*704 or 768, 960 or 1024, or at most 704"
    ):
        sparsity.check([Bucket(700, 1), Bucket(710, 1), Bucket(1000, 1), Bucket(1024, 1)], heads=False)
    sparsity.check([Bucket(704, 1)], heads=True)
    with pytest.raises(ValueError, match=r"heads: above 704 tokens .* bucket 768$"):
        sparsity.check([Bucket(512, 1), Bucket(768, 1)], heads=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"buckets": [45]}, "bucket 45: above 40"), ({"buckets": [48], "heads": True}, "heads")],
)
def test_export_refuses_them_before_it_converts(options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        export(model("embedder"), tmp_path / "bundle", tokenizer=encoder_tokenizer(), **options)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_proven_at_sparse_lengths(tmp_path):
    with in_process():
        bundle = export(
            model("pooled"),
            tmp_path / "bundle",
            "int8",
            tokenizer=encoder_tokenizer(),
            buckets=CASES["pooled"][2],
        )
    assert [bucket["source"] for bucket in bundle.manifest["buckets"]] == [44, 48]
