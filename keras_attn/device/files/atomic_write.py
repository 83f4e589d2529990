"""Atomic writes of files and folders: aside, then renamed, so that no reader sees a part of them.

The part beside a file is locked while it is written. A writer that was killed leaves it unlocked, and the
next writer of the same file removes it. Scratch folders are kept and cleared in the same way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_attn.device.files.folder_swap import put_in_place, restore_folder

try:
    import fcntl
except ImportError:  # Windows: parts of killed writers stay until they are removed by hand.
    fcntl = None

# Errors of writing, which Python reports without the file's name.
WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to, whose contents replace ``path`` when the block ends without an error.

    Links are followed: the file that ``path`` points to is replaced, not the link. Anything but a regular
    file (a device, a FIFO, a descriptor such as /dev/stdout) is written in place, after the block. The
    yielded path ends as ``path`` does. Parent folders are created.

    Args:
        path: the file to write, which may exist.

    Raises:
        IsADirectoryError: ``path`` is a folder.
        OSError: it cannot be written, and the error names it; nothing is left beside it, and an existing file
            is unchanged.
    """
    given = Path(path)
    path = Path(os.path.realpath(given))
    with _naming(given, path):
        check_file(given)
        in_place = _opener(given)
        if in_place is not None:
            with scratch_folder("keras_attn_output") as folder:
                aside = folder / (given.name or "output")
                yield aside
                with aside.open("rb") as source, in_place() as target:
                    shutil.copyfileobj(source, target)
            return
        _make_folders(path.parent)
        remove_abandoned(path)
        with new_part(path) as aside:
            yield aside
            if path.exists():
                shutil.copymode(path, aside)
            aside.replace(path)


@contextlib.contextmanager
def replaced_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder that replaces ``path`` when the block ends without an error.

    A link is followed, as ``replaced`` does. Parent folders are created. Readers meanwhile find the old
    folder or the new one, see ``folder_swap``.

    Args:
        path: the folder to write; an existing one is replaced with all its contents.

    Raises:
        NotADirectoryError: ``path`` is a file.
        OSError: it cannot be written, and the error names it; nothing is left beside it, and an existing
            folder is unchanged.
    """
    given = Path(path)
    path = Path(os.path.realpath(given))
    with _naming(given, path):
        _make_folders(path.parent)
        # Asked once: between two questions another writer may take the folder away and put a new one there.
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.stat(path).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path))
        restore_folder(path)
        remove_abandoned(path)
        with new_part(path, os.mkdir) as aside:
            yield aside
            put_in_place(aside, path)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file as ``replaced`` does."""
    with replaced(path) as aside:
        aside.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file of UTF-8 as ``replaced`` does, line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise the error that writing to ``path`` would end with, as far as it is predictable.

    Raises:
        IsADirectoryError: it is a folder.
        NotADirectoryError: something above it is a file.
        PermissionError: its folder, or the one in which its folder would be created, cannot be written to.
    """
    given = Path(path)
    if given.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, "is a folder, but a file is to be written there; choose another name", str(given)
        )
    if _opener(given) is not None:
        return
    above = Path(os.path.realpath(given)).parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(above))
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "its folder cannot be written to", os.fspath(given))


@contextlib.contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """Yield a new temporary folder, which is removed at the end.

    Those of the same ``name`` that killed processes left are removed, too.
    """
    path = Path(tempfile.gettempdir()) / name
    remove_abandoned(path)
    with new_part(path, lambda part: os.mkdir(part, 0o700)) as folder:
        yield folder


@contextlib.contextmanager
def new_part(path: Path, make: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield a new, locked, empty file beside ``path``; it is removed at the end if it still exists.

    Args:
        path: the final path.
        make: creates the part if it is not a file, such as ``os.mkdir``.
    """
    part, descriptor = _created(path, make)
    try:
        yield part
    finally:
        _remove(part)
        os.close(descriptor)


def _created(path: Path, make: Callable[[Path], None] | None) -> tuple[Path, int]:
    while True:
        part = path.with_name(f".{path.name}.part-{secrets.token_hex(4)}{path.suffix}")
        if make is None:
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        else:
            make(part)
            try:  # Windows cannot open folders.
                descriptor = os.open(os.devnull if fcntl is None else part, os.O_RDONLY)
            except FileNotFoundError:
                continue
        if fcntl is not None:
            with contextlib.suppress(
                OSError
            ):  # On a file system without locks no part is taken for abandoned.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if part.exists():
            return part, descriptor
        os.close(descriptor)  # Another writer took it for abandoned before it was locked.


def remove_abandoned(path: Path) -> None:
    """Remove the parts beside ``path`` whose writers have died; those of living ones are locked, and stay."""
    if fcntl is None:
        return
    for part in path.parent.glob(f".{_literal(path.name)}.part-*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(part)
            finally:
                os.close(descriptor)


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _opener(path: Path) -> Callable[[], contextlib.AbstractContextManager] | None:
    """Return a function that opens a path that is written in place; ``None`` if it is replaced."""
    descriptor = _descriptor(path)
    if descriptor is not None:  # Opened anew, a file would be overwritten from its beginning.
        return lambda: os.fdopen(os.dup(descriptor), "wb")
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:  # It does not exist yet.
        return None
    return None if regular else lambda: path.open("wb")


def _descriptor(path: Path) -> int | None:
    """Return the number of this process' descriptor that a path such as /dev/stdout refers to."""
    folders = (f"/proc/{os.getpid()}/fd", "/dev/fd")
    for _ in range(8):  # links
        if os.path.realpath(path.parent) in folders and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def _make_folders(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None


@contextlib.contextmanager
def _naming(given: Path, path: Path) -> Iterator[None]:
    """Make errors of writing name the file to write, not the part beside it."""
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes, os.PathLike)) else None
        unnamed = name is None and error.errno in WRITING
        if unnamed or (name is not None and Path(name).name.startswith(f".{path.name}.part-")):
            error.filename = os.fspath(given)
        raise
