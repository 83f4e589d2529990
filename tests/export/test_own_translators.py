"""Translators of the user's own class are exported without a lowering: `start` and `step` are traced."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import keras
import numpy as np
import pytest
import tiny_own
from keras import ops
from tiny_models import stir
from tiny_own import TEXTS, TOKENS, letters

import keras_attn
from keras_attn.device.proof.verify import verify
from keras_attn.generation import keras_translator
from keras_attn.models import EncoderDecoder, RNNSearch, Transformer


@keras.saving.register_keras_serializable("tests")
class Recurrent(RNNSearch):
    """A subclass that computes something else than its base: its scores are sharper."""

    def step(self, tokens, memory, state):
        scores, alignment, state = super().step(tokens, memory, state)
        return ops.log_softmax(3.0 * scores), alignment, state


@keras.saving.register_keras_serializable("tests")
class Cached(Transformer):
    """A subclass with the key-value caches of its base."""


@keras.saving.register_keras_serializable("tests")
class Lockstep(Transformer):
    """A subclass that believes all rows to be at the position of the first."""

    def read_token(self, tokens, memory, state):
        first = ops.ones_like(state["position"]) * state["position"][0]
        hidden, alignment, new = super().read_token(tokens, memory, {**state, "position": first})
        return hidden, alignment, {**new, "position": state["position"] + 1}


def recurrent():
    return Recurrent(
        vocabulary_size=len(TOKENS), embedding_dim=16, hidden_dim=24, attention_dim=12, maxout_dim=12
    )


def cached(kind=Cached):
    return kind(
        vocabulary_size=len(TOKENS),
        num_encoder_layers=1,
        num_decoder_layers=1,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=24,
        max_sequence_length=32,
    )


BUILDERS = {
    "recurrent": recurrent,
    "cached": cached,
    **tiny_own.BUILDERS,
}


@pytest.fixture(scope="module", params=list(BUILDERS))
def exported(request, tmp_path_factory):
    """A model, its bundle in fp32, and its translator on Keras."""
    keras.utils.set_random_seed(2)
    model = BUILDERS[request.param]()
    # A state with caches takes steps for 16 tokens, and then those for 64.
    length = (16, 64) if request.param == "modern" else (16, 16)
    bundle = keras_attn.export(
        model, tmp_path_factory.mktemp("own") / "bundle", "fp32", tokenizer=letters(), lengths=[length],
        beam=4, batch=4, examples=[(text, "") for text in TEXTS],
    )  # fmt: skip
    translator = keras_attn.device.load(bundle.path, task="translation")
    return bundle, translator, keras_translator(model, translator.tokenizer, max_source_tokens=16)


@pytest.mark.parametrize("beam", [1, 4])
def test_an_own_class_translates_as_keras_does(exported, beam):
    _, device, trained = exported
    longest = min(60, device.max_target_tokens)
    wanted = [trained.translate(text, beam=beam, max_length=longest).outputs[0].ids for text in TEXTS]
    found = [device.translate(text, beam=beam, max_length=longest).outputs[0].ids for text in TEXTS]
    together = [each.outputs[0].ids for each in device.translate(TEXTS, beam=beam, max_length=longest)]
    assert found == wanted
    assert together == wanted


def test_the_attention_of_an_own_class_is_keras_attention(exported):
    _, device, trained = exported
    for text in TEXTS[:3]:
        found, wanted = (
            each.translate(text, alignments=True, max_length=12).outputs[0].alignment
            for each in (device, trained)
        )
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_streams_threads_and_copies_give_the_same_text(exported):
    bundle, device, _ = exported
    wanted = [device.translate(text, max_length=12).text for text in TEXTS]
    assert ["".join(device.stream(text, max_length=12)) for text in TEXTS] == wanted
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda text: device.translate(text, max_length=12).text, TEXTS)
        assert list(found) == wanted
    for other in (copy.deepcopy(device), pickle.loads(pickle.dumps(device))):
        assert [each.text for each in other.translate(TEXTS, max_length=12)] == wanted
    assert verify(bundle.path).ok


def test_what_a_step_returns_of_a_cache_is_one_row(exported):
    bundle, *_ = exported
    for name, signature in bundle.manifest["signatures"].items():
        rows = [output for output in signature["outputs"] if output.startswith("row_")]
        states = [each for each in signature["inputs"] if each.startswith("state_")]
        if name.startswith(("step", "batch")) and len(states) > 1:  # caches
            assert len(rows) == len(states)
            for row in rows:
                cache = signature["inputs"][row.removeprefix("row_")]["shape"]
                assert np.prod(cache) > np.prod(signature["outputs"][row]["shape"])


def test_a_step_that_reads_the_position_of_its_first_row_is_refused_for_batches(tmp_path):
    keras.utils.set_random_seed(2)
    model = cached(Lockstep)
    stir(model)
    with pytest.raises(
        keras_attn.KerasAttnError, match=r'failed at rows: .*Lockstep\.step.*state\["position"\]'
    ):
        keras_attn.export(model, tmp_path / "bundle", tokenizer=letters(), lengths=[(16, 16)], batch=4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state, new: {**new, "key_00": state["key_00"]},
            r"the row of a cache must be of shape \(R, 2, 1, 8\)",
        ),
        (
            lambda state, new: {"position": new["position"]},
            r"caches names 'key_00', which the state of `read_token`",
        ),
    ],
)
def test_a_step_that_does_not_return_the_rows_of_its_caches_is_told_so(change, message):
    model = cached()
    memory, state = model.start(ops.ones((1, 4), "int32"), ops.ones((1, 4), "bool"), 8)
    _, _, new = model.read_token(ops.ones((1,), "int32"), memory, state)
    with pytest.raises(keras_attn.KerasAttnError, match=message):
        model.with_rows(state, change(state, new))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"one_call": True}, "one_call"), ({"shortlist": [("a", "b")]}, "shortlist")],
)
def test_what_only_lowered_translators_have_is_refused(arguments, message, tmp_path):
    with pytest.raises(keras_attn.KerasAttnError, match=message):
        keras_attn.export(
            recurrent(), tmp_path / "bundle", tokenizer=letters(), lengths=[(8, 8)], **arguments
        )


def test_a_start_that_breaks_the_protocol_is_named(tmp_path):
    pytest.importorskip("tensorflow")
    from keras_attn_export.tracing.steps import trace

    class Broken:
        caches = MappingProxyType({})

        def start(self, source_ids, source_mask, max_length):
            return {"state": ops.zeros((1, 4))}

    with pytest.raises(keras_attn.KerasAttnError, match=r"Broken\.start must return \(memory, state\)"):
        trace(Broken(), [{"source": 4, "target": 4}], rows=[1])


def test_what_a_class_lacks_is_named(tmp_path):
    class Unfinished(EncoderDecoder):
        def start(self, source_ids, source_mask, max_length):
            return {}, {}

    with pytest.raises(
        keras_attn.KerasAttnError, match=r"Unfinished .*`read_token`.*`vocabulary_size`.*build"
    ):
        keras_attn.export(Unfinished(), tmp_path / "bundle", tokenizer=letters())
