"""Examples of what a model with preprocessing takes: the user's, or some made of its vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_attn.device.preprocessing.preprocessing import Preprocessing, Step
from keras_attn.device.preprocessing.text_vectors import TextVectors
from keras_attn.errors import ArgumentError

Raw = dict[str, np.ndarray]
"""What a user gives for N examples, by the user's names."""
_WORDS = 12


def raw_examples(
    preprocessing: Preprocessing, examples: Any, passed: Mapping[str, np.ndarray], count: int, seed: int
) -> Raw:
    """Return the user's examples by name, or made ones.

    Args:
        preprocessing: what stands in front of the model.
        examples: of one input a list or array, of several a dict by name; batches of a dataset likewise, with
            or without targets; `None` to make some.
        passed: made examples of the inputs that are taken as they are, by the user's names.
        count: how many to make, or the most that are read.
        seed: random seed.

    Raises:
        ArgumentError: an input is missing.
    """
    if examples is None:
        rng = np.random.default_rng(seed)
        return dict(passed) | {
            step.input: _made(step, count, rng) for step in preprocessing.steps if step.input not in passed
        }
    if hasattr(examples, "as_numpy_iterator"):
        examples = next(iter(examples.as_numpy_iterator()))
    if isinstance(examples, tuple):
        examples = examples[0]
    names = preprocessing.inputs
    if not isinstance(examples, Mapping):
        if len(names) != 1:
            raise ArgumentError(f"examples: give a dict with the inputs {', '.join(map(repr, names))}")
        examples = {names[0]: examples}
    missing = [name for name in names if name not in examples]
    if missing:
        raise ArgumentError(f"examples lack the inputs {', '.join(map(repr, missing))}")
    return {name: np.asarray(examples[name])[:count] for name in names}


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
