"""Labelled texts: rows of a CSV or TSV file, with a class in one column and text in others."""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_attn.data.errors import DataError
from keras_attn.data.parallel import read_lines


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with a label each.

    Attributes:
        path: the file they come from.
        texts: the texts; several columns are joined by a space.
        labels: the labels as they are written.
        lines: where each row ends in the file, for messages.
    """

    path: str
    texts: list[str]
    labels: list[str]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, rows: Sequence[int]) -> "LabelledTexts":
        """Give some of the rows."""
        texts, labels = ([column[row] for row in rows] for column in (self.texts, self.labels))
        return LabelledTexts(self.path, texts, labels, [self.lines[row] for row in rows])

    def numbers(self, classes: Mapping[str, int]) -> list[int]:
        """Give the number of each label's class.

        Raises:
            DataError: a label is none of the classes; its line is named.
        """
        for label, line in zip(self.labels, self.lines, strict=True):
            if label not in classes:
                known = ", ".join(classes)
                raise DataError(f"{self.path}, line {line}: the label {label!r} is none of {known}.")
        return [classes[label] for label in self.labels]


def read_labelled(
    path: str | os.PathLike[str], text_column: str = "text", label_column: str = "label"
) -> LabelledTexts:
    """Read a CSV file, or a TSV file (``.tsv``, no quotes), plain or ``.gz``.

    Args:
        path: the file.
        text_column: names or numbers (from 1 on) of the columns with text, separated by commas.
        label_column: name or number of the column with the label.

    If all columns are numbers, the file has no header; with any name its first row is one.

    Raises:
        DataError: the file or a column is missing, a row has fewer fields, an empty label or no text, or
            there is no row at all.
    """
    name = os.fspath(path)
    wanted = [part.strip() for part in (label_column, *text_column.split(","))]
    rows = _rows(name)
    first_line, first = next(rows, (0, []))
    if not first:
        raise DataError(f"{name} is empty: rows with a label and a text are expected.")
    header = not all(column.isdecimal() for column in wanted)
    label_at, *texts_at = (_index(name, column, first if header else None) for column in wanted)
    found = LabelledTexts(name, [], [], [])
    for line, row in rows if header else _again(first_line, first, rows):
        if len(row) <= max(label_at, *texts_at):
            raise DataError(
                f"{name}, line {line}: the row has {len(row)} field{'' if len(row) == 1 else 's'}, but "
                f"column {max(label_at, *texts_at) + 1} is wanted."
            )
        text = " ".join(" ".join(row[at].split()) for at in texts_at).strip()
        label = row[label_at].strip()
        if not label or not text:
            raise DataError(f"{name}, line {line}: the {'text' if label else 'label'} is empty.")
        found.texts.append(text)
        found.labels.append(label)
        found.lines.append(line)
    if not found.texts:
        raise DataError(f"{name} has a header, but no rows below it.")
    return found


def _rows(name: str):
    """Give (line, fields) of every row that is not blank."""
    lines = (f"{line}\n" for line in read_lines(name))
    if name.endswith((".tsv", ".tsv.gz")):
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: the row cannot be read ({error}).") from None


def _again(line: int, first: list[str], rows):
    yield line, first
    yield from rows


def _index(name: str, column: str, header: list[str] | None) -> int:
    if header is not None and column in header:
        return header.index(column)
    if column.isdecimal() and int(column) > 0:
        return int(column) - 1
    if header is None:
        raise DataError(f"{name}: columns are counted from 1, not {column!r}.")
    raise DataError(f"{name}, line 1: there is no column {column!r} among {', '.join(header)}.")


def find_classes(labelled: LabelledTexts, names: Sequence[str] = ()) -> tuple[list[str], dict[str, int]]:
    """Number the classes of training texts.

    Args:
        labelled: the training texts.
        names: names of the classes whose labels are the numbers from 1 on, or from 0 on if a 0 occurs.

    Returns:
        The classes' names, and their numbers by every way in which a label may be written.

    Raises:
        DataError: there is one class only, or a label is no number that has a name.
    """
    written = sorted(set(labelled.labels), key=lambda label: (not label.isdecimal(), _value(label), label))
    if len(written) < 2:
        raise DataError(f"{labelled.path} has the label {written[0]!r} only: two classes or more are needed.")
    if not names:
        return written, {label: number for number, label in enumerate(written)}
    first = 0 if "0" in written else 1
    classes = {str(number + first): number for number in range(len(names))}
    classes |= {name: number for number, name in enumerate(names)}
    labelled.numbers(classes)
    return list(names), classes


def _value(label: str) -> int:
    return int(label) if label.isdecimal() else 0
