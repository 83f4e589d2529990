r"""Rows of a table in a text file: fields between commas, tabs or another delimiter.

Tab-separated files follow one of two conventions. In most, a quote is an ordinary character. pandas and other
CSV writers quote a field that needs it, and double the quotes inside. A tab-separated file is read with
quotes if such a writer would write exactly the same text, and plainly otherwise.
"""

import contextlib
import csv
import io
import os
import re
import threading
from collections.abc import Callable, Iterator

from keras_attn.data.errors import DataError
from keras_attn.data.readers.text_files import lines_of, read_text

Row = tuple[int, list[str]]
"""The number of the line that a row ends in, and its fields."""

TAB = "\t"
TSV = (".tsv", ".tsv.gz")
_NAMES = {"tab": TAB, r"\t": TAB, "comma": ",", "semicolon": ";", "pipe": "|"}
_NEEDS_QUOTES = re.compile(r'["\t\r\n]')
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|")
_field_size = threading.Lock()  # the limit belongs to the whole process


def is_tsv(path: str | os.PathLike[str]) -> bool:
    """Return whether a file's name is that of a tab-separated file."""
    return os.fspath(path).lower().endswith(TSV)


def delimiter_of(path: str | os.PathLike[str], delimiter: str | None = None) -> str:
    """Return the delimiter of a file: the given one, or else a tab for `.tsv` and a comma otherwise.

    Raises:
        DataError: if the given one is neither a character nor the name of one.
    """
    if delimiter is None:
        return TAB if is_tsv(path) else ","
    found = _NAMES.get(delimiter, delimiter)
    if len(found) != 1 or found in '"\r\n ':
        raise DataError(
            f"The delimiter {delimiter!r} is not one character: give ';', '|', ',' or tab, for example."
        )
    return found


def read_rows(path: str | os.PathLike[str], delimiter: str | None = None) -> list[Row]:
    """Return the rows of a file, plain or `.gz`; a blank line is a row without fields.

    Raises:
        DataError: if the file cannot be read, or a quote is not closed; the line is named.
    """
    name, delimiter = os.fspath(path), delimiter_of(path, delimiter)
    text = read_text(path)
    if delimiter != TAB:
        return _quoted_after_blanks(name, text, delimiter) or _quoted(name, text, delimiter)
    plain = [(number, line.split(TAB) if line else []) for number, line in enumerate(lines_of(text), start=1)]
    return _written_with_quotes(name, text, plain) or plain


def _quoted(name: str, text: str, delimiter: str, *, blanks_before_quotes: bool = False) -> list[Row]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        strict=True,
        skipinitialspace=blanks_before_quotes,
    )
    try:
        with _fields_of_any_size():
            return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(
            f"{name}, line {reader.line_num}: the row cannot be read ({error}). Put a field that "
            f"contains the delimiter {delimiter!r} or a quote in double quotes, and double the quotes "
            "inside, or give another --delimiter."
        ) from None


def _quoted_after_blanks(name: str, text: str, delimiter: str) -> list[Row] | None:
    """Return the rows of a text with blanks between delimiters and quotes, as in `x, "a, b"`."""
    if f'{delimiter} "' not in text:
        return None
    try:
        return _quoted(name, text, delimiter, blanks_before_quotes=True)
    except DataError:  # These quotes are text, as in `x, "Yes" he said`.
        return None


@contextlib.contextmanager
def _fields_of_any_size() -> Iterator[None]:
    """Lift the csv module's limit of 131,072 characters a field for the block."""
    with _field_size:
        before = csv.field_size_limit(2**31 - 1)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _written_with_quotes(name: str, text: str, plain: list[Row]) -> list[Row] | None:
    """Return the rows of a tab-separated text that a CSV writer wrote, or `None` if none did."""
    if '"' not in text:
        return None
    try:
        rows = _quoted(name, text, TAB)
    except DataError:
        return None
    if any(_is_written(text, rows, needs_quotes) for needs_quotes in _EVERYWHERE):
        return rows
    spans_lines = any("\n" in field for _, row in rows for field in row)
    if spans_lines and len({len(row) for _, row in plain if row}) == 1:
        return None  # Two lone quotes, some lines apart: read plainly, all rows have the same fields.
    return rows if any(_is_written(text, rows, needs_quotes) for needs_quotes in _WHERE_NEEDED) else None


_EVERYWHERE: tuple[Callable[[str], bool], ...] = (
    lambda field: True,  # csv.QUOTE_ALL
    lambda field: _NUMBER.fullmatch(field) is None,  # csv.QUOTE_NONNUMERIC
)
_WHERE_NEEDED: tuple[Callable[[str], bool], ...] = (
    lambda field: _NEEDS_QUOTES.search(field) is not None,  # csv.QUOTE_MINIMAL, as pandas has it
    lambda field: "," in field or _NEEDS_QUOTES.search(field) is not None,  # spreadsheets
)


def _is_written(text: str, rows: list[Row], needs_quotes: Callable[[str], bool]) -> bool:
    """Return whether a writer that quotes such fields would write exactly this text."""
    at = 0
    for _, row in rows:
        fields = ('"' + field.replace('"', '""') + '"' if needs_quotes(field) else field for field in row)
        line = TAB.join(fields)
        if not text.startswith(line, at):
            return False
        at += len(line)
        if at < len(text) and text[at] not in "\r\n":
            return False
        at += 2 if text.startswith("\r\n", at) else 1
    return at >= len(text)
