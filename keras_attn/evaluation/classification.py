"""Scores of a classifier, or of a model that scores texts, on a table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_attn.loading import Opened
from keras_attn.training.run_folder import columns_of

if TYPE_CHECKING:
    from keras_attn.training import Run


def score_classifier(opened: Opened | Run, test: str | os.PathLike[str], limit: int | None) -> dict[str, Any]:
    """Score a classifier or a scorer on a CSV or TSV file with the columns that it was trained on.

    Returns:
        Of one class a text `accuracy` and `macro_f1`; of several labels `micro_f1`, `macro_f1` and
        `accuracy`; of scores `spearman` and `pearson`; and the number of `sentences`.

    Raises:
        DataError: the file cannot be read, or a label is not one of the model's classes.
    """
    from keras_attn.data.readers.labelled import read_labelled, truth_of
    from keras_attn.scores.classes import ClassPredictor, logit_scores

    columns, classes = _format_of(opened)
    kind, labels = _kind_of(opened)
    known = classes if kind == "classes" else None
    labelled = read_labelled(
        test,
        columns.get("text", "text"),
        columns.get("label", "label"),
        delimiter=columns.get("delimiter"),
        header=columns.get("header"),
        known=known or (),
        pair_column=columns.get("pair"),
        empty_labels=kind == "labels",
        numbers=kind == "number",
    )
    labelled = labelled.part(range(len(labelled))[:limit])
    truth = truth_of(labelled, known, labels, columns.get("separator", ";"))
    if isinstance(opened, Opened):
        found = _answers(opened.task, kind, labels, labelled.texts)
    else:
        found = ClassPredictor.of_run(opened).logits(labelled.texts)
    return logit_scores(kind, found, truth)


def _answers(task: Any, kind: str, labels: list[str], texts: list[Any]) -> np.ndarray:
    """Return what orders the answers as logits do: 1 and -1 for labels, or scores, (N, C)."""
    pairs = [(text, None) if isinstance(text, str) else text for text in texts]
    if kind == "number":
        return np.array([[task.score(one, other, truncate=True)] for one, other in pairs])
    found = np.full((len(texts), len(labels)), -1.0)
    for row, (one, other) in enumerate(pairs):
        for label in task.classify(one, pair=other, truncate=True).labels:
            found[row, labels.index(label)] = 1
    return found


def _kind_of(opened: Opened | Run) -> tuple[str, list[str]]:
    """Return what a text has, as `logit_scores` has it, and the names of its labels."""
    if isinstance(opened, Opened):
        if opened.task_name == "scoring":
            return "number", []
        return ("labels" if opened.task.multi_label else "classes"), opened.task.labels
    training = opened.config["training"]
    if training.get("regression"):
        return "number", []
    return ("labels" if training.get("multi_label") else "classes"), opened.config["labels"]


def _format_of(opened: Opened | Run) -> tuple[dict[str, Any], dict[str, int]]:
    """Return how a table is read, and the number of the class of each label that it may have."""
    if not isinstance(opened, Opened):
        return columns_of(opened.config["training"]), opened.config.get("classes", {})
    return opened.made_from.get("columns", {}), opened.classes if opened.task_name == "classification" else {}
