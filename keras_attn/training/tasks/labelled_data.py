"""The rows of a classifier's or a scorer's training: read, divided, and as targets."""

import dataclasses
from typing import Any

import numpy as np

from keras_attn.data.errors import DataError
from keras_attn.data.readers.labelled import (
    LabelledTexts,
    find_classes,
    find_labels,
    read_labelled,
    truth_of,
)
from keras_attn.data.splits import hold_out
from keras_attn.training.config.classification import ClassificationConfig
from keras_attn.training.tasks.encoder_training import HELD_OUT


@dataclasses.dataclass(frozen=True)
class Splits:
    """The texts of a training.

    Attributes:
        train, held_out: texts with labels or scores.
        test: texts with labels or scores, or `None`.
        labels: names of the classes; empty for scores.
        classes: the numbers of the classes, by every spelling of a label.
        separator: between several labels of a row.
    """

    train: LabelledTexts
    held_out: LabelledTexts
    test: LabelledTexts | None
    labels: list[str]
    classes: dict[str, int]
    kind: str
    separator: str

    def truth(self, texts: LabelledTexts) -> np.ndarray:
        """Return what is right: classes (N,) int32, labels (N, C) float32, or scores (N, 1) float32.

        Raises:
            DataError: if a label is not known, or a score is not a number; its line is named.
        """
        classes = self.classes if self.kind == "classes" else None
        found = truth_of(texts, classes, self.labels, self.separator)
        return found.astype(np.float32 if classes is None else np.int32)

    def examples(self, texts: LabelledTexts) -> list[list[Any]]:
        """Return texts with what is right for them, in the form that `keras_attn.export` takes them in."""
        found = []
        for text, right in zip(texts.texts, self.truth(texts), strict=True):
            if self.kind == "classes":
                label: Any = self.labels[right]
            elif self.kind == "score":
                label = float(right[0])
            else:
                label = [name for name, value in zip(self.labels, right, strict=True) if value]
            found.append([*([text] if isinstance(text, str) else text), label])
        return found


def load_splits(config: ClassificationConfig) -> Splits:
    """Return training, validation and test texts, with the classes of the training texts numbered.

    Raises:
        DataError: if a file cannot be read, or there are too few rows to hold any out.
    """
    columns = {
        "text_column": config.text_column,
        "label_column": config.label_column,
        "pair_column": config.pair_column,
        "delimiter": config.delimiter,
        "header": config.header,
        "empty_labels": config.multi_label,
        "numbers": config.regression,
    }
    found = read_labelled(config.train, **columns, known=config.labels)
    labels: list[str] = []
    classes: dict[str, int] = {}
    if config.kind == "classes":
        labels, classes = find_classes(found, config.labels)
    elif config.kind == "labels":
        labels = find_labels(found, config.label_separator, config.labels)
        classes = {label: number for number, label in enumerate(labels)}
    more = {"labels": labels, "classes": classes, "kind": config.kind, "separator": config.label_separator}
    known = classes if config.kind == "classes" else ()
    test = read_labelled(config.test, **columns, known=known) if config.test else None
    if config.validation:
        held_out = read_labelled(config.validation, **columns, known=known)
        return Splits(found, held_out, test, **more)
    different = len(set(found.texts))
    by_class = found.numbers(classes) if config.kind == "classes" else None
    kept, out = hold_out(found.texts, min(HELD_OUT, max(1, different // 10)), by_class)
    if different < 4 or not out:
        count = f" in {len(set(by_class))} classes" if by_class else ""
        raise DataError(
            f"{found.path} has {different} different texts{count}: too few to hold any out: give a "
            "validation file."
        )
    return Splits(found.part(kept), found.part(out), test, **more)
