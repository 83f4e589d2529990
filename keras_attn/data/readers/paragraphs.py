"""Running text for language models: the lines of text files, and of all text files of folders."""

import os
from collections.abc import Sequence
from pathlib import Path

from keras_attn.data.errors import DataError
from keras_attn.data.readers.text_files import read_lines

ENDINGS = (".txt", ".gz")
"""Suffixes of text files in a folder."""


def read_paragraphs(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Read the paragraphs of files, plain or `.gz`, one per line; empty lines are skipped.

    Spaces and tabs around a paragraph are stripped; other white space, such as U+3000, is text.

    Args:
        paths: files of any name, or folders, of which every `.txt` and `.gz` at any depth is read.

    Raises:
        DataError: if a path is missing, a folder has no text files, a file is not UTF-8, or there is no text.
    """
    found = []
    for path in paths:
        for file in _files(Path(path)):
            found += [line.strip(" \t\r") for line in read_lines(file) if line.strip()]
    if not found:
        raise DataError(f"{', '.join(str(path) for path in paths)}: there is no text, every line is empty.")
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.name.endswith(ENDINGS) and file.is_file())
    if not files:
        raise DataError(f"{path} has no files that end in {' or '.join(ENDINGS)}.")
    return files
