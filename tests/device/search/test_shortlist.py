"""A shortlist's lexicon, its candidates, and the steps that score them alone."""

import dataclasses
import json

import numpy as np
import pytest
from keras_attn_export import export
from keras_attn_export.shortlist_lexicon import learn_lexicon, make_shortlist
from sharing import check_shared, side_by_side
from test_device_cli import rewritten
from tiny_models import in_process, pairs, scratch, sentences, tiny, tokenizer

from keras_attn import device
from keras_attn.device.errors import BundleError
from keras_attn.device.files.bundle import SHORTLIST
from keras_attn.device.proof.verify import verify
from keras_attn.device.search.shortlist import CandidateScores, Shortlist
from keras_attn.device.search.token_scores import Scores
from keras_attn.sources.find_source import find_source

A, B, C, X, Y, Z = range(4, 10)
TEXT = [((A, B), (X, Y)), ((A, C), (X, Z)), ((B,), (Y,)), ((C, B), (Z, Y)), ((), (X,))]


def test_lexicon_finds_translations_with_probabilities():
    lexicon = learn_lexicon(TEXT, 12)
    t = {(s, t): p for s, t, p in zip(lexicon.sources, lexicon.targets, lexicon.probabilities, strict=True)}
    assert t[A, X] > 0.8 and t[B, Y] > 0.8 and t[C, Z] > 0.7
    assert (B, Z) in t and t[B, Z] < 0.2  # seen together, but better explained by C
    for word in (A, B, C):
        assert sum(p for (s, _), p in t.items() if s == word) == pytest.approx(1)
    assert lexicon.counts[[X, Y, Z]].tolist() == [2, 3, 2]
    with pytest.raises(ValueError, match="no pair of texts"):
        learn_lexicon([((), (X,))], 12)


def reference_model_1(pairs, iterations):
    """IBM Model 1 as its definition says, word by word."""
    t = {}
    for _ in range(iterations):
        count, total = {}, {}
        for source, target in pairs:
            for f in target:
                norm = sum(t.get((e, f), 1.0) for e in (None, *source))
                for e in (None, *source):
                    share = t.get((e, f), 1.0) / norm
                    count[e, f] = count.get((e, f), 0.0) + share
                    total[e] = total.get(e, 0.0) + share
        t = {(e, f): c / total[e] for (e, f), c in count.items()}
    return t


def test_it_is_model_1():
    rng = np.random.default_rng(0)
    text = [
        (rng.integers(0, 8, rng.integers(1, 6)).tolist(), rng.integers(0, 8, rng.integers(1, 6)).tolist())
        for _ in range(30)
    ]
    lexicon, wanted = learn_lexicon(text, 8), reference_model_1(text, 5)
    found = zip(lexicon.sources, lexicon.targets, lexicon.probabilities, strict=True)
    found = {(int(s), int(t)): p for s, t, p in found}
    assert found.keys() == {key for key in wanted if key[0] is not None}
    assert max(abs(found[key] - wanted[key]) for key in found) < 1e-9


def test_candidates_are_the_frequent_ones_and_the_best_of_each_source_token():
    shortlist = learn_lexicon(TEXT, 12).shortlist([0, 2], frequent=1, best=1)
    assert shortlist.frequent.tolist() == [0, 2, Y]
    assert shortlist.candidates(np.array([A, C]), 12).tolist() == [0, 2, X, Y, Z]
    assert shortlist.candidates(np.array([11]), 12).tolist() == [0, 2, Y]
    wide = Shortlist(
        np.array([2], np.int32), np.array([0, 3, 6, *[6] * 8], np.int32), np.int32([3, 4, 5, 6, 7, 8])
    )
    # With three at most, the best of both source tokens stay.
    assert wide.candidates(np.array([0, 1]), 3).tolist() == [2, 3, 6]
    assert Shortlist.from_bytes(wide.to_bytes(), "file").targets.tolist() == wide.targets.tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frequent": np.int32([5, 4])}, "frequent must ascend"),
        ({"targets": np.int32([99])}, "not in its vocabulary"),
        ({"offsets": np.int32([0, 2])}, "offsets must ascend from 0"),
        ({"targets": np.float32([1])}, "one row of int32, not float32"),
    ],
)
def test_a_damaged_shortlist_is_named(change, words):
    arrays = {"frequent": np.int32([0]), "offsets": np.int32([0, 1]), "targets": np.int32([0])}
    with pytest.raises(BundleError, match=words):
        Shortlist(**{**arrays, **change})
    with pytest.raises(BundleError, match=r"x\.npz cannot be read"):
        Shortlist.from_bytes(b"no archive", "x.npz")


def test_scores_of_candidates_look_like_those_of_the_vocabulary():
    tokens = np.int32([0, 3, 4, 9])
    logits = np.float32([[1, 5, 2, 3, 9], [4, 0, 6, 2, 9]])  # the last column is padding
    scores = CandidateScores(Scores(logits, np.float32([[2], [3]])), tokens, 10)
    every = np.asarray(scores)
    assert every.shape == (2, 10) and np.isneginf(every[:, [1, 2, 5, 6, 7, 8]]).all()
    assert every[0, 3] == scores.log_prob(0, 3) == 3
    assert scores.log_prob(0, 5) == -np.inf
    assert scores.best(()) == [3, 4] and scores.best((3, 4)) == [9, 0]
    rows, found, log_probs = scores.first(1).candidates(np.array([True]), 2)
    best = dict(zip(found.tolist(), log_probs.tolist(), strict=True))
    assert rows.tolist() == [0] * len(best) and best[3] == 3 and best[9] == 1


@pytest.fixture(scope="module")
def bundle():
    """A bundle with a shortlist that leaves much out."""
    path = scratch() / "shortlist-bundle"
    with in_process():
        export(
            tiny("transformer"),
            path,
            "fp32",
            tokenizer=tokenizer(),
            examples=pairs(),
            buckets=[8],
            beam=2,
            shortlist=[(text, text[::-1]) for text in sentences()],
            proof_sentences=6,
        )
    return path


def test_the_proof_holds_and_shows_how_much_is_left_out(bundle):
    checks = {check["name"]: check for check in json.loads((bundle / "report.json").read_text())["rungs"]}
    figures = checks["fp32 shortlist"]["figures"]
    assert figures["max_error"] < 1e-4 and 0 < figures["coverage"] < 1
    assert figures["candidates"] < 0.8 * tokenizer().tokenizer.get_vocab_size()
    assert 0 < checks["shortlist metric 2"]["figures"]["coverage"] < 1
    report = verify(bundle)
    assert report.ok and "shortlist" in {check.name for check in report.checks}


@pytest.mark.parametrize("change", ["frequent", "targets"])
def test_another_shortlist_is_refused(bundle, tmp_path, change):
    """One that fits the file, and lacks tokens which the proof's sentences do not need."""
    whole = device.load(bundle).step_models(1).shortlist
    if change == "frequent":
        other = dataclasses.replace(whole, frequent=whole.frequent[::2])
    else:
        other = dataclasses.replace(whole, targets=whole.targets[::-1])
    [failed] = [
        check
        for check in verify(rewritten(bundle, tmp_path / "other", **{SHORTLIST: other.to_bytes()})).checks
        if not check.ok and check.name == "texts"
    ]
    assert "changed since the export: shortlist.npz" in failed.detail


@pytest.mark.parametrize("beam", [1, 2])
def test_shortlist_equals_a_keras_model_of_the_candidates(bundle, beam):
    from keras_attn.generation import keras_step_model_class, keras_translator

    short = device.load(bundle)
    shortlist, size = short.step_models(1).shortlist, short.step_models(1).size

    class Restricted(keras_step_model_class("translation")):
        def start(self, source_ids, source_mask):
            self.tokens = shortlist.candidates(source_ids[source_mask], size)
            return super().start(source_ids, source_mask)

        def step(self, tokens, state):
            scores, state = super().step(tokens, state)
            known = np.full(scores.shape, -np.inf, np.float32)
            kept = np.asarray(scores, np.float64)[:, self.tokens]
            known[:, self.tokens] = kept - np.log(np.exp(kept).sum(-1, keepdims=True))
            return known, state

    keras = keras_translator(tiny("transformer"), tokenizer(), max_source_tokens=8, max_target_tokens=16)
    keras.step_models = lambda limit: Restricted(tiny("transformer"), limit)
    texts = sentences()[::12]
    found, wanted = short.translate(texts, beam=beam), keras.translate(texts, beam=beam)
    assert [each.outputs[0].ids for each in found] == [each.outputs[0].ids for each in wanted]
    assert [each.score for each in found] == pytest.approx([each.score for each in wanted], abs=1e-4)
    whole = device.load(bundle, whole_vocabulary=True).translate(texts, beam=beam)
    assert [each.text for each in whole] != [each.text for each in found]


def test_only_translators_have_an_alignment():
    from tiny_language import prompt_tokenizer, tiny_language_model

    source = find_source(tiny_language_model("gpt2"), tokenizer=prompt_tokenizer())
    with pytest.raises(ValueError, match="only translators have one"):
        make_shortlist(source, [("a", "b")])


def test_threads_may_share_one(bundle):
    """A sentence that is saved and comes back still has its own candidates."""
    calls = []
    for text, other in zip(sentences()[:8], sentences()[8:16], strict=True):
        calls += [
            lambda made, text=text: made.translate(text, beam=2).to_json(),
            lambda made, text=text, other=other: side_by_side(made.stream(text), made.stream(other)),
        ]
    check_shared(calls, lambda: device.load(bundle), each=20)
