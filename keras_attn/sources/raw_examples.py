"""Examples of what a model with preprocessing takes: the user's, or some made of its vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_attn.device.preprocessing.lookups import texts_of
from keras_attn.device.preprocessing.preprocessing import Preprocessing, Step
from keras_attn.device.preprocessing.text_vectors import TextVectors
from keras_attn.errors import ArgumentError
from keras_attn.sources.example_batches import as_array, read_nested

Raw = dict[str, np.ndarray]
"""What a user gives for N examples, by the user's names."""
_WORDS = 12


def raw_examples(
    preprocessing: Preprocessing, examples: Any, passed: Mapping[str, np.ndarray], count: int, seed: int
) -> Raw:
    """Return the user's examples by name, or made ones.

    Args:
        preprocessing: what stands in front of the model.
        examples: of one input a list or array, of several a dict by name, or a list as the model takes one;
            batches likewise, with or without targets, see `nested_arrays`; `None` to make some.
        passed: made examples of the inputs that are taken as they are, by the user's names.
        count: how many to make, or the most that are read.
        seed: random seed.

    Raises:
        ArgumentError: there are none, or not one of each input.
        InputError: an input is missing or not known.
    """
    if examples is None:
        rng = np.random.default_rng(seed)
        return dict(passed) | {
            step.input: _made(step, count, rng) for step in preprocessing.steps if step.input not in passed
        }
    given = preprocessing.by_name(read_nested(examples, count, _plain))
    counts = {name: len(array) for name, array in given.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} {number}" for name, number in counts.items())
        raise ArgumentError(f"examples: the inputs have different numbers of examples: {listed}")
    return given


def _plain(value: Any) -> np.ndarray:
    """Return values as an array, with bytes, as TensorFlow's strings are, read as texts."""
    array = as_array(value)
    if array.dtype.kind == "S" or any(isinstance(each, bytes) for each in array.ravel()[:1].tolist()):
        return texts_of(array)
    return array


def _made(step: Step, count: int, rng: np.random.Generator) -> np.ndarray:
    """Make the input of a step: texts of its words, or values of its vocabulary."""
    if isinstance(step.reads, TextVectors):
        words = sorted(word for word in step.reads.tokenizer.get_vocab() if word.strip() and word != "[UNK]")
        made = [" ".join(rng.choice(words, int(rng.integers(1, _WORDS)))) for _ in range(count)]
        return np.array(made, object).reshape(count, *(1 for _ in step.shape))
    shape = (count, *(size or 1 for size in step.shape))
    places = rng.integers(0, len(step.reads.words), int(np.prod(shape)))
    values = [step.reads.words[i] for i in places]
    return np.array(values, object if step.reads.strings else np.int64).reshape(shape)
