"""Preprocessing repeats what it made of a proof's examples, and a changed one is found."""

import hashlib

import numpy as np

from keras_attn.device.preprocessing.lookups import Lookup
from keras_attn.device.preprocessing.preprocessing import Preprocessing, Step
from keras_attn.device.proof.prediction_proof import PredictionProof
from keras_attn.device.proof.preprocessing_proof import judge_preprocessing, raw_examples


def looked_up(*words):
    return Preprocessing([Step("movie", "movie", (1,), Lookup(words, False, None, 0, 1), None)], {})


def test_whole_numbers_are_looked_up_as_in_the_export():
    given = {"movie": np.array([[10], [30], [99]])}
    raw = raw_examples(given, looked_up(10, 20, 30), {})
    proof = PredictionProof([], [], np.zeros(0, np.int32), raw=raw)
    assert judge_preprocessing(proof, looked_up(10, 20, 30), {}).ok
    assert not judge_preprocessing(proof, looked_up(10, 30, 20), {}).ok


def test_a_tokenizer_is_proven_word_by_word_though_examples_have_few_words():
    words = {"tokenizer.json": b"calm sea"}
    given = {"movie": np.array([[10]])}
    raw = raw_examples(given, looked_up(10, 20), words)
    proof = PredictionProof([], [], np.zeros(0, np.int32), raw=raw)

    def listed(content):
        return {"tokenizer.json": {"sha256": hashlib.sha256(content).hexdigest()}}

    assert judge_preprocessing(proof, looked_up(10, 20), listed(b"calm sea")).ok
    for files in (listed(b"sea calm"), {}):
        check = judge_preprocessing(proof, looked_up(10, 20), files)
        assert not check.ok and "tokenizer.json" in check.detail
