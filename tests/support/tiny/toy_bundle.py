"""Two tiny models of random weights, as .tflite files and in plain NumPy, and bundles made of them.

``recurrent`` carries a state and attends to the source; ``cached`` is a layer of two-head self-attention with
caches, positions and ancestry. Run as a script, this file converts them: TensorFlow stays out of the tests.
"""

import atexit
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

SPECIAL_IDS = {"pad": 0, "start": 1, "end": 2, "unknown": 3}
DEPTH, HEADS = 8, 2
HEAD = DEPTH // HEADS
BUCKETS = ((8, 12), (16, 20))
ROWS = (1, 3)
GROWING, TOP = 5, 8  # target tokens of the first steps with caches; best tokens that they tell


def weights(vocabulary):
    rng = np.random.default_rng(7)

    def make(*shape):
        return (rng.normal(size=shape) * 0.6).astype(np.float32)

    return {
        "embedding": make(vocabulary, DEPTH),
        "output": make(DEPTH, vocabulary) * 2,
        "qkv": make(3, DEPTH, DEPTH),
        "encode": make(DEPTH, DEPTH),
        "state": make(DEPTH, DEPTH) * 0.5,
        "source_positions": make(max(s for s, _ in BUCKETS), DEPTH),
        "target_positions": make(max(t for _, t in BUCKETS), DEPTH),
    }


# NumPy: the reference


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class NumpyState:
    def __init__(self, keys, mask, state, past, alignment=None):
        self.keys, self.mask, self.state, self.past, self.alignment = keys, mask, state, past, alignment

    def select(self, rows):
        alignment = None if self.alignment is None else self.alignment[rows]
        past = self.past[rows]
        return NumpyState(self.keys[rows], self.mask[rows], self.state[rows], past, alignment)


class NumpyStepModel:
    """The same functions as the files, any number of sentences, without buckets."""

    def __init__(self, kind, vocabulary):
        self.kind, self.w = kind, weights(vocabulary)

    def start(self, source_ids, source_mask):
        w, mask = self.w, source_mask.astype(np.float32)
        x = (w["embedding"][source_ids] + w["source_positions"][: source_ids.shape[1]]) * mask[..., None]
        keys = np.tanh(x @ w["encode"]) * mask[..., None]
        state = np.tanh(keys.sum(1))
        return NumpyState(keys, (1 - mask) * -1e9, state, np.zeros((len(keys), 0, DEPTH), np.float32))

    def step(self, tokens, old):
        w = self.w
        x = w["embedding"][tokens]
        past, state = old.past, old.state
        if self.kind == "recurrent":
            hidden = state = np.tanh(state @ w["state"] + x)
        else:
            x = x + w["target_positions"][past.shape[1]]
            past = np.concatenate([past, x[:, None]], 1)  # (R, t+1, D)
            q = (x @ w["qkv"][0]).reshape(-1, HEADS, 1, HEAD)
            k, v = (
                (past @ w["qkv"][i]).reshape(len(x), -1, HEADS, HEAD).transpose(0, 2, 1, 3) for i in (1, 2)
            )
            attended = softmax(q @ k.swapaxes(2, 3)) @ v  # (R, H, 1, dh)
            hidden = np.tanh(x + attended.reshape(len(x), DEPTH))
        alignment = softmax(np.einsum("rd,rsd->rs", hidden, old.keys) + old.mask)
        logits = (hidden + np.einsum("rs,rsd->rd", alignment, old.keys)) @ w["output"]
        scores = np.log(softmax(logits)).astype(np.float32)
        return scores, NumpyState(old.keys, old.mask, state, past, alignment.astype(np.float32))


# TensorFlow: the files


def convert(kind, vocabulary, path):
    """Write the .tflite of one kind; imports TensorFlow."""
    import tensorflow as tf

    module = tf.Module()
    module.w = w = {name: tf.Variable(array) for name, array in weights(vocabulary).items()}
    signatures = {}

    def spec(name, shape, dtype=tf.float32):
        return tf.TensorSpec(shape, dtype, name=name)

    def encode(source):
        inputs = [spec("token_ids", (1, source), tf.int32), spec("source_mask", (1, source))]

        @tf.function(input_signature=inputs)
        def function(token_ids, source_mask):
            mask = tf.reshape(source_mask, (source, 1))
            x = (tf.gather(w["embedding"], token_ids[0]) + w["source_positions"][:source]) * mask
            keys = tf.tanh(x @ w["encode"]) * mask
            outputs = {"keys": keys[None], "source_bias": (1 - source_mask) * -1e9}
            if kind == "recurrent":
                outputs["state"] = tf.tanh(tf.reduce_sum(keys, 0, keepdims=True))
            return outputs

        return function

    def read(hidden, keys, source_bias):
        alignment = tf.nn.softmax(tf.matmul(hidden, keys[0], transpose_b=True) + source_bias)
        logits = (hidden + tf.matmul(alignment, keys[0])) @ w["output"]
        outputs = {"scores": tf.nn.log_softmax(logits), "alignment": alignment}
        if kind == "cached":  # which tells of its scores as lowered models do
            outputs |= {"scores": logits, "normalizer": tf.reduce_logsumexp(logits, -1, keepdims=True)}
            outputs["top_scores"], outputs["top_tokens"] = tf.math.top_k(logits, TOP)
        return outputs

    def recurrent_step(source, target, rows):
        inputs = [spec("tokens", (rows,), tf.int32), spec("state", (rows, DEPTH))]

        @tf.function(
            input_signature=[*inputs, spec("keys", (1, source, DEPTH)), spec("source_bias", (1, source))]
        )
        def function(tokens, state, keys, source_bias):
            hidden = tf.tanh(state @ w["state"] + tf.gather(w["embedding"], tokens))
            return {**read(hidden, keys, source_bias), "next_state": hidden}

        return function

    def cached_step(source, target, rows):
        inputs = [
            spec("tokens", (rows,), tf.int32),
            spec("position", (1,), tf.int32),
            spec("self_bias", (rows, rows * target)),
            spec("key_cache_00", (HEADS, HEAD, rows * target)),
            spec("value_cache_00", (HEADS, HEAD, rows * target)),
            spec("keys", (1, source, DEPTH)),
            spec("source_bias", (1, source)),
        ]

        def heads(x):
            return tf.transpose(tf.reshape(x, (rows, HEADS, HEAD)), (1, 0, 2))  # (H, R, dh)

        @tf.function(input_signature=inputs)
        def function(tokens, position, self_bias, key_cache_00, value_cache_00, keys, source_bias):
            x = tf.gather(w["embedding"], tokens) + tf.gather(w["target_positions"], position)
            projected = [x @ w["qkv"][i] for i in range(3)]
            q, k, v = map(heads, projected)
            own = tf.reduce_sum(q * k, -1, keepdims=True)  # (H, R, 1)
            cached = tf.matmul(q, key_cache_00) + self_bias  # (H, R, R*T)
            p = tf.nn.softmax(tf.concat([cached, own], -1))
            attended = tf.matmul(p[:, :, :-1], value_cache_00, transpose_b=True) + p[:, :, -1:] * v
            hidden = tf.tanh(x + tf.reshape(tf.transpose(attended, (1, 0, 2)), (rows, DEPTH)))
            return {**read(hidden, keys, source_bias), "row_00": tf.concat(projected[1:], -1)}

        return function

    for source, _ in BUCKETS:
        signatures[f"encode_{source}"] = encode(source)
    for source, target, rows in steps(kind):
        step = recurrent_step if kind == "recurrent" else cached_step
        signatures[f"step_{source}_{target}_{rows}"] = step(source, target, rows)
    folder = f"{path}.saved"
    tf.saved_model.save(module, folder, signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
    Path(path).write_bytes(converter.convert())


@cache
def convert_all(vocabulary):
    """Convert both kinds in a process of its own, once per test session; return their files by kind."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    command = [sys.executable, __file__, str(vocabulary), folder]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return {kind: Path(folder) / f"{kind}.tflite" for kind in ("recurrent", "cached")}


# Bundles


def steps(kind):
    """Source and target lengths and rows of the steps: those with caches share theirs, and grow."""
    if kind == "recurrent":
        return [(source, target, rows) for source, target in BUCKETS for rows in ROWS]
    source, target = BUCKETS[-1]
    return [(source, room, rows) for room in (GROWING, target) for rows in ROWS]


def buckets(kind):
    found = []
    for source, target in BUCKETS:
        fitting = [step for step in steps(kind) if step[0] in (source, BUCKETS[-1][0]) and step[0] >= source]
        first = min(step[0] for step in fitting)
        named = {
            str(rows): {str(t): f"step_{s}_{t}_{r}" for s, t, r in fitting if r == rows and s == first}
            for rows in ROWS
        }
        found.append({"source": source, "target": target, "encode": f"encode_{source}", "steps": named})
    return found


def manifest(model, kind):
    """The manifest of a toy bundle, without files; ``model`` is an opened ``interpreter.Model``."""
    signatures = {}
    for name in model.signatures:
        signature = model.signature(name)
        signatures[name] = {
            side: {k: {"shape": list(v.shape), "dtype": v.dtype.name} for k, v in views.items()}
            for side, views in (("inputs", signature.inputs), ("outputs", signature.outputs))
        }
    return {
        "format_version": 2,
        "task": "translation",
        "model": {"class_name": "Toy", "config": {}},
        "languages": {"source": "xx", "target": "yy"},
        "special_ids": SPECIAL_IDS,
        "recipe": "fp32",
        "signatures": signatures,
        "buckets": buckets(kind),
        "max_source_tokens": BUCKETS[-1][0],
        "made_from": {},
        "versions": {},
        "runtimes": ["ai-edge-litert>=1.4", "@litertjs/core>=2.5", "tflite-runtime>=2.14"],
        "created": "2026-01-01",
    }


def make_proof(kind, vocabulary, count=6):
    """References from the NumPy model."""
    from keras_attn.device.proof.decoder_proof import Proof
    from keras_attn.device.search.search import search

    rng = np.random.default_rng(3)
    model = NumpyStepModel(kind, vocabulary)
    lengths = np.array([3, 5, 8, 9, 12, 16][:count], np.int32)
    source_ids = np.zeros((count, 16), np.int32)
    target_ids = np.zeros((count, 12), np.int32)
    target_lengths = np.zeros(count, np.int32)
    check_ids = rng.integers(0, vocabulary, (count, 12, 5)).astype(np.int32)
    check_scores = np.zeros((count, 12, 5), np.float32)
    for i, length in enumerate(lengths):
        source_ids[i, :length] = [*rng.integers(4, vocabulary, length - 1), 2]
        source, mask = source_ids[i : i + 1, :length], np.ones((1, length), bool)
        [[found]] = search(model, source, mask, start_id=1, end_id=2, max_length=12, suppress=(0, 1))
        target = [*found.ids, 2] if found.finished else found.ids
        target_ids[i, : len(target)], target_lengths[i] = target, len(target)
        state, token = model.start(source, mask), 1
        for step, following in enumerate(target):
            scores, state = model.step(np.array([token]), state)
            check_scores[i, step] = scores[0, check_ids[i, step]]
            token = following
    references = (source_ids, lengths, target_ids, target_lengths, check_ids, check_scores)
    return Proof(*references, max_error=1e-4, mean_error=1e-5, min_token_agreement=1.0)


def with_texts(proof, tokenizer):
    """The proof with what a tokenizer makes of a few texts."""
    from keras_attn.device.proof.text_proof import prove_texts
    from keras_attn.device.text.tokenizer import Tokenizer

    files = {"tokenizer.json": hashlib.sha256(tokenizer.to_str().encode()).hexdigest()}
    texts = ["", "the little house", " two  spaces 1.5 日本語 é 😀"]
    proven = prove_texts(Tokenizer(tokenizer, SPECIAL_IDS), files, texts, texts)
    return dataclasses.replace(proof, texts=proven.to_array())


def make_bundle(path, kind, tokenizer):
    """Write a whole bundle of a kind, and return its path."""
    from keras_attn.device.files.bundle import write_bundle
    from keras_attn.device.runtime.interpreter import Model

    vocabulary = tokenizer.get_vocab_size()
    model = convert_all(vocabulary)[kind]
    files = {
        "model.tflite": model,
        "tokenizer.json": tokenizer.to_str().encode(),
        "proof.npz": with_texts(make_proof(kind, vocabulary), tokenizer).to_bytes(),
    }
    return write_bundle(path, manifest(Model(model), kind), files).path


if __name__ == "__main__":
    for kind in ("recurrent", "cached"):
        convert(kind, int(sys.argv[1]), f"{sys.argv[2]}/{kind}.tflite")
