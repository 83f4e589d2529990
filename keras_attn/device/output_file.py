"""How this package writes a file: aside, then renamed, so that no reader meets half of it.

The part beside a file is locked while it is written. A writer that was killed leaves it unlocked, and the
next writer of the same file removes it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: parts of killed writers stay until somebody removes them.
    fcntl = None


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to, whose contents become those of ``path`` when the block ends without an error.

    Links are followed: the file that ``path`` points to is replaced, not the link. What is not a regular file
    (a device, a FIFO) is written in place, after the block. The yielded path ends as ``path`` does. Folders
    above it are made.

    Args:
        path: the file to write, which may exist.

    Raises:
        IsADirectoryError: ``path`` is a folder.
        OSError: it cannot be written; nothing is left beside it, and an existing file is as it was.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(21, "is a folder, and a file is to be written there", os.fspath(path))
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        with tempfile.TemporaryDirectory() as folder:
            aside = Path(folder) / path.name
            yield aside
            with aside.open("rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    with new_part(path) as aside:
        yield aside
        if path.exists():
            shutil.copymode(path, aside)
        aside.replace(path)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file as ``replaced`` does."""
    with replaced(path) as aside:
        aside.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file of UTF-8 as ``replaced`` does, line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


@contextlib.contextmanager
def new_part(path: Path) -> Iterator[Path]:
    """Yield a new, locked, empty file beside ``path``; what is still there at the end is removed."""
    part, descriptor = _created(path)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)
        os.close(descriptor)


def _created(path: Path) -> tuple[Path, int]:
    while True:
        part = path.with_name(f".{path.name}.part-{secrets.token_hex(4)}{path.suffix}")
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if part.exists():
            return part, descriptor
        os.close(descriptor)  # Another writer took it for abandoned before it was locked.


def remove_abandoned(path: Path) -> None:
    """Remove the parts beside ``path`` whose writers are gone; those of living ones are locked, and stay."""
    if fcntl is None:
        return
    for part in path.parent.glob(f".{_literal(path.name)}.part-*"):
        with contextlib.suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
