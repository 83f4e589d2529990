"""Read text files: UTF-8, plain or gzipped.

Other files are refused by name. The SHA-256 of the files can be recorded, so that a resumed training can
check that its data is unchanged.
"""

import contextlib
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from keras_attn.data.errors import DataError

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_GZIP = b"\x1f\x8b"
_NO_TEXT = {  # by their first bytes
    b"PK\x03\x04": "a .zip or .xlsx file",
    b"PAR1": "a Parquet file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\xd0\xcf\x11\xe0": "an .xls file",
    b"SQLite format 3\0": "an SQLite database",
}
_BYTE_ORDER_MARKS = re.compile("^\ufeff+", re.MULTILINE)

_records: ContextVar[dict[str, str] | None] = ContextVar("_records", default=None)


@contextlib.contextmanager
def recorded_files() -> Iterator[dict[str, str]]:
    """Yield a dict that receives the SHA-256 of every file that is read inside the block, by path."""
    found: dict[str, str] = {}
    token = _records.set(found)
    try:
        yield found
    finally:
        _records.reset(token)


def record(name: str, content: bytes) -> None:
    """Record the SHA-256 of a content, inside `recorded_files`."""
    if (found := _records.get()) is not None:
        found[name] = hashlib.sha256(content).hexdigest()


def read_text(path: str | os.PathLike[str]) -> str:
    r"""Return the text of a file, plain or `.gz`, line ends as they are.

    Byte-order marks (U+FEFF) at the beginning of lines are removed: concatenated files have several.

    Raises:
        DataError: if the file is missing, damaged, not UTF-8, or has a NUL character; the line is named.
    """
    path = Path(path)
    data = _read_bytes(path)
    if data.startswith(_UTF_16):
        raise DataError(f"{path} is UTF-16 or UTF-32; convert the file to UTF-8 first.")
    if data.startswith(_GZIP):
        raise DataError(f"{path} is a gzip file; give it a name that ends in .gz.")
    for beginning, kind in _NO_TEXT.items():
        if data.startswith(beginning):
            raise DataError(f"{path} is {kind}; write it as a text file, plain or .gz, first.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; "
            f"convert the file to UTF-8 first."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"{path}, line {line}: there is a NUL character, as in UTF-16 or binary files; "
            f"convert the file to UTF-8 first."
        )
    return _BYTE_ORDER_MARKS.sub("", text) if "\ufeff" in text else text


def lines_of(text: str) -> list[str]:
    r"""Return the lines of a text: split at `\n` or `\r\n`; at `\r` where there is no `\n` at all.

    Nothing else ends a line: neither U+2028 nor U+0085 nor a form feed.
    """
    lines = text.split("\n" if "\n" in text else "\r")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    r"""Return the lines of a file, plain or `.gz`, as `lines_of` splits them.

    Raises:
        DataError: as `read_text`.
    """
    return lines_of(read_text(path))


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    record(os.fspath(path), data)
    if path.suffix.lower() != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a complete gzip file ({error}); copy or download it again.") from None
