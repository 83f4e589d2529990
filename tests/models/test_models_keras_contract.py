"""Keras' contract for every model: padding, unknown lengths, low precision, quantization, export."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import layers
from keras_attn.layers.embedding_table import embedding_table
from keras_attn.models import (
    GPT2,
    Bert,
    BigBird,
    CausalLM,
    MaskedLM,
    NextSentence,
    QuestionAnswerer,
    RNNSearch,
    Seq2SeqRNN,
    TextClassifier,
    TextEmbedder,
    TextScorer,
    TokenClassifier,
    Transformer,
)

BACKEND = keras.backend.backend()
WORDS, LENGTH, PADDED, LONGEST = 30, 5, 8, 12
SIZES = {
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 16,
    "intermediate_dim": 24,
    "max_sequence_length": LONGEST,
}
BLOCKS = {
    "hidden_dim": 16,
    "intermediate_dim": 24,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "max_sequence_length": LONGEST,
}
RECURRENT = {"embedding_dim": 12, "hidden_dim": 10, "maxout_dim": 8}
LABELS = ["a", "b", "c"]


def bert(**options):
    return Bert(WORDS, **SIZES, **options)


def gpt2(**options):
    return GPT2(WORDS, **SIZES, **options)


def bigbird(**options):
    return BigBird(WORDS, block_size=4, num_random_blocks=0, **SIZES, **options)


MODELS = {
    "bert": bert,
    "bigbird": bigbird,
    "gpt2": gpt2,
    "classifier": lambda **kw: TextClassifier(bert(**kw), LABELS, pooling="mean", **kw),
    "last": lambda **kw: TextClassifier(gpt2(**kw), LABELS, **kw),
    "largest": lambda **kw: TextClassifier(bigbird(**kw), LABELS, pooling="max", **kw),
    "follows": lambda **kw: NextSentence(bert(**kw), **kw),
    "several": lambda **kw: TextClassifier(bert(**kw), LABELS, multi_label=True, **kw),
    "scorer": lambda **kw: TextScorer(bert(**kw), "linear", hidden_activation="tanh", **kw),
    "tokens": lambda **kw: TokenClassifier(bert(**kw), LABELS, **kw),
    "answers": lambda **kw: QuestionAnswerer(bigbird(**kw), intermediate_dim=24, **kw),
    "embedder": lambda **kw: TextEmbedder(bert(**kw), pooling="mean_sqrt_len", **kw),
    "masked": lambda **kw: MaskedLM(bert(**kw), **kw),
    "masked_apart": lambda **kw: MaskedLM(bert(**kw), tie_output=False, **kw),
    "causal": lambda **kw: CausalLM(gpt2(**kw), **kw),
    "transformer": lambda **kw: Transformer(WORDS, output_bias=True, **BLOCKS, **kw),
    "learned": lambda **kw: Transformer(
        WORDS, position_encoding="learned", share_embeddings=False, tie_output=False, **BLOCKS, **kw
    ),
    "rnnsearch": lambda **kw: RNNSearch(WORDS, attention_dim=6, **RECURRENT, **kw),
    "seq2seq": lambda **kw: Seq2SeqRNN(WORDS, **RECURRENT, **kw),
}
TRANSLATORS = ("transformer", "learned", "rnnsearch", "seq2seq")
DECODERS = (*TRANSLATORS, "gpt2", "causal")
EVERY = pytest.mark.parametrize("name", MODELS)


def stirred(name, **options):
    """A model whose weights are large enough to tell mistakes."""
    keras.utils.set_random_seed(3)
    model, random = MODELS[name](**options), np.random.default_rng(3)
    for variable in model.trainable_variables:
        value = np.asarray(ops.convert_to_numpy(ops.cast(variable, "float32")))
        variable.assign(2 * value + 0.1 * random.normal(size=value.shape))
    return model


def inputs(name, length=LENGTH, fill=0, mask_dtype="bool"):
    """Three texts of 5, 3 and 1 tokens, whose padding is `fill`."""
    exists = np.arange(length)[None] < np.array([5, 3, 1])[:, None]
    ids = np.random.default_rng(0).integers(1, WORDS, (3, LENGTH))
    ids = np.where(exists, np.pad(ids, ((0, 0), (0, length - LENGTH))), fill).astype("int32")
    mask = exists.astype(mask_dtype)
    if name not in TRANSLATORS:
        return {"token_ids": ids, "padding_mask": mask}
    target = np.random.default_rng(1).integers(1, WORDS, (3, 4)).astype("int32")
    return {"encoder_token_ids": ids, "encoder_padding_mask": mask, "decoder_token_ids": target}


def main(outputs):
    """The first output, as float32."""
    outputs = outputs["sequence_output"] if isinstance(outputs, dict) else outputs
    return np.asarray(ops.convert_to_numpy(ops.cast(outputs, "float32")))


def of_tokens(name, outputs):
    """Return the outputs with padded positions set to 0."""
    outputs = main(outputs)
    if name in TRANSLATORS or outputs.ndim == 2:
        return outputs
    if name == "answers":  # of positions, as the last axis
        outputs = outputs.transpose(0, 2, 1)
    exists = np.arange(outputs.shape[1])[None] < np.array([5, 3, 1])[:, None]
    return np.where(exists[..., None], outputs, 0)[:, :LENGTH]


@EVERY
def test_padding_is_invisible(name):
    model = stirred(name)
    first = of_tokens(name, model(inputs(name)))
    for more in ({"fill": 7}, {"length": PADDED, "fill": 9}, {"mask_dtype": "int32"}):
        np.testing.assert_allclose(of_tokens(name, model(inputs(name, **more))), first, atol=2e-5)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_padding_of_the_target_is_invisible(name):
    model, given = stirred(name), inputs(name)
    mask = np.array([[True, False, True, True]] * 3)
    outputs = []
    for hidden_word in (3, 8):
        target = given["decoder_token_ids"].copy()
        target[:, 1] = hidden_word
        outputs.append(main(model({**given, "decoder_token_ids": target, "decoder_padding_mask": mask})))
    np.testing.assert_allclose(outputs[0][:, [0, 2, 3]], outputs[1][:, [0, 2, 3]], atol=1e-5)


def test_a_transformers_attention_sees_no_padding():
    model, mask = stirred("transformer"), np.array([[True] * 3 + [False] * 2] * 3)
    given = {**inputs("transformer", fill=7), "encoder_padding_mask": mask}
    scores = model.attention_scores(given)
    for part in ("encoder", "cross"):
        assert (main(scores[part])[..., 3:] == 0).all(), part
    _, weights = model(given, return_attention_scores=True)
    # The logits are up to 38 apart, where float32's spacing is 4e-6.
    np.testing.assert_allclose(main(scores["cross"])[-1].mean(1), main(weights), atol=4e-6)


@pytest.mark.parametrize("pooling", ["mean", "mean_sqrt_len", "max", "cls", "last"])
def test_a_text_without_tokens_gives_a_finite_vector(pooling):
    model = TextEmbedder(bert(dtype="float16"), pooling=pooling, dtype="float16")
    given = {"token_ids": np.zeros((1, 4), "int32"), "padding_mask": np.zeros((1, 4), bool)}
    assert np.isfinite(main(model(given))).all()


def test_vectors_of_half_precision_do_not_overflow():
    model = TextEmbedder(bert(dtype="float16"), pooling="cls", dtype="float16")
    norm = model.backbone.encoder_layers[-1]._feedforward_layer_norm
    norm.gamma.assign(np.full(16, 300, "float16"))
    vector = main(model({"token_ids": np.array([[3, 4]], "int32")}))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=0.01)


@EVERY
def test_lengths_may_be_unknown(name):
    model, given = stirred(name), inputs(name)
    known = LENGTH if model.needs_known_lengths else None
    symbols = {key: keras.Input((known,), dtype=x.dtype.name, name=key) for key, x in given.items()}
    spec = model.compute_output_spec(symbols)
    symbolic = keras.Model(symbols, model(symbols))
    found, expected = symbolic(given), model(given)
    np.testing.assert_allclose(main(found), main(expected), atol=1e-5)
    spec = spec["sequence_output"] if isinstance(spec, dict) else spec
    assert spec.shape[-1] == main(expected).shape[-1]


@EVERY
def test_a_summary_is_printed(name):
    model, lines = MODELS[name](), []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "Total params" in "\n".join(lines)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", DECODERS)
def test_steps_keep_their_dtypes_and_shapes(name, policy):
    model, given = stirred(name, dtype=policy), inputs(name)
    ids, mask = (next(x for key, x in given.items() if key.endswith(part)) for part in ("ids", "mask"))
    if name in TRANSLATORS:
        ids = given["encoder_token_ids"]

    def start(ids, mask):
        return model.start(ids, mask, 4)

    if BACKEND == "tensorflow":
        import tensorflow as tf

        signature = [tf.TensorSpec((None, None), "int32"), tf.TensorSpec((None, None), "bool")]
        start = tf.function(start, input_signature=signature)
    memory, state = start(ops.convert_to_tensor(ids), ops.convert_to_tensor(mask))
    scores, _, after = model.step(ops.convert_to_tensor(np.full(3, 4, "int32")), memory, state)
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    for key, x in state.items():
        assert (x.dtype, tuple(x.shape)) == (after[key].dtype, tuple(after[key].shape)), key
    for key, x in {**memory, **state}.items():
        dtype = keras.backend.standardize_dtype(x.dtype)
        assert "float" not in dtype or dtype == model.compute_dtype, key


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize("name", ["rnnsearch", "seq2seq"])
def test_recurrent_models_run_in_mixed_precision(name):
    model = MODELS[name](dtype="mixed_bfloat16")
    given = inputs(name)
    target = given["decoder_token_ids"]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=BACKEND == "tensorflow")
    model.fit(given, target, verbose=0)
    assert np.isfinite(model.evaluate(given, target, verbose=0))


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow traces unknown lengths in fit")
def test_rnnsearch_learns_from_batches_of_unknown_length():
    import tensorflow as tf

    def batches():
        for length in (LENGTH, PADDED):
            given = inputs("rnnsearch", length)
            yield given, given["decoder_token_ids"]

    specs = {key: tf.TensorSpec((None, None), x.dtype) for key, x in inputs("rnnsearch").items()}
    data = tf.data.Dataset.from_generator(
        batches, output_signature=(specs, tf.TensorSpec((None, None), "int32"))
    )
    model = MODELS["rnnsearch"]()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data, shuffle=False, verbose=0)


QUANTIZED = ("transformer", "causal", "masked", "learned", "rnnsearch", "classifier")


@pytest.mark.parametrize(
    ("name", "mode"), [(name, "int8") for name in QUANTIZED] + [("causal", "int4"), ("masked", "int4")]
)
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize")
@pytest.mark.filterwarnings("ignore:.*quantize")
def test_a_quantized_model_is_close_and_comes_back_from_disk(name, mode, tmp_path):
    model, given = stirred(name), inputs(name)
    exact = main(model(given))
    model.quantize(mode)
    found = main(model(given))
    # Scores that all mean the same are compared as their deviations.
    error = np.abs(found - exact).mean() / np.abs(exact - exact.mean()).mean()
    assert error < {"int8": 0.1, "int4": 0.5}[mode]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(main(loaded(given)), found, atol=1e-5)
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())


@pytest.mark.filterwarnings("ignore:.*quantize")
def test_quantized_layers_of_a_custom_model_are_saved(tmp_path):
    ids = keras.Input((4,), dtype="int32")
    x = layers.TokenAndPositionEmbedding(9, 9, 8)(ids)
    x = layers.TransformerEncoder(16, 2)(x)
    x = layers.TransformerDecoder(16, 2)(x, x)
    x = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.BigBirdAttention(2, 4, block_size=4)(x)
    model = keras.Model(ids, layers.MaskedLMHead(9)(x, keras.ops.zeros_like(ids)[:, :2]))
    model.quantize("int8")
    model.save(tmp_path / "model.keras")
    loaded, given = keras.saving.load_model(tmp_path / "model.keras"), np.array([[3, 1, 4, 0]])
    np.testing.assert_array_equal(main(loaded(given)), main(model(given)))


@pytest.mark.parametrize("name", ["bert", "gpt2", "transformer", "rnnsearch"])
def test_a_models_mask_that_is_added_to_scores_is_refused(name):
    model, given = MODELS[name](), inputs(name)
    key = next(key for key in given if key.endswith("padding_mask"))
    given[key] = np.where(given[key], 0, -1e9).astype("float32")
    with pytest.raises(ValueError, match=r"padding_mask.* -1e\+09"):
        model(given)


@pytest.mark.filterwarnings("ignore:.*quantize")
def test_quantized_or_adapted_models_are_not_exported_to_bundles():
    from keras_attn.sources.float32_model import in_float32

    model = MODELS["transformer"]()
    model.token_embedding.enable_lora(2)
    with pytest.raises(ValueError, match="token_embedding has a LoRA adapter"):
        in_float32(model)
    model = MODELS["transformer"]()
    model.quantize("int8")
    with pytest.raises(ValueError, match="quantized to int8"):
        in_float32(model)


@pytest.mark.filterwarnings("ignore:.*quantize")
@pytest.mark.parametrize("mode", [None, "int8"])
def test_tied_embeddings_include_lora_weights(mode):
    model, given = stirred("transformer"), inputs("transformer")
    table = model.token_embedding
    before = main(model(given))
    table.enable_lora(2)
    if mode:
        model.quantize(mode)
    table.lora_embeddings_a.assign(np.full((WORDS, 2), 0.3, "float32"))
    table.lora_embeddings_b.assign(np.full((2, 16), 0.3, "float32"))
    np.testing.assert_allclose(
        main(embedding_table(table)), main(table(np.arange(WORDS, dtype="int32"))), atol=1e-6
    )
    hidden = np.random.default_rng(4).normal(size=(2, 16)).astype("float32")
    expected = hidden @ main(embedding_table(table)).T
    bias = main(model.output_embeddings[1])
    np.testing.assert_allclose(main(model.logits(ops.convert_to_tensor(hidden))), expected + bias, atol=1e-4)
    assert np.abs(main(model(given)) - before).max() > 0.01


EXPORTED = [
    ("masked", True),
    ("causal", True),
    ("transformer", False),
    ("rnnsearch", True),
    ("largest", True),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "called"), EXPORTED)
def test_keras_export_needs_no_signature(name, called, tmp_path):
    import tensorflow as tf

    model, given = stirred(name), inputs(name)
    if called:
        model(given)
    model.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(tmp_path / "saved")
    for length in (LENGTH,) if model.needs_known_lengths else (LENGTH, PADDED):
        given = inputs(name, length)
        np.testing.assert_allclose(np.asarray(saved.serve(given)), main(model(given)), rtol=1e-5, atol=3e-5)


def test_export_reads_all_inputs_unless_a_call_chose_some():
    model = MODELS["classifier"]()
    names = {"token_ids", "segment_ids", "padding_mask"}
    assert set(model.input_signature()[0]) == names
    model({"token_ids": np.ones((1, 3), "int32")})
    (specs,) = model.input_signature()
    assert {name: (spec.shape, spec.dtype) for name, spec in specs.items()} == {
        "token_ids": ((None, None), "int32")
    }
    assert MODELS["largest"]().input_signature()[0]["token_ids"].shape == (None, LONGEST)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="AutoGraph is TensorFlow's")
def test_errors_keep_their_type_in_functions_of_tensorflow():
    import tensorflow as tf

    from keras_attn.errors import ArgumentError

    model = Bert(vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8)
    with pytest.raises(ArgumentError, match="token_ids"):
        tf.function(model)({"tokens": tf.zeros((1, 4), "int32")})
