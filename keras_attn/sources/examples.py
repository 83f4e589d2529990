"""Held-out examples of encoders: texts, and what is right for them, in the form that each task has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from keras_attn.device.preprocessing.lookups import texts_of
from keras_attn.errors import ArgumentError
from keras_attn.sources.example_batches import as_array, batches

Text = str | tuple[str, str]
"""A text, or two that are read together."""
_MOST = 10_000
"""Examples that are read of a data set, which may have no end."""


def listed_examples(examples: Any) -> list[Any]:
    """Return examples of texts as a list of those that `read_examples` takes.

    Args:
        examples: such a list, an array of texts, (N,) or (N, 1), alone or in a tuple with labels, batches of
            these, such as a `tf.data.Dataset`'s, a generator of examples, or `None` for none.

    Raises:
        InputError: an array holds something else than texts.
    """
    if examples is None:
        return []
    if hasattr(examples, "shape"):
        return list(_in_batch(examples, None))
    if (
        isinstance(examples, tuple)
        and len(examples) == 2
        and all(hasattr(each, "shape") for each in examples)
    ):
        return list(_in_batch(*examples))
    if isinstance(examples, str | bytes | Mapping):
        raise ArgumentError(f"examples: give a list of them, not {type(examples).__name__}")
    if isinstance(examples, list | tuple):
        return [_unpacked(each) for each in examples]
    return list(islice(_unbatched(examples), _MOST))


def _unbatched(examples: Any) -> Iterator[Any]:
    """Yield the examples of a data set, in batches or not, or of a generator."""
    from keras.utils import PyDataset

    for each in batches(examples) if isinstance(examples, PyDataset) else examples:
        parts = each if isinstance(each, tuple | list) else (each, None)
        if getattr(parts[0], "shape", ()):
            yield from _in_batch(parts[0], parts[1] if len(parts) > 1 else None)
        else:
            yield _unpacked(each)


def _in_batch(texts: Any, targets: Any) -> Iterator[Any]:
    """Yield the texts of an array, with their labels if there are any."""
    read = texts_of(as_array(texts)).ravel().tolist()
    if targets is None:
        yield from read
        return
    labels = as_array(targets)
    if labels.ndim == 2 and labels.shape[1] > 1:  # one-hot
        labels = labels.argmax(1)
    if labels.size != len(read):
        raise ArgumentError(f"examples: there are {len(read)} texts and {labels.size} labels")
    yield from zip(read, map(_plain_value, labels.ravel().tolist()), strict=True)


def _unpacked(example: Any) -> Any:
    """Return an example of plain values: texts of NumPy's or TensorFlow's strings, numbers of scalars."""
    if isinstance(example, tuple | list):
        return tuple(_plain_value(each) for each in example)
    return _plain_value(example)


def _plain_value(value: Any) -> Any:
    if getattr(value, "shape", None) == ():
        value = as_array(value).item()
    if isinstance(value, bytes):
        return texts_of(value).item()
    return str(value) if isinstance(value, np.str_) else value


def read_examples(task: str, examples: Any, labels: Iterable[str] = ()) -> tuple[list[Text], list[Any]]:
    """Part examples into texts and references.

    Args:
        task: the manifest's.
        examples: what `listed_examples` takes, of these: of a classifier (text, label) or (text, second
            text, label), where a label may be its number, with a list of labels where a text may have
            several; for entities texts, or (text, spans) with a list of (label, start, end) each; for answers
            (question, context), or (question, context, answers) with a text or a list of them; for scores
            texts, (text, second text), or these with a number behind them; otherwise texts. Two texts may
            also be one with a tab between them.
        labels: that a classifier's files may have.

    Returns:
        The texts, and the references: none, or one of each text.

    Raises:
        ArgumentError: an example has another form, or only some have references.
    """
    read = {
        "classification": _labelled,
        "token-classification": _with_spans,
        "question-answering": _with_answers,
        "scoring": _scored,
    }.get(task, _plain)
    found = [read(example, list(labels)) for example in listed_examples(examples)]
    references = [reference for _, reference in found if reference is not None]
    if references and len(references) < len(found):
        raise ArgumentError(f"examples: {len(found) - len(references)} of {len(found)} lack what is right")
    return [text for text, _ in found], references


def _plain(example: Any, labels: Sequence[str]) -> tuple[Text, Any]:
    return example, None


def _labelled(example: Any, labels: Sequence[str]) -> tuple[Text, Any]:
    if isinstance(example, str) or len(example) not in (2, 3):
        raise ArgumentError(f"examples of a classifier are (text, label) pairs, not {example!r}")
    *texts, label = example
    is_one = isinstance(label, str | int | float)
    named = [
        labels[int(each)] if isinstance(each, int | float) and each in range(len(labels)) else each
        for each in ([label] if is_one else label)
    ]
    for each in named:
        if each not in labels:
            raise ArgumentError(f"examples: {each!r} is not a label of the model: {', '.join(labels)}")
    label = named[0] if is_one else named
    return _text(texts), label


def _with_spans(example: Any, labels: Sequence[str]) -> tuple[Text, Any]:
    if isinstance(example, str):
        return example, None
    try:
        text, spans = example
        read = sorted(_span(span) for span in spans)
    except (TypeError, ValueError, KeyError):
        raise ArgumentError(
            f"examples for entities are texts, or (text, spans) of (label, start, end), not {example!r}"
        ) from None
    for start, end, label in read:
        if not 0 <= start < end <= len(text):
            raise ArgumentError(f"examples: the span {label!r} from {start} to {end} is not in {text!r}")
    return text, read


def _span(span: Any) -> tuple[int, int, str]:
    """Read (label, start, end), or a dict or object with these."""
    if isinstance(span, Mapping):
        return int(span["start"]), int(span["end"]), str(span["label"])
    label, start, end = span
    return int(start), int(end), str(label)


def _with_answers(example: Any, labels: Sequence[str]) -> tuple[Text, Any]:
    example = _parted(example)
    if isinstance(example, str) or len(example) not in (2, 3):
        raise ArgumentError(f"examples for answers are (question, context), with answers or not: {example!r}")
    question, context, *answers = example
    if not answers:
        return (question, context), None
    return (question, context), [answers[0]] if isinstance(answers[0], str) else list(answers[0])


def _scored(example: Any, labels: Sequence[str]) -> tuple[Text, Any]:
    example = _parted(example)
    if isinstance(example, str):
        return example, None
    *texts, last = example
    if isinstance(last, str):
        return _text(example), None
    return _text(texts), float(last)


def _parted(example: Any) -> Any:
    """Part a line at its tab, if it has one."""
    return tuple(example.split("\t", 1)) if isinstance(example, str) and "\t" in example else example


def _text(texts: Sequence[str]) -> Text:
    if not 1 <= len(texts) <= 2 or not all(isinstance(text, str) for text in texts):
        raise ArgumentError(f"examples are one or two texts with what is right for them, not {texts!r}")
    return texts[0] if len(texts) == 1 else (texts[0], texts[1])
