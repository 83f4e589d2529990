"""Long runs of a translator: many sentences, several threads, interruptions, full signatures."""

import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import toy_bundle
from test_device_text import byte_pair_tokenizer

from keras_attn.device import load
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.search import search
from keras_attn.device.text.text_stream import parts_of_text

TEXTS = ["little text", "things", "the little things", "text text text", "a", "little a the text"]
STATUS = Path("/proc/self/status")


@pytest.fixture(scope="module", params=["recurrent", "cached"])
def path(request, tmp_path_factory):
    kind = request.param
    return toy_bundle.make_bundle(tmp_path_factory.mktemp("bundles") / kind, kind, byte_pair_tokenizer())


def resident():
    """Memory that this process holds, in kB."""
    return int(STATUS.read_text().partition("VmRSS:")[2].split()[0])


# A process of its own, whose memory nothing else changes.
MANY = """
import gc, sys
from keras_attn.device import load
translator, texts = load(sys.argv[1]), sys.argv[2:]
for count in (1000, 10_000):
    for number in range(count):
        translator.translate(texts[number % len(texts)], beam=1 + 2 * (number % 2), max_length=8)
    gc.collect()
    print(open("/proc/self/status").read().partition("VmRSS:")[2].split()[0])
"""


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell a process' memory")
def test_ten_thousand_sentences_leave_memory_as_it_is(path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", MANY, os.fspath(path), *TEXTS]
    before, after = map(int, subprocess.check_output(command, env=environment).split())
    assert after - before < 2000  # kB: a float per sentence and token would be more


def test_two_translators_in_two_threads(path):
    translators = [load(path), load(path)]
    wanted = [translators[0].translate(text, beam=3).to_json() for text in TEXTS]
    found = {}

    def work(number):
        order = np.random.default_rng(number).permutation(np.arange(len(TEXTS)).repeat(30))
        found[number] = [(i, translators[number].translate(TEXTS[i], beam=3).to_json()) for i in order]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == wanted[i] for answers in found.values() for i, answer in answers)
    assert sum(map(len, found.values())) == 2 * 30 * len(TEXTS)


def test_cancelled_translation_leaves_no_state(path):
    translator = load(path)
    wanted = [translator.translate(text, beam=3).to_json() for text in TEXTS]

    def give_up(done):
        raise KeyboardInterrupt

    for number, text in enumerate(TEXTS):
        stream = translator.stream(text)
        next(stream, None)
        stream.close()
        with pytest.raises(KeyboardInterrupt):
            translator.translate(TEXTS, beam=2, progress=give_up)
        assert translator.translate(text, beam=3).to_json() == wanted[number]


def test_a_stream_is_the_translation(path, monkeypatch):
    translator = load(path)
    # The toy writes bytes that make no characters.
    monkeypatch.setattr(translator.tokenizer, "decode", lambda ids: "".join(f"{token} " for token in ids))
    for text in (*TEXTS, "", "little text. " * 8, "little text.\nthings.\n" * 4):
        parts = list(translator.stream(text))
        assert "".join(parts) == translator.translate(text).text and "" not in parts
    assert len(list(translator.stream("little text. " * 8))) > 3


def test_characters_are_streamed_when_complete(path):
    tokenizer = load(path).tokenizer
    text = "the naïve 日本語 text 😀 and little things"
    parts = list(parts_of_text(tokenizer.decode, tokenizer.encode(text)[:-1]))
    assert "".join(parts) == tokenizer.decode(tokenizer.encode(text)) and len(parts) > 5
    assert not any("\ufffd" in part for part in parts)


def test_wrong_use_of_a_stream_is_named(path):
    translator = load(path)
    with pytest.raises(TypeError, match="must be a string"):
        translator.stream(["a"])
    with pytest.raises(ValueError, match="max_length is 21"):
        translator.stream("a", max_length=21)


@pytest.mark.parametrize("kind", ["recurrent", "cached"])
@pytest.mark.parametrize("source", [1, 7, 8, 9, 15, 16])
@pytest.mark.parametrize("target", [1, 4, 5, 6, 12, 13, 19, 20])
@pytest.mark.parametrize("beam", [1, 3])
def test_sources_and_targets_at_the_edges_of_signatures(kind, source, target, beam):
    """One token less than a signature takes, as many, and one more: the same words as without signatures."""
    vocabulary = byte_pair_tokenizer().get_vocab_size()
    ids = np.random.default_rng(source).integers(4, vocabulary, (1, source)).astype(np.int32)
    # Without an end token every output is as long as it may be.
    options = {"start_id": 1, "end_id": 2, "beam": beam, "max_length": target, "suppress": ()}
    device = opened(kind).for_length(target)
    (found,), (wanted,) = (
        search(model, ids, np.ones_like(ids, bool), **options)
        for model in (Endless(device), Endless(toy_bundle.NumpyStepModel(kind, vocabulary)))
    )
    assert len(found[0].ids) == target and found[0].ids == wanted[0].ids
    assert abs(found[0].log_prob - wanted[0].log_prob) < 1e-3


@functools.cache
def opened(kind):
    file = toy_bundle.convert_all(byte_pair_tokenizer().get_vocab_size())[kind]
    return LiteRTStepModel(Model(file), toy_bundle.buckets(kind), pad_id=0)


class Endless:
    """A step model that never ends a sentence."""

    def __init__(self, model):
        self.model = model

    def start(self, source_ids, source_mask):
        return self.model.start(source_ids, source_mask)

    def step(self, tokens, state):
        scores, state = self.model.step(tokens, state)
        scores = np.array(scores)
        scores[:, 2] = -1e4
        return scores, state
