"""Labelled texts: rows of a CSV or TSV file, with a class in one column and text in others."""

import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.data.errors import DataError
from keras_attn.data.readers.tables import Row, delimiter_of, read_rows

SHOWN = 12  # classes that a message lists
_BREAKS = re.compile(r"[\t\r\n]+")
_BLANK = " \t\r\n"
_JSON = (".json", ".jsonl", ".ndjson")
_SEPARATOR_LINE = re.compile(r"sep=(.)")


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with a label each.

    Attributes:
        path: the file they come from.
        texts: the texts; columns are joined by a space, which also replaces tabs and line breaks. With a
            column of second texts they are pairs.
        labels: the labels, as written.
        lines: the line in which each row ends, for messages.
    """

    path: str
    texts: list[Any]
    labels: list[str]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, rows: Sequence[int]) -> "LabelledTexts":
        """Return some of the rows."""
        texts, labels = ([column[row] for row in rows] for column in (self.texts, self.labels))
        return LabelledTexts(self.path, texts, labels, [self.lines[row] for row in rows])

    def numbers(self, classes: Mapping[str, int]) -> list[int]:
        """Return the number of each label's class.

        Raises:
            DataError: if a label is not one of the classes; its line is named.
        """
        for label, line in zip(self.labels, self.lines, strict=True):
            if label not in classes:
                raise DataError(
                    f"{self.path}, line {line}: the label {label!r} is not one of {_some(classes)}."
                )
        return [classes[label] for label in self.labels]

    def scores(self) -> list[float]:
        """Return the number that each label is.

        Raises:
            DataError: if a label is not a finite number; its line is named.
        """
        found = [_number(label) for label in self.labels]
        for number, label, line in zip(found, self.labels, self.lines, strict=True):
            if number is None:
                raise DataError(f"{self.path}, line {line}: the score {label!r} is not a number.")
        return [number for number in found if number is not None]

    def several(self, separator: str) -> list[list[str]]:
        """Return the labels of each row, in their order, each once."""
        parts = ([part.strip() for part in label.split(separator)] for label in self.labels)
        return [list(dict.fromkeys(part for part in row if part)) for row in parts]

    @property
    def contradictions(self) -> int:
        """Number of texts that have several labels."""
        return sum(count > 1 for count in Counter(text for text, _ in set(self.pairs)).values())

    @property
    def pairs(self) -> list[tuple[Any, str]]:
        """Each text with its label."""
        return list(zip(self.texts, self.labels, strict=True))


def read_labelled(
    path: str | os.PathLike[str],
    text_column: str = "text",
    label_column: str = "label",
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    known: Collection[str] = (),
    pair_column: str | None = None,
    empty_labels: bool = False,
    numbers: bool = False,
) -> LabelledTexts:
    """Read a CSV or TSV file, plain or `.gz`; `tables` says how quotes are read.

    Args:
        path: the file.
        text_column: names or numbers (from 1 on) of the columns with text, separated by commas.
        label_column: name or number of the column with the label.
        delimiter: between the fields; by default a tab for `.tsv`, and a comma.
        header: whether the first row names the columns. By default it does where a column is given by name.
            Where all are numbers it is data, and refused if its label looks like a column's name.
        known: the labels that may occur, if they are known.
        pair_column: name or number of the column with a second text; the texts are then pairs.
        empty_labels: whether a label may be empty.
        numbers: whether the labels are numbers.

    Raises:
        DataError: if the file or a column is missing, rows have different numbers of fields, an empty label
            or no text, there is no row at all, or it is unclear whether there is a header.
    """
    name = os.fspath(path)
    second = [] if pair_column is None else [pair_column]
    wanted = [part.strip() for part in (label_column, *text_column.split(","), *second)]
    rows = [(line, row) for line, row in _rows(name, delimiter) if row]
    if not rows:
        raise DataError(f"{name} is empty: rows with a label and a text are expected.")
    by_name = not all(column.isdecimal() for column in wanted)
    if by_name and header is False:
        raise DataError(
            f"{name}: without a header, columns are numbers, not {label_column!r} and {text_column!r}."
        )
    first = rows[0][1]
    names = [cell.strip() for cell in first] if by_name else None
    between = delimiter_of(name, delimiter)
    label_at, *texts_at = (_index(name, column, names, between) for column in wanted)
    _check_fields(name, rows, max(label_at, *texts_at), between)
    labels = [row[label_at].strip(_BLANK) for _, row in rows]
    pairs_at = [texts_at.pop()] if second else []
    # A number, or no label at all, is no column's name.
    if not by_name and not (numbers and _number(labels[0]) is not None):
        _check_first_row(name, labels, header, known)
    found = LabelledTexts(name, [], [], [])
    for (line, row), label in list(zip(rows, labels, strict=True))[by_name or header is True :]:
        if (by_name or header) and row == first:
            raise DataError(
                f"{name}, line {line}: the header is repeated; delete it where files were joined."
            )
        text, pair = (
            " ".join(_BREAKS.sub(" ", row[at].strip(_BLANK)) for at in places).strip(_BLANK)
            for places in (texts_at, pairs_at)
        )
        parts = {"label": label or empty_labels, "text": text.strip(), "second text": pair or not second}
        if empty := next((part for part, given in parts.items() if not given), None):
            raise DataError(f"{name}, line {line}: the {empty} is empty.")
        found.texts.append((text, pair) if second else text)
        found.labels.append(label)
        found.lines.append(line)
    if not found.texts:
        raise DataError(f"{name} has a header, but no rows below it.")
    return found


def _rows(name: str, delimiter: str | None) -> list[Row]:
    """Read the rows of a table, without the line `sep=;` that spreadsheets put above the first one.

    Raises:
        DataError: as `read_rows`, or if the file is JSON.
    """
    rows = read_rows(name, delimiter)
    first = delimiter_of(name, delimiter).join(rows[0][1]).strip() if rows else ""
    if first.startswith(("{", "[")) and name.lower().removesuffix(".gz").endswith(_JSON):
        raise DataError(f"{name} is JSON; write it as a .csv or .tsv file first.")
    if not (said := _SEPARATOR_LINE.fullmatch(first)):
        return rows
    if said[1] != delimiter_of(name, delimiter):
        raise DataError(f"{name}, line 1: the delimiter is {said[1]!r}: --delimiter {said[1]!r}.")
    return rows[1:]


def _check_fields(name: str, rows: list[Row], last: int, delimiter: str) -> None:
    """Raise if a row is too short, or has another number of fields than the first."""
    size = len(rows[0][1])
    for line, row in rows:
        if len(row) <= last:
            raise DataError(
                f"{name}, line {line}: the row has {len(row)} field{'' if len(row) == 1 else 's'}, but "
                f"column {last + 1} is wanted{_other_delimiter(row, delimiter)}."
            )
        if len(row) != size:
            raise DataError(
                f"{name}, line {line}: the row has {len(row)} fields, but the first row has {size}; put "
                f"fields that contain {delimiter!r} in double quotes."
            )


def _check_first_row(name: str, labels: list[str], header: bool | None, known: Collection[str]) -> None:
    """Raise if columns are numbers, and the first row is a header taken for data, or the reverse."""
    first, others = labels[0], labels[1:]
    is_class = first in known or first in others
    if header and is_class:
        raise DataError(f"{name}, line 1: {first!r} is a class, so this row is not a header: --no-header.")
    numbers = all(label.isdecimal() for label in labels)
    if header is None and first and not is_class and not numbers:
        raise DataError(
            f"{name}, line 1: no other row has the label {first!r}; if this row names the columns, give "
            "--header or the names, otherwise --no-header."
        )


def _other_delimiter(row: list[str], used: str) -> str:
    found = [other for other in ";\t|," if other != used and len(row) == 1 and other in row[0]]
    return f"; perhaps the delimiter is {found[0]!r}: --delimiter" if found else ""


def _index(name: str, column: str, header: list[str] | None, delimiter: str) -> int:
    if header is not None and header.count(column) > 1:
        raise DataError(
            f"{name}, line 1: there are {header.count(column)} columns {column!r}; give a number."
        )
    if header is not None and column in header:
        return header.index(column)
    if column.isdecimal() and int(column) > 0:
        return int(column) - 1
    if header is None:
        raise DataError(f"{name}: columns are counted from 1, not {column!r}.")
    hint = _other_delimiter(header, delimiter)
    raise DataError(f"{name}, line 1: there is no column {column!r} among {_some(header)}{hint}.")


def find_classes(labelled: LabelledTexts, names: Sequence[str] = ()) -> tuple[list[str], dict[str, int]]:
    """Assign numbers to the classes of training texts.

    Args:
        labelled: the training texts.
        names: names of the classes whose labels are the numbers from 1 on, or from 0 on if a 0 occurs.

    Returns:
        The classes' names, and their numbers by every way in which a label may be written.

    Raises:
        DataError: if there is only one class, or a label is not a number that has a name.
    """
    written = sorted(set(labelled.labels), key=_numbers_first)
    if len(written) < 2:
        raise DataError(f"{labelled.path} has the label {written[0]!r} only: two classes or more are needed.")
    if not names:
        return written, {label: number for number, label in enumerate(written)}
    first = 0 if "0" in written else 1
    classes = {str(number + first): number for number in range(len(names))}
    classes |= {name: number for number, name in enumerate(names)}
    labelled.numbers(classes)
    return list(names), classes


def lookalikes(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of labels that differ only in case, Unicode form or leading zeros."""
    seen: dict[str, str] = {}
    found = []
    for label in labels:
        folded = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
        plain = (folded.lstrip("0") or "0") if folded.isdecimal() else folded
        if (other := seen.setdefault(plain, label)) != label:
            found.append((other, label))
    return found


def truth_of(
    labelled: LabelledTexts, classes: Mapping[str, int] | None, labels: Sequence[str], separator: str
) -> np.ndarray:
    """Return what is right for each text: its class's number (N,), its labels (N, C) or its score (N, 1).

    Args:
        labelled: the texts.
        classes: the number of each label's class; `None` if a text has several labels, or a score.
        labels: the names of several labels; empty for scores.
        separator: between several labels of a row.

    Raises:
        DataError: if a label is not known, or a score is not a number; its line is named.
    """
    if classes is not None:
        return np.array(labelled.numbers(classes))
    if not labels:
        return np.array(labelled.scores()).reshape(-1, 1)
    found = np.zeros((len(labelled), len(labels)))
    for row, numbers in enumerate(numbers_of_several(labelled, separator, labels)):
        found[row, numbers] = 1
    return found


def find_labels(labelled: LabelledTexts, separator: str, names: Sequence[str] = ()) -> list[str]:
    """Return the names of all labels of texts that have several or none.

    Args:
        labelled: the training texts.
        separator: between the labels of a row.
        names: of the labels, in their order; by default those that occur.

    Raises:
        DataError: if there are none.
    """
    written = {label for row in labelled.several(separator) for label in row}
    if not written and not names:
        raise DataError(f"{labelled.path} has no labels: nothing can be learned.")
    return list(names) or sorted(written, key=_numbers_first)


def numbers_of_several(labelled: LabelledTexts, separator: str, names: Sequence[str]) -> list[list[int]]:
    """Return the numbers of the labels of each row.

    Raises:
        DataError: if a label is not one of the names; its line is named.
    """
    numbers = {name: number for number, name in enumerate(names)}
    rows = labelled.several(separator)
    for row, line in zip(rows, labelled.lines, strict=True):
        if unknown := [label for label in row if label not in numbers]:
            raise DataError(
                f"{labelled.path}, line {line}: the label {unknown[0]!r} is not one of {_some(names)}; "
                f"several labels are parted by {separator!r}."
            )
    return [[numbers[label] for label in row] for row in rows]


def _number(label: str) -> float | None:
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _some(names: Collection[str]) -> str:
    """Return names as messages list them, only the first ones of many."""
    shown = ", ".join(list(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def _numbers_first(label: str) -> tuple[bool, int, str, str]:
    """Return a sort key: numbers first, by value however long they are, then other labels."""
    digits = "".join(str(unicodedata.decimal(letter)) for letter in label) if label.isdecimal() else ""
    value = digits.lstrip("0")
    return (not digits, len(value), value, label)
