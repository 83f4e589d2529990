"""Models that begin with preprocessing layers compute the same without them, or are refused by name."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from keras import layers  # noqa: E402

from keras_attn.errors import ArgumentError  # noqa: E402
from keras_attn.sources.split_preprocessing import split_preprocessing  # noqa: E402

TEXTS = ["a good film", "bad, BAD film!", "", "good good good good good good"]


def texts_input(name="text", shape=(1,)):
    return keras.Input(shape, dtype="string", name=name)


def vectorizer(**options):
    return layers.TextVectorization(vocabulary=["good", "film", "bad"], **options)


def in_graph():
    return keras.backend.backend() == "tensorflow"


def predict(model, inputs):
    """Run a model on strings; only TensorFlow has them."""
    import tensorflow as tf

    given = {name: tf.constant(value) if name != "age" else value for name, value in inputs.items()}
    return keras.ops.convert_to_numpy(model(given if len(given) > 1 else next(iter(given.values()))))


def rest_of(model, inputs):
    rest, preprocessing = split_preprocessing(model)
    made = preprocessing(inputs)
    assert {tensor.name: tuple(tensor.shape[1:]) for tensor in rest.inputs}.keys() == made.keys()
    return keras.ops.convert_to_numpy(rest(made if len(made) > 1 else next(iter(made.values()))))


def test_a_sequential_model_with_a_mask():
    words = vectorizer(output_sequence_length=5)
    tail = [layers.Embedding(5, 4, mask_zero=True), layers.LSTM(3), layers.Dense(2)]
    model = keras.Sequential([texts_input(), words, *tail])
    inner = keras.Sequential(tail)
    found = rest_of(model, {"text": TEXTS})
    assert np.allclose(found, keras.ops.convert_to_numpy(inner(words(TEXTS))), atol=1e-6)
    if in_graph():
        assert np.allclose(found, predict(model, {"text": [[text] for text in TEXTS]}), atol=1e-6)
    rest, _ = split_preprocessing(model)
    assert rest.weights and all(
        mine is theirs for mine, theirs in zip(rest.weights, model.weights, strict=True)
    )


def test_the_models_weights_and_graph_stay_its_own(tmp_path):
    model = keras.Sequential(
        [texts_input(), vectorizer(output_mode="tf_idf", idf_weights=[1, 2, 3]), layers.Dense(2)]
    )
    before = rest_of(model, {"text": TEXTS})
    model.save(tmp_path / "model.keras")
    assert len(model.layers) == 2
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(rest_of(again, {"text": TEXTS}), before)


def test_models_within_the_model_shared_layers_and_several_inputs():
    words, embedding = vectorizer(output_sequence_length=3), layers.Embedding(5, 2)
    text = texts_input("raw")
    tower = keras.Model(text, layers.Flatten()(embedding(words(text))), name="tower")
    left, right, age = texts_input("left"), texts_input("right"), keras.Input((2,), name="age")
    joined = layers.Concatenate()([tower(left), tower(right), age])
    model = keras.Model(
        {"left": left, "right": right, "age": age}, {"score": layers.Dense(1)(joined), "joined": joined}
    )
    rest, preprocessing = split_preprocessing(model)
    inputs = {"left": TEXTS[:2], "right": TEXTS[2:], "age": np.ones((2, 2), np.float32)}
    assert list(preprocessing.tokenizers()) == ["tokenizer.json"]
    found = rest(preprocessing(inputs))
    sides = [
        keras.ops.convert_to_numpy(embedding(words(inputs[side]))).reshape(2, -1)
        for side in ("left", "right")
    ]
    assert np.allclose(
        keras.ops.convert_to_numpy(found["joined"]), np.concatenate([*sides, inputs["age"]], 1)
    )
    assert found["score"].shape == (2, 1)


def test_an_input_that_is_looked_up_twice_and_passed_too():
    number, kind = keras.Input((1,), dtype="int32", name="number"), texts_input("kind", ())
    known = layers.IntegerLookup(vocabulary=[3, 4])
    place = layers.StringLookup(vocabulary=["x", "y"])
    ids = known(number)
    parts = [
        layers.Flatten()(layers.Embedding(3, 2)(ids)),
        layers.CategoryEncoding(3, "multi_hot")(ids),
        layers.CategoryEncoding(3, "one_hot")(place(kind)),
        layers.CategoryEncoding(6, "count")(number),
        layers.Rescaling(0.5)(number),
    ]
    model = keras.Model([number, kind], layers.Concatenate()(parts))
    rest, preprocessing = split_preprocessing(model)
    made = preprocessing({"number": [[3], [5]], "kind": ["y", "?"]})
    found = keras.ops.convert_to_numpy(rest(made))[:, 2:]
    wanted = [[0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1.5], [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2.5]]
    assert found.tolist() == wanted
    assert len({step.output for step in preprocessing.steps} | set(preprocessing.passed.values())) == len(
        made
    )


@pytest.mark.parametrize("mode", ["multi_hot", "count"])
def test_encodings_of_numbers_stay_in_the_graph(mode):
    values, weights = keras.Input((3,), name="values"), keras.Input((3,), name="weights")
    binned = layers.Discretization([0.0, 1.0], output_mode=mode)
    ids = layers.Discretization([0.0, 1.0])(values)
    encoding = layers.CategoryEncoding(3, mode)
    weighted = encoding(ids, count_weights=weights) if mode == "count" else encoding(ids)
    model = keras.Model([values, weights], layers.Concatenate()([binned(values), weighted, weights]))
    rest, preprocessing = split_preprocessing(model)
    assert not preprocessing.steps
    given = {
        "values": np.array([[-1, 0.5, 0.5], [2, 2, 2]], np.float32),
        "weights": np.ones((2, 3), np.float32),
    }
    found = keras.ops.convert_to_numpy(rest(preprocessing(given)))
    assert np.allclose(found, keras.ops.convert_to_numpy(model([given["values"], given["weights"]])))


def test_a_model_without_such_layers_is_returned_as_it_is():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    assert split_preprocessing(model)[0] is model


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.words = vectorizer(name="words")

    def call(self, inputs):
        return self.words(inputs)


class Holder(layers.Layer):
    def __init__(self):
        super().__init__()
        self.words = layers.IntegerLookup(vocabulary=[1], name="words")

    def call(self, inputs):
        return self.words(inputs)

    def build(self, shape):
        pass

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, "int64")


def after_a_layer():
    number = keras.Input((1,))
    return keras.Model(number, layers.IntegerLookup(vocabulary=[1], name="known")(layers.ReLU()(number)))


def strings_in_a_lambda():
    text = texts_input()
    shouted = layers.Lambda(lambda each: each, output_shape=(1,), name="shout")(text)
    return keras.Model(text, layers.Dense(1)(vectorizer(output_mode="count")(shouted)))


def hash_within():
    number = keras.Input((1,), dtype="int32")
    return keras.Model(number, layers.Hashing(3, name="hashes")(number))


def held():
    number = keras.Input((1,))
    return keras.Model(number, layers.Dense(1)(Holder()(number)))


REFUSED = [
    (
        Subclass,
        "Subclass is a subclass of keras.Model with TextVectorization 'words' in it: put .*`tokenizer`",
    ),
    (after_a_layer, "IntegerLookup 'known' reads what other layers computed"),
    (strings_in_a_lambda, "Lambda 'shout' reads the strings of input 'text'"),
    (hash_within, "Hashing 'hashes' hashes its input"),
    (held, "Holder '.*' has IntegerLookup 'words' in it"),
    (lambda: keras.Sequential([vectorizer(), layers.Dense(1)]), "is not built: begin it with keras.Input"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_cannot_be_cut_off_is_refused_by_name(make, message):
    with pytest.raises(ArgumentError, match=message):
        split_preprocessing(make())
