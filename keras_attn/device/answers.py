"""From texts to printed answers, whatever a bundle's task is: what both command lines share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras_attn.device.encoder_tasks import (
    Classification,
    Classifier,
    Embedder,
    Embedding,
    Fillings,
    MaskFiller,
)
from keras_attn.device.errors import InputError, one_line
from keras_attn.device.translator import Translation, Translator

Loaded = Translator | Classifier | Embedder | MaskFiller
Answer = Translation | Classification | Embedding | Fillings

# The options that each method takes.
OPTIONS = {
    "translate": ("beam", "max_length", "length_penalty", "n_best"),
    "classify": ("truncate",),
    "embed": ("truncate",),
    "fill_mask": ("top",),
}


def answerer(loaded: Loaded, options: Mapping[str, Any]) -> Callable[[str], Answer]:
    """Give the function from a text to its answer.

    Args:
        loaded: what ``keras_attn.device.load`` gave.
        options: by name; ``None`` for those that were not given.

    Raises:
        InputError: an option was given that this task does not take.
    """
    method = next(name for name in OPTIONS if hasattr(loaded, name))
    given = {name: value for name, value in options.items() if value is not None}
    foreign = sorted(set(given) - set(OPTIONS[method]))
    if foreign:
        told = ", ".join("--" + name.replace("_", "-") for name in foreign)
        raise InputError(f"{told}: this bundle is a {type(loaded).__name__}, which has no such option.")
    return lambda text: getattr(loaded, method)(text, **given)


def lines(answer: Answer) -> list[str]:
    """Return an answer as lines: one, or one for each of several outputs, with its score."""
    if isinstance(answer, Embedding):
        return [str(answer)]
    if isinstance(answer, Classification):
        return [f"{answer.score:.4f}\t{one_line(answer.label)}"]
    if isinstance(answer, Translation) and len(answer.outputs) == 1:
        return [one_line(answer.text)]
    return [f"{output.score:.4f}\t{one_line(output.text)}" for output in answer.outputs]
