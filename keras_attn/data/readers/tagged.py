"""Texts with labelled spans: JSON lines, or CoNLL's columns of tokens and labels."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_attn.data.errors import DataError
from keras_attn.data.readers.text_files import read_lines
from keras_attn.device.tasks.label_scheme import OUTSIDE, Tag, joined, read_scheme

_JSON = (".json", ".jsonl", ".ndjson")
_DOCUMENT = "-DOCSTART-"

Spans = list[tuple[int, int, str]]
"""Start, end and label of spans of characters, in their order."""


@dataclass(frozen=True)
class TaggedTexts:
    """Texts with their spans.

    Attributes:
        path: the file they come from.
        texts: the texts.
        spans: the labelled spans of each text.
    """

    path: str
    texts: list[str]
    spans: list[Spans]

    def __len__(self) -> int:
        return len(self.texts)


def read_tagged(path: str | os.PathLike[str]) -> TaggedTexts:
    """Read a file of texts with labelled spans, plain or `.gz`.

    Args:
        path: JSON lines (`.jsonl`, `.json`), each an object with `text` and `entities`, a list of objects
            with `start`, `end` and `label`; or CoNLL's columns: a line for each token with its label (BIO,
            BIOES or IO) in the last column, and an empty line after each text, whose tokens are joined by
            spaces.

    Raises:
        DataError: if the file cannot be read; the line is named.
    """
    path, lines = Path(path), read_lines(path)
    endings = [suffix for suffix in path.suffixes if suffix != ".gz"]
    read = _from_json if endings and endings[-1].lower() in _JSON else _from_columns
    found = list(read(path, lines))
    if not found:
        raise DataError(f"{path} has no texts.")
    return TaggedTexts(os.fspath(path), [text for text, _ in found], [spans for _, spans in found])


def _from_json(path: Path, lines: list[str]) -> Iterator[tuple[str, Spans]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            text = content["text"]
            spans = sorted(_span(each, len(text)) for each in content["entities"])
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path}, line {number}: not an object with a `text` and its `entities`, each with `start`, "
                f"`end` and `label` ({error})."
            ) from None
        yield text, spans


def _span(given: Any, length: int) -> tuple[int, int, str]:
    start, end, label = given["start"], given["end"], given["label"]
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(label, str)):
        raise TypeError(f"{given} is not a span")
    if not 0 <= start < end <= length:
        raise ValueError(f"the span from {start} to {end} is not in a text of {length} characters")
    return start, end, label


def _from_columns(path: Path, lines: list[str]) -> Iterator[tuple[str, Spans]]:
    texts: list[list[tuple[str, str]]] = [[]]
    for number, line in enumerate(lines, start=1):
        columns = line.split()
        if not columns or columns[0] == _DOCUMENT:
            texts.append([])
            continue
        if len(columns) < 2:
            raise DataError(f"{path}, line {number}: a token needs a label in the last column.")
        texts[-1].append((columns[0], columns[-1]))
    # What a label means depends on the others of the file.
    labels = sorted({label for text in texts for _, label in text})
    scheme = dict(zip(labels, read_scheme(labels), strict=True))
    for text in texts:
        if text:
            tokens = [token for token, _ in text]
            yield " ".join(tokens), _spans_of(tokens, [scheme[label] for _, label in text])


def _spans_of(tokens: list[str], tags: list[Tag]) -> Spans:
    """Return the spans of labelled tokens in the text that joins them by spaces."""
    starts, at = [], 0
    for token in tokens:
        starts.append(at)
        at += len(token) + 1
    return [
        (starts[first], starts[last] + len(tokens[last]), kind)
        for kind, first, last in joined([(i, i) for i in range(len(tokens))], tags)
        if kind != OUTSIDE
    ]
