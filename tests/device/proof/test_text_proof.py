"""The tokenizer is proven: what is damaged in it, or is not the proof's, is refused."""

import dataclasses
import functools
import hashlib
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tiny_encoders
import toy_bundle
from damaged_tokenizers import damaged
from test_device_cli import rewritten
from test_device_text import byte_pair_tokenizer
from tiny_models import in_process, pairs, sentences, tiny, tokenizer

from keras_attn import pretrained
from keras_attn.device.errors import BundleError
from keras_attn.device.files.bundle import TARGET_TOKENIZER, TOKENIZER, Bundle
from keras_attn.device.files.bundle_tokenizer import read_tokenizer
from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.text_proof import TextProof, measure_texts, prove_texts
from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS
from keras_attn.device.proof.verify import verify
from keras_attn.device.text.pair_tokenizer import PairTokenizer
from keras_attn.device.text.tokenizer import EncoderTokenizer, PromptTokenizer, Tokenizer

PIECES = Path(__file__).parents[2] / "golden" / "marian-pieces"
EACH = 120
PROVEN, OTHERS = sentences()[::2], sentences()[1::2]


def gpt2():
    encoder = tiny_encoders.tokenizer_of("causal")
    return PromptTokenizer(type(encoder.tokenizer).from_str(encoder.tokenizer.to_str()), encoder.special_ids)


def marian():
    source = pretrained.load_tokenizer(PIECES)
    pad = source.token_to_id("<pad>")
    special = {"pad": pad, "start": pad, "end": 0, "unknown": 1}
    return PairTokenizer(source, special, pretrained.load_tokenizer(PIECES, target=True), pad + 1)


KINDS = {
    "byte pairs": tokenizer,
    "word pieces": lambda: tiny_encoders.tokenizer_of("pooled"),
    "bytes": gpt2,
    "pieces, of sources": marian,
    "pieces, of targets": marian,
}


def again(whole, content, kind):
    """The tokenizer with other JSON, as a bundle has it."""
    if kind == "pieces, of targets":
        target = Tokenizer.from_json(json.dumps(content), whole.special_ids).tokenizer
        return PairTokenizer(whole.tokenizer, whole.special_ids, target, whole.vocabulary_size)
    if isinstance(whole, PairTokenizer):
        own = Tokenizer.from_json(json.dumps(content), whole.special_ids).tokenizer
        return PairTokenizer(own, whole.special_ids, whole.target.tokenizer, whole.vocabulary_size)
    return type(whole).from_json(json.dumps(content), whole.special_ids)


def proof_of(whole, texts):
    pairs = list(itertools.pairwise(texts)) if isinstance(whole, EncoderTokenizer) else []
    return prove_texts(whole, {}, texts, texts, pairs[:8])


@functools.cache
def tried(kind):
    """How many damages of each sort are refused by the texts, and which change ordinary text all the same."""
    whole = KINDS[kind]()
    proof = proof_of(whole, [*HARD_TEXTS[:-1], *PROVEN])
    ordinary = proof_of(whole, OTHERS)
    assert measure_texts(whole, proof).different is None
    content = json.loads((whole.target if kind == "pieces, of targets" else whole).tokenizer.to_str())
    refused, neutral, missed = Counter(), Counter(), []
    for what, broken in damaged(content, EACH):
        try:
            other = again(whole, broken, kind)
            differs = measure_texts(other, proof).different is not None
        except BundleError:
            differs = True
        except BaseException as error:  # a panic of the library
            if type(error).__name__ != "PanicException":
                raise
            differs = True
        if differs:
            refused[what] += 1
        elif measure_texts(other, ordinary).different is None:
            neutral[what] += 1
        else:
            missed.append(what)
    return refused, neutral, missed


@pytest.mark.parametrize("kind", KINDS)
def test_damages_that_change_ordinary_text_are_found_by_the_texts(kind):
    refused, neutral, missed = tried(kind)
    assert refused.total() + neutral.total() + len(missed) == EACH
    assert len(refused) >= 4
    assert not missed, f"{missed} change ordinary text, {dict(neutral)} change nothing"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return toy_bundle.make_bundle(
        tmp_path_factory.mktemp("bundle") / "toy", "recurrent", byte_pair_tokenizer()
    )


def rung_of(path):
    return verify(path).checks[-1]


def test_every_damaged_file_is_refused_with_its_hash_repaired(bundle, tmp_path):
    content = json.loads(Bundle.open(bundle).read(TOKENIZER))
    for number, (what, broken) in enumerate(damaged(content, 24, seed=7)):
        files = {TOKENIZER: json.dumps(broken).encode()}
        try:
            report = verify(rewritten(bundle, tmp_path / str(number), **files))
        except BaseException as error:  # a panic of the library, which `verify` does not know yet
            assert type(error).__name__ == "PanicException"
            continue
        assert not report.ok, what
        assert [check.name for check in report.checks if not check.ok] == ["texts"], str(report)


def test_harmless_damage_is_distinguished_from_harmful(bundle, tmp_path):
    content = Bundle.open(bundle).read(TOKENIZER)
    spaced = rewritten(bundle, tmp_path / "spaced", **{TOKENIZER: content + b"\n"})
    assert "6 of 6 texts" in rung_of(spaced).detail
    assert "changed since the export: tokenizer.json; export the bundle again" in rung_of(spaced).detail
    lowered = json.loads(content) | {
        "normalizer": {"type": "Replace", "pattern": {"String": "e"}, "content": "a"}
    }
    path = rewritten(bundle, tmp_path / "lowered", **{TOKENIZER: json.dumps(lowered).encode()})
    assert "'the little house' is the first that differs" in rung_of(path).detail


def test_other_special_ids_are_refused(bundle, tmp_path):
    def change(manifest):
        manifest["special_ids"]["unknown"] = 9

    check = rung_of(rewritten(bundle, tmp_path / "other", change))
    assert not check.ok and "changed since the export: special_ids" in check.detail


def test_a_tokenizer_of_targets_that_was_added_is_refused(bundle, tmp_path):
    def change(manifest):
        manifest["model"]["config"]["vocabulary_size"] = 400

    content = Bundle.open(bundle).read(TOKENIZER)
    check = rung_of(rewritten(bundle, tmp_path / "added", change, **{TARGET_TOKENIZER: content}))
    assert not check.ok and "changed since the export: target_tokenizer.json" in check.detail


def test_proof_without_texts_fails(bundle, tmp_path):
    proof = Proof.load(Bundle.open(bundle).read("proof.npz"))
    bare = dataclasses.replace(proof, texts=np.zeros(0, np.uint8))
    check = rung_of(rewritten(bundle, tmp_path / "bare", **{"proof.npz": bare.to_bytes()}))
    assert not check.ok and "the tokenizer cannot be checked; export the bundle again" in check.detail


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"files": {}}', b"\xff\xfe", b"[" * 100_000,
     b'{"files": {"a": 1}, "special_ids": {}, "encoded": [["a", null, [-1]]], "decoded": [[[1], "a"]]}',
     b'{"files": {"a": 1}, "special_ids": {}, "encoded": [["a", null, [1e999]]], "decoded": [[[1], "a"]]}',
     b'{"files": {"a": 1}, "special_ids": {}, "encoded": [[1, null, [1]]], "decoded": [[[1], "a"]]}',
     b'{"files": {"a": 1}, "special_ids": {}, "encoded": [], "decoded": []}'],
)  # fmt: skip
def test_damaged_texts_are_refused_in_one_line(bundle, tmp_path, content):
    with pytest.raises(BundleError, match="the proof's texts are"):
        TextProof.from_array(np.frombuffer(content, np.uint8))
    proof = Proof.load(Bundle.open(bundle).read("proof.npz"))
    broken = dataclasses.replace(proof, texts=np.frombuffer(content, np.uint8))
    check = rung_of(rewritten(bundle, tmp_path / "broken", **{"proof.npz": broken.to_bytes()}))
    assert not check.ok and check.detail.startswith("the proof's texts are")


def test_an_export_proves_texts_pairs_and_both_sides(tmp_path):
    from keras_attn_export import export

    with in_process():
        made = export(
            tiny_encoders.tiny_encoder("pooled"), tmp_path / "pairs", "fp32", pairs=True,
            tokenizer=tiny_encoders.tokenizer_of("pooled"), buckets=[8], proof_sentences=2,
            examples=[(text, tiny_encoders.LABELS[0]) for text in sentences()[:6]],
        )  # fmt: skip
        translator = export(
            tiny("transformer"), tmp_path / "translator", "fp32", tokenizer=tokenizer(), beam=1,
            examples=[(one, f"{other} x") for one, other in pairs()], buckets=[(4, 8)], proof_sentences=2,
        )  # fmt: skip
    texts = TextProof.from_array(Proof.load(translator.read("proof.npz")).texts)
    assert texts.files == {TOKENIZER: hashlib.sha256(translator.read(TOKENIZER)).hexdigest()}
    assert {"", *(text for text, _ in pairs())} <= {text for text, _, _ in texts.encoded}
    assert {f"{text} x" for _, text in pairs()} <= {text for _, text in texts.decoded}
    written = TextProof.from_array(np.load(made.path / "proof.npz")["texts"])
    segments = [ids for _, pair, ids in written.encoded if pair is not None]
    assert len(segments) > 20 and all(ids.count(made.manifest["special_ids"]["end"]) >= 2 for ids in segments)
    assert any("[MASK]" in text for text, _, _ in written.encoded)
    assert measure_texts(read_tokenizer(made), written).different is None
