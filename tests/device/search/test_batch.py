"""Sentences decoded together, against each of them decoded alone."""

import functools
import gc
import json
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_attn_export import export
from keras_attn_export.proof.decoder_checks import Keras
from keras_attn_export.proof.decoder_run import decoder_layout
from keras_attn_export.recipes import INT8
from sharing import check_shared
from test_long_runs import STATUS, resident
from tiny_models import convert_source, in_process, layout, pairs, sentences, tiny, tokenizer

from keras_attn.device import load
from keras_attn.device.proof.batch_proof import measure_batch
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.batch_kv_cache import BatchStep
from keras_attn.device.search.batch_search import DecodingBatch, search_batch
from keras_attn.device.search.beam_search import Hypothesis, SearchConfig
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.search import search
from keras_attn.device.tasks.translator import Translator
from keras_attn.sources.find_source import find_source

ROWS, BATCHES = (1, 3), ((2, 1), (4, 1), (2, 3), (4, 3))
MODELS = ("transformer", "marian", "rnnsearch", "seq2seq")
FILES = ("fp32", "quantized")


def sizes(name):
    """Lengths and batches that a model has steps for: of MarianMT, which takes longest, one and two."""
    few = name == "marian"
    return layout(tiny(name))[-1 if few else 0 :], BATCHES[::2] if few else BATCHES


@functools.cache
def files(name):
    """The files of a tiny model, with steps for batches of 2 and 4."""
    source, (buckets, batches) = find_source(tiny(name), tokenizer=tokenizer()), sizes(name)
    options = {"rows": ROWS, "batches": batches}
    return convert_source(source, f"{name}-batch", buckets=buckets, options=options, recipe=INT8)


@functools.cache
def opened(name, file):
    """The step model of one of these files."""
    buckets, batches = sizes(name)
    with mock.patch("keras_attn_export.buckets.FEWEST_TARGET_TOKENS", 8):
        made, described = files(name), decoder_layout(buckets, ROWS, batches=batches)
    return LiteRTStepModel(Model(getattr(made, file)), described, pad_id=0)


def rules(beam, **more):
    options = {"start_id": 1, "end_id": 2, "beam": beam, "n_best": beam, "length_penalty": 0.7}
    return SearchConfig(
        **{**options, "alignments": True, "suppress": frozenset({0}), "force_end": False, **more}
    )


def alone(steps, source, limit, chosen):
    options = {name: getattr(chosen, name) for name in SearchConfig.__dataclass_fields__}
    ids = np.array([source], np.int32)
    return search(steps.for_length(limit), ids, np.ones_like(ids, bool), max_length=limit, **options)[0]


@pytest.fixture(scope="module", params=[(name, file) for name in MODELS for file in FILES], ids="-".join)
def models(request):
    """A step model, and whether its numbers are the Keras model's but for rounding of float32."""
    return opened(*request.param), request.param[1] == "fp32"


@settings(deadline=None, max_examples=10)
@given(
    seed=st.integers(0, 10**6),
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=11),
    beam=st.integers(1, 3),
    force_end=st.booleans(),
)
def test_batch_equals_single_texts(models, seed, lengths, beam, force_end):
    (steps, exact), rng = models, np.random.default_rng(seed)
    sources = [rng.integers(4, 320, length).tolist() for length in lengths]
    # Without an end token some are as long as they may be, at which signatures change.
    limits = rng.integers(1, 17, len(lengths)).tolist()
    end = int(rng.choice([2, *range(4, 320)]))
    chosen = rules(beam, force_end=force_end, end_id=end)
    found = search_batch(steps.batch(beam), sources, limits, chosen)
    # Sums are taken in another order, which rounding to 8 bits can make visible.
    close = 1e-4 if exact else 0.02
    for source, limit, together in zip(sources, limits, found, strict=True):
        wanted = alone(steps, source, limit, chosen)
        assert [each.score for each in together] == pytest.approx([each.score for each in wanted], abs=close)
        if exact:
            assert [each.ids for each in together] == [each.ids for each in wanted]
            assert [each.finished for each in together] == [each.finished for each in wanted]
        for one, other in zip(together, wanted, strict=True):
            if other.alignment is None:
                assert one.alignment is None
            elif one.ids == other.ids:
                assert np.allclose(one.alignment, other.alignment, atol=close)


def translator(name="rnnsearch", file="fp32"):
    steps = opened(name, file)
    return Translator(
        steps.for_length,
        tokenizer(),
        max_source_tokens=steps.max_source_tokens,
        max_target_tokens=steps.max_target_tokens,
        batches=steps.batch,
    )


def used(translate):
    """The batch's step signatures that run, one by one."""
    names, step = [], DecodingBatch.step

    def recorded(batch):
        scores = step(batch)
        names.append(batch.signature)
        return scores

    with mock.patch.object(DecodingBatch, "step", recorded):
        translate()
    return names


@pytest.mark.parametrize("beam", [1, 3])
def test_a_list_is_translated_together_in_its_order(beam):
    made, texts = translator(), sentences()[:30]
    wanted = [made.translate(text, beam=beam).to_json() for text in texts]
    done = []
    found = made.translate(texts, beam=beam, progress=done.append)
    assert [each.input for each in found] == texts
    for one, other in zip(found, wanted, strict=True):
        assert one.outputs[0].ids == other["outputs"][0]["ids"]
        assert one.score == pytest.approx(other["outputs"][0]["score"], abs=1e-4)
    assert done == sorted(set(done)) and done[-1] == 30 and len(done) > 5


def test_who_pays_for_a_batch():
    """One text does not; a beam larger than that of any batch takes what there is."""
    made = translator("seq2seq")
    assert used(lambda: made.translate("a red cat")) == used(lambda: made.translate(["a red cat"])) == []
    assert {name[-3:] for name in used(lambda: made.translate(["a red cat"] * 9, beam=2))} <= {"4x3", "2x3"}
    with pytest.raises(ValueError, match="beam is 4, but this bundle was exported for a beam of at most 3"):
        made.translate(["a red cat"] * 9, beam=4)


def test_slot_is_reused_immediately():
    """While a long sentence takes 16 steps, 9 that take 4 share the other three places; then it is alone."""
    steps, chosen = opened("seq2seq", "fp32"), rules(1, end_id=319)
    sources, limits = [[5, 6, 7, 8], *[[5, 6, 7]] * 9], [16, *[4] * 9]
    names = used(lambda: search_batch(steps.batch(1), sources, limits, chosen))
    assert [name[-3:] for name in names] == ["4x1"] * 12 + ["2x1"] * 4


@pytest.mark.parametrize("beam", [1, 3])
def test_remaining_rows_continue_in_smaller_steps(beam):
    """The last and the second of four sentences are the longest: they move to the two places there are."""
    steps, chosen = opened("transformer", "fp32"), rules(beam, end_id=319)
    sources, limits = [[5, 6, 7, 8], [9, 8, 7], [5, 5], [7]], [3, 14, 5, 9]
    found: list[list[Hypothesis]] = []
    names = used(lambda: found.extend(search_batch(steps.batch(beam), sources, limits, chosen)))
    assert [name.split("_")[-1] for name in names] == [f"4x{beam}"] * 5 + [f"2x{beam}"] * 9
    for source, limit, [best, *_] in zip(sources, limits, found, strict=True):
        assert best.ids == alone(steps, source, limit, chosen)[0].ids


def test_beams_that_share_their_past_need_few_slots():
    """Where all follow one, two of three slots are free after each step; otherwise three are used up."""
    batch = opened("transformer", "fp32").batch(3)

    def slots(parents):
        batch.slots, found = 1, []
        batch.begin(0, np.array([5, 6, 7], np.int32), 16)
        for _ in range(12):
            batch.step()
            batch.select(parents)
            found.append(int(batch.signature.split("_")[2]))
        batch.end(0)
        return found

    rows = np.arange(12)
    assert slots(rows // 3 * 3) == [4] * 10 + [8] * 2
    assert slots(rows) == [4] * 4 + [8] * 4 + [16] * 4


def test_interrupted_write_leaves_no_files():
    made, texts = translator("transformer"), sentences()[:12]
    wanted = [each.to_json() for each in made.translate(texts, beam=3)]

    def give_up(done):
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            made.translate(texts[::-1], beam=3, progress=give_up)
        assert [each.to_json() for each in made.translate(texts, beam=3)] == wanted
        made.translate(texts[0])


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell a process' memory")
def test_many_batches_do_not_leak_memory():
    made, texts = translator("seq2seq"), sentences()[:100]

    def translate(count):
        for number in range(count):
            made.translate(texts, beam=1 + 2 * (number % 2), max_length=8)
        gc.collect()
        return resident()

    before = translate(4)
    assert translate(12) - before < 2000  # kB


@pytest.mark.parametrize("name", ["transformer", "rnnsearch"])
def test_the_proof_finds_rows_that_mix(name, monkeypatch):
    """Sentences that read each other's source, and beams that keep their own past: both are found."""
    steps = opened(name, "fp32")
    source = find_source(tiny(name), tokenizer=tokenizer(), examples=pairs())
    proof = Keras(source, layout(tiny(name))).proof(6, 0)
    figures = [measure_batch(steps.batch(beam), proof, source.special_ids) for beam in (1, 3)]
    assert max(each.max_error for each in figures) < 1e-4
    assert figures[0].greedy_agreement == 1.0
    for beam, each in zip((1, 3), figures, strict=True):
        lengths = steps.batch(beam).source_lengths
        assert {int(name.split("_")[1]) for name in each.signatures} == set(lengths)
        assert {name.split("_")[-1] for name in each.signatures} == {f"2x{beam}", f"4x{beam}"}
    with monkeypatch.context() as patch:
        patch.setattr(BatchStep, "reorder", lambda self, rows: None)
        assert measure_batch(steps.batch(3), proof, source.special_ids).max_error > 0.01
    begin = BatchStep.begin
    with monkeypatch.context() as patch:
        patch.setattr(BatchStep, "begin", lambda self, place, encode: begin(self, place // 2 * 2, encode))
        assert measure_batch(steps.batch(1), proof, source.special_ids).max_error > 0.01


def test_an_export_proves_its_batches(tmp_path):
    source = {"tokenizer": tokenizer(), "examples": pairs()}
    with in_process():
        bundle = export(
            tiny("seq2seq"), tmp_path / "many", buckets=[8], beam=2, batch=4, proof_sentences=4, **source
        )
    checks = {check["name"]: check for check in json.loads(bundle.read("report.json"))["rungs"]}
    assert set(checks["int8 scores"]["figures"]["by_rows"]) == {"1", "2", "4x1", "4x2"}
    batches = bundle.manifest["buckets"][0]["batches"]
    assert [(each["sentences"], each["beams"]) for each in batches] == [(2, 1), (4, 1), (2, 2), (4, 2)]
    made, texts = load(bundle.path), sentences()[:9]
    assert {name[:6] for name in used(lambda: made.translate(texts))} == {"batch_"}
    with pytest.raises(ValueError, match="batch must be at least 2"):
        export(tiny("seq2seq"), tmp_path / "one", batch=1, **source)


@pytest.mark.parametrize("name", ["transformer", "rnnsearch"])
def test_threads_may_share_a_batch(name):
    """While progress is reported, other threads may compute, and so may this one."""
    texts = sentences()[:30]

    def message(made, some, beam):
        inner = []
        found = made.translate(some, beam=beam, progress=lambda _: inner.append(made.translate(some[0]).text))
        return [[each.outputs[0].ids for each in found], sorted(set(inner))]

    calls = []
    for first in range(0, 24, 6):
        some = texts[first : first + 6]
        for beam in (1, 3):
            calls += [
                lambda made, some=some, beam=beam: [one.to_json() for one in made.translate(some, beam=beam)],
                lambda made, some=some, beam=beam: message(made, some, beam),
                lambda made, some=some: "".join(made.stream(some[0])),
            ]
    made = translator(name)
    check_shared(calls, lambda: made, threads=4, each=12)
