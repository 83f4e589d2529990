"""What users give as examples: tensors, data frames, data sets, loaders and generators become arrays."""

import keras
import numpy as np
import pytest

from keras_attn.errors import ArgumentError, ArgumentTypeError
from keras_attn.sources.example_batches import nested_arrays
from keras_attn.sources.examples import listed_examples, read_examples

X = np.arange(24, dtype="float32").reshape(8, 3)
Y = np.arange(8)


class Batches(keras.utils.PyDataset):
    """Batches of two examples, which can be indexed, but not iterated."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return X[2 * i : 2 * i + 2], Y[2 * i : 2 * i + 2]


def in_batches(*arrays):
    return (tuple(array[i : i + 2] for array in arrays) for i in range(0, 8, 2))


def tensorflow_data(*arrays):
    return pytest.importorskip("tensorflow").data.Dataset.from_tensor_slices(tuple(arrays)).batch(3)


def torch_data(*arrays):
    torch = pytest.importorskip("torch")
    loaded = torch.utils.data.TensorDataset(*map(torch.tensor, arrays))
    return torch.utils.data.DataLoader(loaded, batch_size=3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: X,
        lambda: X.tolist(),
        lambda: (X, Y),
        lambda: keras.ops.convert_to_tensor(X),
        lambda: pytest.importorskip("tensorflow").constant(X),
        lambda: pytest.importorskip("torch").tensor(X, requires_grad=True),
        lambda: in_batches(X, Y),
        lambda: (X[i : i + 2] for i in range(0, 8, 2)),
        Batches,
        lambda: tensorflow_data(X, Y),
        lambda: torch_data(X, Y),
    ],
    ids=[
        "array",
        "rows",
        "targets",
        "backend",
        "tensorflow",
        "torch",
        "generator",
        "inputs",
        "sequence",
        "data",
        "loader",
    ],
)
def test_every_form_of_examples_is_read(make):
    assert nested_arrays(make(), 8).tolist() == X.tolist()
    assert nested_arrays(make(), 3).tolist() == X[:3].tolist()


def test_batches_of_several_inputs_are_read_without_their_targets():
    pairs = (((X[i : i + 2], Y[i : i + 2]), Y[i : i + 2]) for i in range(0, 8, 2))
    one, two = nested_arrays(pairs, 8)
    assert one.tolist() == X.tolist() and two.tolist() == Y.tolist()
    named = nested_arrays(({"x": X[i : i + 2]} for i in range(0, 8, 2)), 8)
    assert named["x"].tolist() == X.tolist()


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([[1, 2], [1]], "different lengths: pad them"),
        (np.zeros((0, 3)), "there are none"),
        ({}, "there are none"),
        (iter(()), "no batches"),
        (iter([np.float32(1)]), "call .batch"),
        (np.array(["a"]), "hold texts"),
        (np.array([1j]), "arrays of numbers"),
    ],
)
def test_what_is_not_an_example_is_refused_with_a_remedy(examples, message):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        nested_arrays(examples, 4)


TEXTS, LABELS = ["calm sea", "storm", "straße"], ["calm", "wild"]
NUMBERS = [0, 1, 0]
PAIRS = list(zip(TEXTS, ["calm", "wild", "calm"], strict=True))


@pytest.mark.parametrize(
    "examples",
    [
        lambda: PAIRS,
        lambda: list(zip(TEXTS, NUMBERS, strict=True)),
        lambda: (pair for pair in PAIRS),
        lambda: (np.array(TEXTS), np.array(NUMBERS)),
        lambda: (np.array(TEXTS)[:, None], np.eye(2)[NUMBERS]),
        lambda: tensorflow_data(TEXTS, NUMBERS),
        lambda: tensorflow_data(TEXTS, NUMBERS).unbatch(),
    ],
    ids=["pairs", "numbers", "generator", "arrays", "one-hot", "data", "unbatched"],
)
def test_texts_with_labels_are_read_in_every_form(examples):
    assert read_examples("classification", examples(), LABELS) == (TEXTS, ["calm", "wild", "calm"])


@pytest.mark.parametrize(
    "examples",
    [
        lambda: TEXTS,
        lambda: np.array(TEXTS),
        lambda: np.array(TEXTS, object)[:, None],
        lambda: [np.str_(text) for text in TEXTS],
        lambda: (text for text in TEXTS),
        lambda: tensorflow_data(TEXTS),
    ],
    ids=["list", "array", "column", "strings", "generator", "data"],
)
def test_texts_are_read_in_every_form(examples):
    found = listed_examples(examples())
    assert found == TEXTS and all(type(text) is str for text in found)


def test_a_label_beyond_the_last_is_refused():
    with pytest.raises(ArgumentError, match="2 is not a label"):
        read_examples("classification", [("calm", 2)], LABELS)
