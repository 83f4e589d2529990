"""Tiny models with random weights, and their conversions, shared by the tests of the export."""

import atexit
import contextlib
import dataclasses
import functools
import io
import itertools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from one_converter import converter

_WORDS = "the a red green old cat dog house tree sees likes near under is"
ROWS = (1, 2)
SOURCES = (4, 8)
FIRST = 3  # target tokens of a Transformer's first steps


@functools.cache
def scratch() -> Path:
    """A folder that lives as long as the tests."""
    folder = Path(tempfile.mkdtemp(prefix="keras_attn_tests_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def sentences() -> list[str]:
    """Some 120 short texts."""
    triples = itertools.islice(itertools.product(*[_WORDS.split()] * 3), 0, None, 24)
    return [" ".join(triple) for triple in triples]


@functools.cache
def tokenizer():
    """A tokenizer trained on them."""
    from keras_attn.data import tokenizer as data
    from keras_attn.device.text.tokenizer import Tokenizer

    trained = data.train_tokenizer(sentences(), 340)
    return Tokenizer(trained, data.special_ids(trained))


def pairs(count: int = 8) -> list[tuple[str, str]]:
    """Texts with themselves as references."""
    return [(text, text) for text in sentences()[:count]]


@functools.cache
def tiny(name: str):
    """A model: `transformer` (pre-norm, tied), `marian`, `separate` (unlike it), `t5`, `umt5` (unlike it),
    `rnnsearch`, `seq2seq`.

    `shallow` is the Transformer with one layer in its decoder, whose steps take longest to convert.
    """
    import keras

    from keras_attn.models import T5, RNNSearch, Seq2SeqRNN, Transformer

    keras.utils.set_random_seed(7)
    vocabulary_size = tokenizer().tokenizer.get_vocab_size()
    sizes = {
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "intermediate_dim": 24,
        "max_sequence_length": 16,
    }
    recurrent = {"embedding_dim": 12, "hidden_dim": 20, "maxout_dim": 12}
    match name:
        case "transformer":
            model = Transformer(vocabulary_size, hidden_dim=16, num_heads=2, **sizes)
        case "shallow":
            model = Transformer(
                vocabulary_size, hidden_dim=16, num_heads=2, **{**sizes, "num_decoder_layers": 1}
            )
        case "marian":
            model = Transformer(
                vocabulary_size,
                hidden_dim=18,  # halves of 9: odd on purpose
                num_heads=3,
                normalize_first=False,
                position_encoding="sine-halves",
                activation="swish",
                output_bias=True,
                **sizes,
            )
        case "separate":
            model = Transformer(
                vocabulary_size,
                hidden_dim=16,
                num_heads=4,
                position_encoding="learned",
                position_offset=2,
                normalize_embedding=True,
                activation="gelu",
                share_embeddings=False,
                tie_output=False,
                scale_embedding=False,
                **sizes,
            )
        case "t5" | "umt5":
            other = {"gated": True, "share_position_bias": False} if name == "umt5" else {}
            options = {"num_buckets": 8, "max_distance": 6, "scale_output": True}  # some distances share one
            sizes.pop("max_sequence_length")
            model = T5(vocabulary_size, hidden_dim=16, num_heads=2, key_dim=5, **options, **other, **sizes)
        case "rnnsearch":
            model = RNNSearch(vocabulary_size, attention_dim=14, **recurrent)
        case "seq2seq":
            model = Seq2SeqRNN(vocabulary_size, **recurrent)
        case _:
            raise ValueError(name)
    stir(model)
    for variable in model.variables if name in ("t5", "umt5") else ():
        if variable.path.endswith("query/kernel"):
            variable.assign(0.1 * variable.value)  # their scores are not scaled
        if "position_bias" in variable.path:
            variable.assign(10.0 * variable.value)
    return model


def stir(model) -> None:
    """Randomize all weights, so that each affects the result: Keras starts biases at 0 and scales at 1."""
    rng = np.random.default_rng(11)
    for variable in model.variables:
        if "seed_generator" in variable.path:
            continue
        value = np.asarray(variable.value)
        if variable.path.endswith(("bias", "beta", "gamma")):
            variable.assign(value + 0.2 * rng.standard_normal(value.shape))
        else:
            variable.assign(2.0 * value)


@contextlib.contextmanager
def in_process():
    """Convert without a subprocess for each model, which would spend most of its time importing TensorFlow.

    What is lowered is converted here; what is traced needs Keras over TensorFlow, and goes to one worker.
    """

    def run(folder):
        from keras_attn_export.tflite.convert import main

        job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        if job["traced"]:
            return converter().run(folder)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            status = main(folder)
        return subprocess.CompletedProcess(["in process"], status, "", errors.getvalue())

    with mock.patch("keras_attn_export.tflite.convert.run_process", run):
        yield


def layout(model):
    """The buckets of a model's file; those with caches share their steps, which grow early."""
    from keras_attn_export.buckets import choose_buckets, sharing_steps

    buckets = choose_buckets(SOURCES, getattr(model, "max_sequence_length", None))
    if type(model).__name__ not in ("Transformer", "T5"):
        return buckets
    return [dataclasses.replace(each, targets=(FIRST, each.target)) for each in sharing_steps(buckets)]


def convert_source(source, name: str, **asked):
    """Convert a source as `convert` is asked to, into a folder of that name."""
    from keras_attn_export.tflite.convert import convert, find_lowering

    folder = scratch() / name
    folder.mkdir()
    model = {"config": source.config, "weights": source.weights()}
    with in_process():
        return convert(folder, lowering=find_lowering(source.class_name), **model, **asked)


@functools.cache
def converted(name: str):
    """The fp32 and int8 files of a model: `keras_attn_export.tflite.convert.Converted`."""
    from keras_attn_export.recipes import INT8

    from keras_attn.sources.find_source import find_source

    source = find_source(tiny(name), tokenizer=tokenizer())
    return convert_source(source, name, buckets=layout(tiny(name)), options={"rows": ROWS}, recipe=INT8)
