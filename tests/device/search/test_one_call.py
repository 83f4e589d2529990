"""Greedy search in one call finds what the Keras model's own greedy search finds."""

import json

import numpy as np
import pytest
from keras_attn_export import ExportError, export
from keras_attn_export.buckets import Bucket
from keras_attn_export.one_call_plan import plan_one_call
from keras_attn_export.proof.decoder_run import decoder_layout
from keras_attn_export.recipes import FP32
from keras_attn_export.tflite.inspection import check_model, inspect_model
from tiny_language import prompt_tokenizer, tiny_language_model
from tiny_models import convert_source, in_process, pairs, scratch, sentences, tiny, tokenizer

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.files.bundle import Bundle
from keras_attn.device.proof.verify import verify
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.one_call import OneCall
from keras_attn.device.search.search import search
from keras_attn.device.text.tokenizer import never_produced
from keras_attn.sources.find_source import find_source

NAMES = ("transformer", "marian", "rnnsearch", "gpt2")
BUCKETS = [Bucket(6, 10)]


def source_of(name):
    if name in ("gpt2", "window"):
        return find_source(tiny_language_model(name), tokenizer=prompt_tokenizer())
    return find_source(tiny(name), tokenizer=tokenizer())


@pytest.fixture(scope="module", params=NAMES)
def subject(request):
    """A model's source, and its greedy search in one call; `marian` has to end."""
    source = source_of(request.param)
    if request.param == "marian":
        object.__setattr__(source, "force_end", True)
    whole = plan_one_call(source, BUCKETS)
    asked = {"buckets": BUCKETS, "options": {"rows": [1]}, "recipe": FP32, "one_call": whole}
    done = convert_source(source, f"one-call-{request.param}", **asked)
    assert check_model(inspect_model(done.fp32), FP32.dtypes) == []
    layout = [{**each, "one_call": whole.signature(each["source"])} for each in decoder_layout(BUCKETS, [1])]
    return source, OneCall(Model(done.fp32), layout, source.special_ids)


def keras_search(steps, source, ids, limit):
    special = source.special_ids
    padded = np.full((1, BUCKETS[0].source), special["pad"], np.int32)
    padded[0, : len(ids)] = ids
    [[found]] = search(
        steps,
        padded,
        np.arange(padded.shape[1])[None] < len(ids),
        start_id=special["start"],
        end_id=special["end"],
        max_length=limit,
        suppress=never_produced(special),
        force_end=getattr(source, "force_end", False),
    )
    return found


def test_it_finds_what_the_keras_model_finds(subject):
    from keras_attn.generation import keras_step_model_class

    source, one_call = subject
    longest = one_call.max_target_tokens(1)
    steps = keras_step_model_class(source.task)(source.model, longest)
    rng = np.random.default_rng(3)
    outputs = set()
    for trial in range(12):
        length = 1 + trial % 6
        ids = rng.integers(4, source.vocabulary_size, length)
        default = 50 if source.task == "generation" else 2 * length + 10
        # By default as far as the default goes, or a limit, down to a single token.
        limit = None if trial < 6 else 1 + trial - 6
        found = one_call(ids, limit)
        wanted = keras_search(steps, source, ids, min(limit or default, longest))
        assert found.ids == wanted.ids
        assert found.finished == wanted.finished
        assert found.log_prob == pytest.approx(wanted.log_prob, abs=1e-3)
        assert found.score == pytest.approx(wanted.score, abs=1e-3) or not wanted.ids
        outputs.add(tuple(found.ids))
    assert len(outputs) > 4  # or else equality would say little


def test_too_large_values_are_refused(subject):
    _, one_call = subject
    with pytest.raises(InputError, match="7 source tokens"):
        one_call(range(4, 11))
    with pytest.raises(InputError, match="up to 99 target"):
        one_call([4, 5], 99)


@pytest.fixture(scope="module")
def bundle():
    """An int8 bundle, proven; with a shortlist, too, which a recurrent model may have."""
    path = scratch() / "one-call-bundle"
    with in_process():
        export(
            tiny("rnnsearch"),
            path,
            tokenizer=tokenizer(),
            examples=pairs(),
            buckets=[4, 8],
            beam=1,
            one_call=True,
            shortlist=[(text, text) for text in sentences()],
            proof_sentences=6,
        )
    return path


def test_an_export_proves_it_and_verify_repeats_the_proof(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert [each["one_call"] for each in manifest["buckets"]] == ["translate_4", "translate_8"]
    checks = json.loads((bundle / "report.json").read_text())["rungs"]
    assert {"fp32 one call", "int8 one call", "int8 shortlist"} <= {check["name"] for check in checks}
    report = verify(bundle)
    found = {check.name: check.figures for check in report.checks}
    assert report.ok and "shortlist" in found
    assert found["one call"]["equal"] == found["one call"]["sentences"] > 6


def test_a_loop_that_computes_something_else_fails_the_export(monkeypatch, tmp_path):
    from keras_attn_export.lowering import one_call as lowering_one_call

    right = lowering_one_call._Loop._allowed

    def second_token_never_comes(self, logits):
        return right(self, logits) + np.float32([0, 0, 0, 0, *[-1e4, 0] * 600])[: logits.shape[-1]]

    monkeypatch.setattr(lowering_one_call._Loop, "_allowed", second_token_never_comes)
    with in_process(), pytest.raises(ExportError, match="fp32 one call"):
        export(
            tiny("rnnsearch"),
            tmp_path / "bundle",
            "fp32",
            tokenizer=tokenizer(),
            examples=pairs(),
            buckets=[4],
            beam=1,
            one_call=True,
        )


def test_bundle_without_it_is_refused(bundle):
    opened = Bundle.open(bundle)
    assert OneCall.from_bundle(opened)([5, 6, 3]).ids
    for bucket in opened.manifest["buckets"]:
        del bucket["one_call"]
    with pytest.raises(BundleError, match="--one-call"):
        OneCall.from_bundle(opened)


def test_encoder_refuses_it():
    from tiny_encoders import tiny_encoder, tokenizer_of

    with pytest.raises(ValueError, match="one_call: an encoder always answers in one call"):
        export(tiny_encoder("mean"), "unused", tokenizer=tokenizer_of("mean"), one_call=True)
