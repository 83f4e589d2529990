"""The step model over a .tflite file, against the same function in NumPy."""

import subprocess
import sys

import numpy as np
import pytest
import toy_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from test_device_text import byte_pair_tokenizer

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.proof.decoder_proof import measure, shuffled_change
from keras_attn.device.runtime import litert
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.kv_cache import Step
from keras_attn.device.search.search import search

VOCABULARY = byte_pair_tokenizer().get_vocab_size()  # as in the tests of bundles, to convert only once


@pytest.fixture(scope="module")
def files():
    return toy_bundle.convert_all(VOCABULARY)


@pytest.fixture(scope="module", params=[litert.Interpreted, litert.Compiled], ids=lambda kind: kind.__name__)
def models(files, request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(litert, "_WORTH_SHARING", 0 if request.param is litert.Compiled else 1 << 40)
        opened = {kind: Model(path) for kind, path in files.items()}
    assert all(isinstance(model._engine, request.param) for model in opened.values())
    return {
        kind: (
            LiteRTStepModel(model, toy_bundle.buckets(kind), pad_id=0),
            toy_bundle.NumpyStepModel(kind, VOCABULARY),
        )
        for kind, model in opened.items()
    }


kinds = pytest.mark.parametrize("kind", ["recurrent", "cached"])


def sentence(seed, length):
    ids = np.random.default_rng(seed).integers(4, VOCABULARY, (1, length)).astype(np.int32)
    ids[0, -1] = 2
    return ids, np.ones((1, length), bool)


@kinds
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    length=st.integers(1, 16),
    rows=st.integers(1, 3),
    steps=st.integers(1, 12),
    padding=st.integers(0, 3),
)
def test_every_step_equals_numpy(models, kind, seed, length, rows, steps, padding):
    """Random tokens in each row, random beams followed after each step."""
    device, reference = models[kind]
    rng = np.random.default_rng(seed)
    ids, mask = sentence(seed, length)
    ids, mask = np.pad(ids, ((0, 0), (0, padding))), np.pad(mask, ((0, 0), (0, padding)))
    if length + padding > 16:
        ids, mask = ids[:, :16], mask[:, :16]
    device = device.for_length(steps)
    states = [model.start(ids, mask) for model in (device, reference)]
    if rows > 1:
        states = [state.select(np.zeros(rows, int)) for state in states]
    for _ in range(steps):
        tokens = rng.integers(0, VOCABULARY, rows).astype(np.int32)
        (got, states[0]), (wanted, states[1]) = (
            device.step(tokens, states[0]),
            reference.step(tokens, states[1]),
        )
        assert np.allclose(got, wanted, atol=2e-5)
        assert states[0].alignment.shape == states[1].alignment.shape
        assert np.allclose(states[0].alignment, states[1].alignment, atol=2e-6)
        if rows > 1:
            order = rng.integers(0, rows, rows)
            states = [state.select(order) for state in states]


def test_beams_that_share_their_past_grow_late(models):
    """All rows follow one: of 5 tokens' slots for 3 rows each, 15, two are freed at every step."""
    device, reference = models["cached"]
    ids, mask = sentence(3, 9)
    states = [model.start(ids, mask).select(np.zeros(3, int)) for model in (device.for_length(20), reference)]
    used = []
    for step in range(20):
        tokens = np.arange(4, 7, dtype=np.int32) + step
        (got, states[0]), (wanted, states[1]) = (
            model.step(tokens, state) for model, state in zip((device, reference), states, strict=True)
        )
        assert np.allclose(got, wanted, atol=2e-5)
        used.append(states[0].signature)
        states = [state.select(np.full(3, step % 3)) for state in states]
    assert used == ["step_16_5_3"] * 13 + ["step_16_20_3"] * 7


@kinds
@pytest.mark.parametrize("beam", [1, 2, 3])
def test_search_equals_numpy(models, kind, beam):
    device, reference = models[kind]
    options = {"start_id": 1, "end_id": 2, "beam": beam, "n_best": beam, "max_length": 12, "alignments": True}
    for seed in range(12):
        ids, mask = sentence(seed, 3 + seed)
        [got] = search(device.for_length(12), ids, mask, **options)
        [wanted] = search(reference, ids, mask, **options)
        assert [h.ids for h in got] == [h.ids for h in wanted]
        assert [h.score for h in got] == pytest.approx([h.score for h in wanted], abs=1e-4)
        for a, b in zip(got, wanted, strict=True):
            assert np.allclose(a.alignment, b.alignment, atol=1e-5)


@kinds
def test_sentences_leave_no_state(models, kind):
    device = models[kind][0].for_length(12)
    first, other = sentence(1, 8), sentence(2, 6)
    options = {"start_id": 1, "end_id": 2, "beam": 3, "max_length": 12}
    before = search(device, *first, **options)
    search(device, *other, **options)
    assert search(device, *first, **options) == before


@kinds
def test_the_smallest_signatures_are_used(models, kind):
    device = models[kind][0]

    def used(source, target, rows):
        state = device.for_length(target).start(*sentence(0, source))
        return state.select(np.zeros(rows, int)).signature

    if kind == "recurrent":
        assert used(8, 12, 1) == "step_8_12_1"
        assert used(9, 12, 1) == "step_16_20_1"
        assert used(8, 13, 2) == "step_16_20_3"
    else:
        assert used(8, 12, 1) == used(9, 12, 1) == "step_16_5_1"
        assert used(8, 13, 2) == "step_16_5_3"
    assert device.max_source_tokens == 16 and device.max_target_tokens == 20 and device.row_counts == [1, 3]


@kinds
def test_limits_are_named(models, kind):
    device = models[kind][0]
    with pytest.raises(InputError, match="has 17 tokens, and this bundle takes at most 16"):
        device.for_length(4).start(*sentence(0, 17))
    with pytest.raises(ValueError, match="max_length is 21, and this bundle produces at most 20"):
        device.for_length(21).start(*sentence(0, 4))
    with pytest.raises(ValueError, match="beam is 4, but this bundle was exported for a beam of at most 3"):
        device.for_length(4).start(*sentence(0, 4)).select(np.zeros(4, int))
    with pytest.raises(InputError, match="one sentence at a time, not 2"):
        device.start(np.zeros((2, 4), np.int32), np.ones((2, 4), bool))
    with pytest.raises(InputError, match="source_mask"):
        device.start(np.zeros((1, 4), np.int32), np.array([[True, False, True, False]]))
    state = device.for_length(12).start(*sentence(0, 4))
    limit = 12 if kind == "recurrent" else 20
    for _ in range(limit):
        device.step(np.array([5]), state)
    with pytest.raises(InputError, match=f"at most {limit} target tokens"):
        device.step(np.array([5]), state)


@kinds
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), turns=st.lists(st.integers(0, 3), min_size=2, max_size=60))
def test_sentences_may_start_before_others_end(models, kind, seed, turns):
    """Whose turn it is begins, or goes on where it was, in whatever step it has come to."""
    (device, reference), rng = models[kind], np.random.default_rng(seed)
    device, begun, steps = device.for_length(12), {}, dict.fromkeys(range(4), 0)
    for turn in turns:
        rows = 1 + turn % 3
        if turn not in begun or steps[turn] == 12:
            begun[turn], steps[turn] = (
                [m.start(*sentence(seed + turn, 3 + 4 * turn)) for m in (device, reference)],
                0,
            )
            continue
        states = begun[turn]
        if rows > 1:
            order = rng.integers(0, rows, rows) if steps[turn] else np.zeros(rows, int)
            states = [state.select(order) for state in states]
        tokens = rng.integers(0, VOCABULARY, rows).astype(np.int32)
        (got, one), (wanted, other) = (
            model.step(tokens, state) for model, state in zip((device, reference), states, strict=True)
        )
        assert np.allclose(got, wanted, atol=2e-5)
        assert np.allclose(one.alignment, other.alignment, atol=2e-6)
        begun[turn], steps[turn] = [one, other], steps[turn] + 1


@kinds
@pytest.mark.parametrize("rows", [1, 3])
def test_the_proof_measures_this_model(models, kind, rows):
    device = models[kind][0]
    proof = toy_bundle.make_proof(kind, VOCABULARY)
    figures = measure(device.for_length, proof, toy_bundle.SPECIAL_IDS, rows=rows)
    assert figures.max_error < 2e-5
    assert figures.token_agreement == figures.greedy_agreement == 1.0
    lengths = ("16_20", "8_12") if kind == "recurrent" else ("16_20", "16_5")
    assert figures.signatures == [f"step_{each}_{rows}" for each in lengths]
    change = shuffled_change(device.for_length, proof, toy_bundle.SPECIAL_IDS)
    assert min(change["mean_change"]) > 0.01


def test_the_proof_finds_rows_that_mix(models, monkeypatch):
    """Beams that keep their own past instead of their parent's: one row cannot tell, several can."""
    device = models["cached"][0]
    proof = toy_bundle.make_proof("cached", VOCABULARY)
    monkeypatch.setattr(Step, "reorder", lambda self, rows: None)
    assert measure(device.for_length, proof, toy_bundle.SPECIAL_IDS, rows=1).max_error < 2e-5
    assert measure(device.for_length, proof, toy_bundle.SPECIAL_IDS, rows=3).max_error > 0.01


class Fake:
    """A signature of the given shapes."""

    def __init__(self, inputs, outputs):
        self.name = "step"
        self.inputs = {k: np.zeros(shape, np.float32) for k, shape in inputs.items()}
        self.outputs = {k: np.zeros(shape, np.float32) for k, shape in outputs.items()}
        self.run = lambda: None


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ({"tokens": (2,)}, {}, "lacks 'scores'"),
        ({}, {"scores": (2, 9)}, "lacks 'tokens'"),
        ({"tokens": (3,)}, {"scores": (2, 9)}, r"'tokens' is \(3,\), but \(2,\)"),
        ({"tokens": (2,), "odd": (1,)}, {"scores": (2, 9)}, "'odd' has no role"),
        ({"tokens": (2,)}, {"scores": (2, 9), "odd": (1,)}, r"outputs \['odd'\] have no role"),
        ({"tokens": (2,), "keys": (2, 4)}, {"scores": (2, 9)}, r"'keys' is \(2, 4\), but the encode output"),
        (
            {"tokens": (2,), "keys": (2, 2), "source_bias": (1, 4)},
            {"scores": (2, 9)},
            r"'keys' is \(2, 2\), but the encode output is \(1, 3\)",
        ),
        ({"tokens": (2,), "key_cache_00": (1, 2, 8)}, {"scores": (2, 9)}, "needs an output 'row_00'"),
        ({"tokens": (2,), "a_cache_00": (1, 2, 8)}, {"scores": (2, 9)}, "needs an output 'row_00'"),
        (
            {"tokens": (2,), "key_cache_00": (1, 2, 7)},
            {"scores": (2, 9), "row_00": (2, 4)},
            r"'key_cache_00' is \(1, 2, 7\), but \(None, None, 8\)",
        ),
        ({"tokens": (2,)}, {"scores": (2, 9), "row_00": (2, 4)}, r"outputs \['row_00'\] have no role"),
        ({"tokens": (2,)}, {"scores": (2, 9), "normalizer": (2, 2)}, r"'normalizer' is \(2, 2\)"),
        ({"tokens": (2,)}, {"scores": (2, 9), "top_tokens": (2, 3)}, "lacks 'top_scores'"),
        ({"tokens": (2,), "self_bias": (2, 4)}, {"scores": (2, 9)}, r"'self_bias' is \(2, 4\)"),
    ],
)
def test_tensors_without_a_role_are_named(inputs, outputs, message):
    with pytest.raises(BundleError, match=message):
        Step(Fake(inputs, outputs), Fake({}, {"keys": (1, 3)}), 2, 4)  # type: ignore[arg-type]


def test_files_that_are_no_models_are_named(tmp_path, files):
    with pytest.raises(BundleError, match="There is no model file"):
        Model(tmp_path / "missing.tflite")
    (tmp_path / "text.tflite").write_text("no model at all")
    with pytest.raises(BundleError, match=r"text\.tflite is not a model"):
        Model(tmp_path / "text.tflite")
    with pytest.raises(BundleError, match="no signature 'step_9_1'; it has encode_16"):
        Model(files["cached"]).signature("step_9_1")
    with pytest.raises(ValueError, match="threads"):
        Model(files["cached"], threads=0)
    assert Model(files["cached"].read_bytes()).signatures == Model(files["cached"]).signatures


def test_large_models_share_their_weights_and_say_nothing(files):
    """Beyond a size all signatures share one copy; what LiteRT tells of itself is kept from users."""
    program = """
import sys
from keras_attn.device.runtime import litert
from keras_attn.device.runtime.interpreter import Model
litert._WORTH_SHARING = 0
model = Model(sys.argv[1])
assert isinstance(model._engine, litert.Compiled)
signature = model.signature("encode_16")
signature.inputs["token_ids"][...] = 5
signature.run()
view = signature.outputs["source_bias"]
del model, signature
view[...] = 1.0
print(view.sum() > 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(files["cached"])], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_models_of_many_signatures_share_their_weights(files, monkeypatch):
    """Not so large a file, but as many copies of its weights as there are signatures."""
    size, count = files["cached"].stat().st_size, len(Model(files["cached"]).signatures)
    kinds = []
    for limit in (size * count, size * count + 1):
        monkeypatch.setattr(litert, "_TOO_MANY_COPIES", limit)
        kinds.append(type(Model(files["cached"])._engine))
    assert kinds == [litert.Compiled, litert.Interpreted]


def test_packed_weights_are_kept_in_a_folder(files, tmp_path, monkeypatch):
    """The second time nothing is packed; another file, or half a file, has no part in it."""
    monkeypatch.setattr(litert, "_WORTH_SHARING", 0)
    cache = tmp_path / "weights"

    def scores():
        model = Model(files["cached"], weight_cache=cache)
        step = model.signature("step_16_5_1")
        step.inputs["tokens"][...] = 7
        step.run()
        return step.outputs["scores"].copy()

    first = scores()
    (kept,) = cache.iterdir()
    written = kept.stat().st_mtime_ns
    assert kept.suffix == ".xnnpack" and kept.stat().st_size > 0
    assert np.array_equal(scores(), first) and kept.stat().st_mtime_ns == written
    Model(files["recurrent"], weight_cache=cache)
    assert len(list(cache.iterdir())) == 2  # and nothing that was written aside
    (tmp_path / "a file").write_text("")
    with pytest.raises(InputError, match=r"weight cache .*a file"):
        Model(files["cached"], weight_cache=tmp_path / "a file")
