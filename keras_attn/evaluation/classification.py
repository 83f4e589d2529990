"""Accuracy and macro F1 of a classifier on a table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from keras_attn.loading import Opened

if TYPE_CHECKING:
    from keras_attn.training import Run


def score_classifier(opened: Opened | Run, test: str | os.PathLike[str], limit: int | None) -> dict[str, Any]:
    """Score a classifier on a CSV or TSV file with the columns that it was trained on.

    Raises:
        DataError: the file cannot be read, or a label is not one of the model's classes.
    """
    from keras_attn.data.readers.labelled import read_labelled
    from keras_attn.scores.classes import ClassPredictor, class_scores, confusion

    columns, classes = _format_of(opened)
    delimiter, header = columns.get("delimiter"), columns.get("header")
    labelled = read_labelled(
        test,
        columns.get("text", "text"),
        columns.get("label", "label"),
        delimiter=delimiter,
        header=header,
        known=classes,
    )
    labelled = labelled.part(range(len(labelled))[:limit])
    if isinstance(opened, Opened):
        numbers = {label: number for number, label in enumerate(opened.task.labels)}
        answers = [numbers[found.label] for found in opened.task.classify(labelled.texts, truncate=True)]
        count = len(numbers)
    else:
        answers = ClassPredictor.of_run(opened).logits(labelled.texts).argmax(axis=1).tolist()
        count = len(opened.config["labels"])
    return class_scores(confusion(labelled.numbers(classes), answers, count))


def _format_of(opened: Opened | Run) -> tuple[dict[str, Any], dict[str, int]]:
    """Return how a table is read, and the number of the class of each label that it may have."""
    if not isinstance(opened, Opened):
        training = opened.config["training"]
        columns = {"text": training["text_column"], "label": training["label_column"]}
        columns |= {name: training.get(name) for name in ("delimiter", "header")}
        return columns, opened.config["classes"]
    return opened.made_from.get("columns", {}), opened.classes
