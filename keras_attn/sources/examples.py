"""Held-out examples of encoders: texts, and what is right for them, in the form that each task has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_attn.errors import ArgumentError

Text = str | tuple[str, str]
"""A text, or two that are read together."""


def read_examples(
    task: str, examples: Sequence[Any] | None, labels: Iterable[str] = ()
) -> tuple[list[Text], list[Any]]:
    """Part examples into texts and references.

    Args:
        task: the manifest's.
        examples: of a classifier (text, label) or (text, second text, label), with a list of labels where
            a text may have several; for entities texts, or (text,
            spans) with a list of (label, start, end) each; for answers (question, context), or (question,
            context, answers) with a text or a list of them; for scores texts, (text, second text), or these
            with a number behind them; otherwise texts. Two texts may also be one with a tab between them.
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
    found = [read(example, list(labels)) for example in examples or ()]
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
    for each in [label] if isinstance(label, str) else label:
        if each not in labels:
            raise ArgumentError(f"examples: {each!r} is not a label of the model: {', '.join(labels)}")
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
