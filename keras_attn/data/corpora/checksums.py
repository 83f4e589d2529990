"""SHA-256 checksums of a folder, written last: without them it is incomplete, with others damaged."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from keras_attn.device.files.atomic_write import write_text

NAME = "checksums.json"


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path, names: Sequence[str] = ("*",)) -> None:
    """Write the SHA-256 of files in a folder into the folder.

    Args:
        folder: the folder.
        names: patterns of files, and of folders, of which all files are included.
    """
    found = [path for name in names for path in folder.glob(name)]
    files = {file for path in found for file in [path, *path.rglob("*")] if file.is_file()}
    sums = {file.relative_to(folder).as_posix(): sha256(file) for file in sorted(files)}
    write_text(folder / NAME, json.dumps(sums, indent=1))


def has_checksums(folder: Path) -> bool:
    """Return whether a folder is complete."""
    return (folder / NAME).is_file()


def damage(folder: Path) -> str | None:
    """Return what is wrong with the first damaged file of a folder; `None` if all are unchanged."""
    try:
        wanted = json.loads((folder / NAME).read_text("utf-8"))
        wanted = dict(wanted)
    except (OSError, ValueError, TypeError):
        return f"{folder / NAME} is missing or damaged"
    for path, digest in wanted.items():
        try:
            if sha256(folder / path) != digest:
                return f"{folder / path} is damaged (its SHA-256 is not the one that was written)"
        except OSError as error:
            return f"{folder / path} cannot be read ({error.strerror})"
    return None
