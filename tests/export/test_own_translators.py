"""Translators of the user's own class are exported without a lowering: `start` and `step` are traced."""

import sys
from pathlib import Path

import keras
import pytest
from keras import ops
from tiny_models import stir
from tokenizers import Tokenizer, models, pre_tokenizers

import keras_attn
from keras_attn.device.proof.verify import verify
from keras_attn.generation import keras_translator
from keras_attn.models import EncoderDecoder, RNNSearch, Transformer

TOKENS = ["<pad>", "<bos>", "<eos>", "<unk>", *"abcdefghijklmnopqrstuvwxyz "]
TEXTS = ["abc def", "hello", "z", "quick brown fox", "the lazy dog", "jumps over", "sixty nine", "wow"]


@keras.saving.register_keras_serializable("tests")
class Recurrent(RNNSearch):
    """A subclass that computes something else than its base: its scores are sharper."""

    def step(self, tokens, memory, state):
        scores, alignment, state = super().step(tokens, memory, state)
        return ops.log_softmax(3.0 * scores), alignment, state


@keras.saving.register_keras_serializable("tests")
class Cached(Transformer):
    """A subclass with the key-value caches of its base."""


def tokenizer():
    raw = Tokenizer(models.WordLevel({token: i for i, token in enumerate(TOKENS)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return raw


def recurrent():
    return Recurrent(
        vocabulary_size=len(TOKENS), embedding_dim=16, hidden_dim=24, attention_dim=12, maxout_dim=12
    )


def cached():
    return Cached(
        vocabulary_size=len(TOKENS),
        num_encoder_layers=1,
        num_decoder_layers=1,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=24,
        max_sequence_length=32,
    )


def from_scratch():
    sys.path.insert(0, str(Path(__file__).parents[2] / "demos"))
    from own_translator_gru import GRUTranslator

    model = GRUTranslator(len(TOKENS), 16)
    for _ in range(2):  # or else the source would hardly change the scores
        stir(model)
    return model


@pytest.mark.parametrize(
    ("build", "more"), [(recurrent, {"batch": 4}), (cached, {}), (from_scratch, {"batch": 4})]
)
def test_an_own_class_translates_as_keras_does_greedily_and_with_beams(build, more, tmp_path):
    keras.utils.set_random_seed(2)
    model = build()
    bundle = keras_attn.export(
        model, tmp_path / "bundle", "fp32", tokenizer=tokenizer(), lengths=[(16, 16)], beam=4, **more,
        examples=[(text, "") for text in TEXTS],
    )  # fmt: skip
    device = keras_attn.device.load(bundle.path)
    trained = keras_translator(model, device.tokenizer, max_source_tokens=16)
    for beam in (1, 4):
        for text in TEXTS:
            found, wanted = (each.translate(text, beam=beam, max_length=12) for each in (device, trained))
            assert found.outputs[0].ids == wanted.outputs[0].ids
        together = [each.outputs[0].ids for each in device.translate(TEXTS, beam=beam, max_length=12)]
        alone = [trained.translate(text, beam=beam, max_length=12).outputs[0].ids for text in TEXTS]
        assert together == alone
    assert verify(bundle.path).ok
    assert "".join(device.stream(TEXTS[0], max_length=12)) == device.translate(TEXTS[0], max_length=12).text
    assert device.translate(TEXTS[0], alignments=True).outputs[0].alignment is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"one_call": True}, "one_call"), ({"shortlist": [("a", "b")]}, "shortlist")],
)
def test_what_only_lowered_translators_have_is_refused(arguments, message, tmp_path):
    with pytest.raises(keras_attn.KerasAttnError, match=message):
        keras_attn.export(
            recurrent(), tmp_path / "bundle", tokenizer=tokenizer(), lengths=[(8, 8)], **arguments
        )


def test_a_start_that_breaks_the_protocol_is_named(tmp_path):
    pytest.importorskip("tensorflow")
    from keras_attn_export.tracing.steps import trace

    class Broken:
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
        keras_attn.export(Unfinished(), tmp_path / "bundle", tokenizer=tokenizer())
