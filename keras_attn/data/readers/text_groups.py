"""Texts that belong together, for sentence encoders: pairs, triplets, pairs with a score, or single texts."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_attn.data.errors import DataError
from keras_attn.data.readers.tables import read_rows
from keras_attn.data.readers.text_files import read_lines

_JSON = (".json", ".jsonl", ".ndjson")
_TABLES = (".tsv", ".csv")
NAMES = (
    ("anchor", "query", "question", "sentence1", "text"),
    ("positive", "passage", "answer", "sentence2"),
    ("negative", "negatives"),
)
"""Names of the first text, of what belongs to it, and of what does not."""
SCORES = ("score", "label")


@dataclass(frozen=True)
class TextGroups:
    """Rows of texts.

    Attributes:
        path: the file they come from.
        texts: of each row, all rows with as many: a text, what belongs to it, and what does not.
        scores: how similar the two texts of each row are, if that is known.
    """

    path: str
    texts: list[tuple[str, ...]]
    scores: list[float] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def width(self) -> int:
        """Texts of a row."""
        return len(self.texts[0])

    @property
    def different(self) -> list[str]:
        """All texts, each once, in their order."""
        return list(dict.fromkeys(text for row in self.texts for text in row))

    def part(self, rows: Sequence[int]) -> "TextGroups":
        """Return some of the rows."""
        scores = None if self.scores is None else [self.scores[row] for row in rows]
        return TextGroups(self.path, [self.texts[row] for row in rows], scores)


def read_groups(path: str | os.PathLike[str]) -> TextGroups:
    """Read a file of texts that belong together, plain or `.gz`.

    Args:
        path: a `.tsv` or `.csv` with two texts in a row, or more, of which the third and later ones do not
            belong to the first, or with two texts and a number, their score, in every row; a first row of
            such names as `NAMES` and `SCORES` has is skipped. Or JSON lines with these names, where
            `negatives` is a list. Any other file has a text in each line.

    Raises:
        DataError: if the file cannot be read, rows have different numbers of texts, or a text is empty; the
            line is named.
    """
    path = Path(path)
    endings = [suffix.lower() for suffix in path.suffixes if suffix != ".gz"]
    kind = endings[-1] if endings else ""
    if kind in _JSON:
        rows = [(n, *_of_json(path, n, line)) for n, line in enumerate(read_lines(path), 1) if line.strip()]
    elif kind in _TABLES:
        rows = _of_table(path)
    else:
        rows = [(n, (line.strip(),), None) for n, line in enumerate(read_lines(path), 1) if line.strip()]
    if not rows:
        raise DataError(f"{path} has no texts.")
    width, scored = len(rows[0][1]), rows[0][2] is not None
    for line, texts, score in rows:
        if len(texts) != width or (score is not None) != scored:
            raise DataError(
                f"{path}, line {line}: there are {_described(texts, score)}, and in the first row "
                f"{_described(*rows[0][1:])}: all rows need the same."
            )
        if not all(text.strip() for text in texts):
            raise DataError(f"{path}, line {line}: a text is empty.")
        if scored and width != 2:
            raise DataError(f"{path}, line {line}: a score is that of two texts, and there are {width}.")
    scores = [score for _, _, score in rows if score is not None]
    return TextGroups(os.fspath(path), [texts for _, texts, _ in rows], scores if scored else None)


def _described(texts: Sequence[str], score: float | None) -> str:
    return f"{len(texts)} texts" + ("" if score is None else " and a score")


def _of_json(path: Path, number: int, line: str) -> tuple[tuple[str, ...], float | None]:
    try:
        content = json.loads(line)
        texts: list[str] = []
        for names in NAMES:
            found = [content[name] for name in names if name in content]
            if len(found) > 1:
                raise ValueError(f"several of {', '.join(names)}")
            for each in found:
                texts += each if isinstance(each, list) else [each]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"texts must be strings under {NAMES[0][0]} and {NAMES[1][0]}")
        score = next((float(content[name]) for name in SCORES if name in content), None)
        if score is not None and not math.isfinite(score):
            raise ValueError(f"the score {score} is not a number")
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}, line {number}: not an object with `anchor`, `positive` and, where there are such, "
            f"`negative` or `score` ({error})."
        ) from None
    return tuple(texts), score


def _of_table(path: Path) -> list[tuple[int, tuple[str, ...], float | None]]:
    rows: list[tuple[int, Any]] = [(line, row) for line, row in read_rows(path) if row]
    known = {name for names in (*NAMES, SCORES) for name in names}
    if rows and all(
        cell.strip().lower().rstrip("0123456789_") in known or cell.strip().lower() in known
        for cell in rows[0][1]
    ):
        rows = rows[1:]
    scored = bool(rows) and all(len(row) == 3 and _number(row[2]) is not None for _, row in rows)
    if scored:
        return [(line, tuple(row[:2]), _number(row[2])) for line, row in rows]
    return [(line, tuple(row), None) for line, row in rows]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
