"""Language models of the user's own class are exported without a lowering: `start` and `step` are traced."""

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from tiny_language import prompt_tokenizer
from tiny_models import sentences, stir

import keras_attn
from keras_attn.device.proof.verify import verify
from keras_attn.generation import keras_generator
from keras_attn.models import GPT2, CausalLM, DecoderOnly

PROMPTS = ["the red cat", "a", "", "old dog"]
DRAWS = [{}, {"temperature": 1.3, "seed": 3}, {"temperature": 0.9, "top_k": 5, "top_p": 0.8, "seed": 4}]


@keras.saving.register_keras_serializable("tests")
class Recurrent(DecoderOnly):
    """A GRU, whose state is small: it has no caches and no limit of positions."""

    def __init__(self, vocabulary_size, depth=16, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.depth = vocabulary_size, depth
        self.embedding = layers.Embedding(vocabulary_size, depth)
        self.gru = layers.GRU(depth, return_sequences=True, return_state=True)
        self.build()

    def decode(self, token_ids, padding_mask=None, training=None):
        return self.gru(self.embedding(token_ids))[0]

    @property
    def output_embeddings(self):
        return self.embedding.embeddings, None

    def start(self, token_ids, padding_mask, max_length):
        return {}, {"hidden": self.gru(self.embedding(token_ids), mask=padding_mask)[1]}

    def read_token(self, tokens, memory, state):
        hidden, (new,) = self.gru.cell(self.embedding(tokens), [state["hidden"]])
        return hidden, None, {"hidden": new}

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size, "depth": self.depth}


@keras.saving.register_keras_serializable("tests")
class Sharper(CausalLM):
    """A subclass that computes something else than its base."""

    def read_token(self, tokens, memory, state):
        hidden, alignment, state = super().read_token(tokens, memory, state)
        return 1.5 * hidden, alignment, state


def size():
    return prompt_tokenizer().tokenizer.get_vocab_size()


def cached():
    sys.path.insert(0, str(Path(__file__).parents[2] / "demos"))
    from own_language_model import OwnLanguageModel

    return OwnLanguageModel(size(), 16, 2)


def sharper():
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 24}
    return Sharper(GPT2(size(), max_sequence_length=64, **sizes))


BUILDERS = {"recurrent": lambda: Recurrent(size()), "cached": cached, "sharper": sharper}


@pytest.fixture(scope="module", params=list(BUILDERS))
def exported(request, tmp_path_factory):
    """A model, and its bundle in fp32 with prompts of 9 tokens, whose steps are of two sizes."""
    keras.utils.set_random_seed(2)
    model = BUILDERS[request.param]()
    stir(model)
    bundle = keras_attn.export(
        model, tmp_path_factory.mktemp("own") / "bundle", "fp32", tokenizer=prompt_tokenizer(),
        lengths=[(5, 8), (9, 64 if request.param == "cached" else 20)], examples=sentences()[:20],
    )  # fmt: skip
    return model, bundle.path


@pytest.mark.parametrize("options", DRAWS, ids=["greedy", "drawn", "narrow"])
def test_an_own_language_model_continues_texts_as_keras_does(exported, options):
    model, path = exported
    generator = keras_attn.device.load(path, task="generation")
    trained = keras_generator(model, prompt_tokenizer(), max_source_tokens=9, max_target_tokens=20)
    for length in (20, 3):
        found = generator.generate(PROMPTS, max_length=length, **options)
        wanted = trained.generate(PROMPTS, max_length=length, **options)
        assert [each.outputs[0].ids for each in found] == [each.outputs[0].ids for each in wanted]
        np.testing.assert_allclose([f.score for f in found], [w.score for w in wanted], atol=1e-4)


def test_every_step_is_the_whole_model(exported):
    model, path = exported
    if isinstance(model, CausalLM):
        pytest.skip("its step is not its call, on purpose")
    steps = keras_attn.device.load(path).step_models(20)
    ids = np.random.default_rng(0).integers(1, 280, 7 + 20)
    logits = np.asarray(ops.convert_to_numpy(model({"token_ids": ids[None]})))[0].astype(np.float64)
    wanted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    state, token = steps.start(ids[None, :7], np.ones((1, 7), bool)), 0
    for step in range(20):
        scores, state = steps.step(np.array([token], np.int32), state)
        np.testing.assert_allclose(scores[0], wanted[6 + step], atol=1e-4)
        token = ids[7 + step]


def test_streams_threads_and_copies_give_the_same_text(exported):
    _, path = exported
    generator = keras_attn.device.load(path)
    options = {"max_length": 12, "temperature": 2.0, "seed": 5}
    wanted = [generator.generate(text, **options).text for text in PROMPTS]
    assert ["".join(generator.stream(text, **options)) for text in PROMPTS] == wanted
    with ThreadPoolExecutor(4) as pool:
        assert [
            each.text for each in pool.map(lambda text: generator.generate(text, **options), PROMPTS)
        ] == wanted
    for other in (copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        assert [each.text for each in other.generate(PROMPTS, **options)] == wanted
    assert verify(path).ok


def test_what_a_class_lacks_is_named(tmp_path):
    class Unfinished(DecoderOnly):
        def start(self, token_ids, padding_mask, max_length):
            return {}, {}

    with pytest.raises(
        keras_attn.KerasAttnError, match=r"Unfinished .*`read_token`.*`vocabulary_size`.*build"
    ):
        keras_attn.export(Unfinished(), tmp_path / "bundle", tokenizer=prompt_tokenizer())


def test_heads_are_refused(tmp_path):
    with pytest.raises(keras_attn.KerasAttnError, match="heads: a model of your own class"):
        keras_attn.export(Recurrent(size()), tmp_path / "b", tokenizer=prompt_tokenizer(), heads=True)
