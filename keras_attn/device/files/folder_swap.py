"""Replaces a folder by a new one while others read it.

Where the system can exchange two folders there is always one. Elsewhere it takes two renames: a writer that
is killed between them leaves the old folder under another name, from which the next reader or writer restores
it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: it is not known whether a writer is alive, so nothing is restored.
    fcntl = None

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOENT)


def put_in_place(part: Path, path: Path) -> None:
    """Move a folder to ``path``; what was there is at ``part`` afterwards, or removed.

    Raises:
        OSError: it cannot be renamed; ``path`` is unchanged.
    """
    while not (_renamed(part, path) or _exchanged(part, path)):
        old = path.with_name(f".{path.name}.old-{secrets.token_hex(4)}")
        with _locked(path):
            done = _renamed(path, old) and _renamed(part, path)
        shutil.rmtree(old, ignore_errors=True)
        if done:
            return


def restore_folder(path: str | os.PathLike[str]) -> bool:
    """Restore the folder that a killed writer moved away from ``path`` and had not yet replaced.

    Returns:
        Whether there is one now, or a living writer is about to create one.
    """
    path = Path(os.path.realpath(path))
    pattern = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path.name)
    found = False
    for old in path.parent.glob(f".{pattern}.old-*"):
        found = True
        with _locked(old) as locked:
            if locked and not _renamed(old, path):
                shutil.rmtree(old, ignore_errors=True)
    return found or path.exists()


def _renamed(path: Path, name: Path) -> bool:
    """Rename and return True; return False if the target exists, or the source is gone."""
    try:
        path.rename(name)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders; return whether the system and the file system can."""
    exchange = _exchange()
    return exchange is not None and exchange(os.fsencode(one), os.fsencode(other)) == 0


@functools.cache
def _exchange() -> Callable[[bytes, bytes], int] | None:
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if rename := getattr(library, "renameat2", None):  # Linux
        here, exchange = -100, 2
        return lambda one, other: rename(here, one, here, other, exchange)
    if rename := getattr(library, "renamex_np", None):  # macOS
        return lambda one, other: rename(one, other, 2)
    return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Lock a folder for the block; yield whether that succeeded."""
    if fcntl is None:
        yield False
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # It is gone.
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except OSError:
            locked = False
        yield locked
    finally:
        os.close(descriptor)
