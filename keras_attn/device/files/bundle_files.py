"""The files of a bundle as they were when it was opened: those of a folder, or the members of a .zip.

A bundle is replaced by a new folder or file, and never written in place. Open files keep their contents, so a
bundle's files are opened once, and read from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import weakref
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from keras_attn.device.errors import BundleError
from keras_attn.device.files.zip_archive import Archive, check_size

_BLOCK = 2**20
_MOST_UNPACKED = 100
"""How many times larger than its part of the .zip a file may be."""
_DESCRIPTORS = next((each for each in ("/proc/self/fd", "/dev/fd") if os.path.isdir(each)), None)
# Neither waits for the writer of a FIFO, nor follows a link before its target is known.
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)
_AT_FOLDER = os.open in os.supports_dir_fd


class BundleFiles(Protocol):
    """The files from which a bundle is read."""

    def replaced(self) -> bool:
        """Return whether the folder has gone, and may have been replaced."""
        ...

    def hold(self, names: Iterable[str]) -> None:
        """Open files, all at once, so that they cannot change; errors are those of ``read``."""
        ...

    def read(self, name: str, size: int | None, limit: int) -> bytes:
        """Return the contents of a file.

        Args:
            name: of the file.
            size: how many bytes it must have; None for any number.
            limit: the most bytes that are read.

        Raises:
            BundleError: there is no such file, it has another size, or it cannot be read.
        """
        ...

    def digest(self, name: str, size: int) -> str:
        """Return the SHA-256 of a file; errors are those of ``read``."""
        ...

    def mapped(self, name: str) -> OpenFile | None:
        """Return a file that can be mapped into memory; None if only its bytes are available."""
        ...


class OpenFile(os.PathLike[str]):
    """An open file, as a path that leads to it even if another file has taken its name.

    Args:
        descriptor: of the file, which is closed with this object.
        path: of the file.
    """

    def __init__(self, descriptor: int, path: Path):
        self._descriptor, self._path = descriptor, path
        weakref.finalize(self, os.close, descriptor)

    def __fspath__(self) -> str:
        return f"{_DESCRIPTORS}/{self._descriptor}" if _DESCRIPTORS else os.fspath(self._path)

    @property
    def size(self) -> int:
        """Number of bytes."""
        return os.fstat(self._descriptor).st_size

    def blocks(self) -> Iterator[bytes]:
        """Yield the contents, block by block."""
        with open(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            while block := file.read(_BLOCK):
                yield block


def open_files(path: Path) -> BundleFiles | None:
    """Open a folder or a .zip; return None if there is nothing.

    Raises:
        BundleError: it is something else, or cannot be read.
    """
    try:
        if path.is_dir():
            return FolderFiles(path)
        return ZipFiles(path) if path.exists() else None
    except (FileNotFoundError, NotADirectoryError):  # It has just gone, or come.
        return None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from None


class FolderFiles:
    """The files of a folder, each opened when first needed; see ``BundleFiles``."""

    def __init__(self, path: Path):
        self.path = path
        self._open: dict[str, OpenFile] = {}
        self._folder = os.open(path, os.O_RDONLY) if _AT_FOLDER else None
        if self._folder is not None:
            weakref.finalize(self, os.close, self._folder)

    def replaced(self) -> bool:
        """Return whether another folder has taken this one's place: see ``BundleFiles``."""
        if self._folder is None:
            return False
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self._folder))
        except OSError:
            return True

    def hold(self, names: Iterable[str]) -> None:
        """Open files, all at once: see ``BundleFiles``."""
        for name in names:
            with _reading(self.path, name):
                self._opened(name)

    def read(self, name: str, size: int | None, limit: int) -> bytes:
        """Return the contents of a file: see ``BundleFiles``."""
        with _reading(self.path, name):
            return b"".join(self._file(name, size, limit).blocks())

    def digest(self, name: str, size: int) -> str:
        """Return the SHA-256 of a file: see ``BundleFiles``."""
        with _reading(self.path, name):
            return _digest(self._file(name, size, size).blocks())

    def mapped(self, name: str) -> OpenFile:
        """Return a file that can be mapped into memory."""
        return self._open[name]

    def _file(self, name: str, size: int | None, limit: int) -> OpenFile:
        file = self._opened(name)
        check_size(f"{self.path}/{name}", file.size, size, limit)
        return file

    def _opened(self, name: str) -> OpenFile:
        if name not in self._open:
            if os.path.islink(self.path / name):
                descriptor = os.open(self._followed(name), _FLAGS)
            elif self._folder is None:
                descriptor = os.open(self.path / name, _FLAGS)
            else:
                descriptor = os.open(name, _FLAGS, dir_fd=self._folder)
            self._open[name] = OpenFile(descriptor, self.path / name)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BundleError(f"{self.path}/{name} is not a file; copy the bundle again.")
        return self._open[name]

    def _followed(self, name: str) -> str:
        """Return where a link leads.

        Raises:
            BundleError: it leads out of the folder, so that it is not the bundle's own.
        """
        target = os.path.realpath(self.path / name)
        if not Path(target).is_relative_to(_home(Path(os.path.realpath(self.path)))):
            raise BundleError(
                f"{self.path}/{name} is a link that leaves the folder; replace it with the file itself."
            )
        return target


def _home(folder: Path) -> Path:
    """Return the folder that holds all files of a bundle's folder.

    It is that folder itself, except in a cache of huggingface_hub: the files of ``snapshots/REVISION`` are
    links to ``blobs``, which is beside ``snapshots``.
    """
    cache = folder.parents[1] if len(folder.parents) > 1 else folder
    return cache if folder.parent.name == "snapshots" and (cache / "blobs").is_dir() else folder


class ZipFiles:
    """The members of a .zip; see ``BundleFiles``."""

    def __init__(self, path: Path):
        if path.is_dir() or not path.exists():
            raise FileNotFoundError(path)  # A folder has just replaced another.
        if not path.is_file() or not zipfile.is_zipfile(path):
            raise BundleError(f"{path} is neither a bundle folder nor a .zip.")
        file = open(path, "rb")  # noqa: SIM115  as long as this object is there
        weakref.finalize(self, file.close)
        self._archive = Archive(file, os.fspath(path))

    def replaced(self) -> bool:
        """Return False: an open .zip stays complete."""
        return False

    def hold(self, names: Iterable[str]) -> None:
        """Do nothing: the open .zip has all its members."""

    def read(self, name: str, size: int | None, limit: int) -> bytes:
        """Return the contents of a file: see ``BundleFiles``."""
        return b"".join(self._archive.blocks(name, size, limit, _MOST_UNPACKED))

    def digest(self, name: str, size: int) -> str:
        """Return the SHA-256 of a file: see ``BundleFiles``."""
        return _digest(self._archive.blocks(name, size, size, _MOST_UNPACKED))

    def mapped(self, name: str) -> None:
        """Return None: members must be unpacked."""
        return


def _digest(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def _reading(path: Path, name: str) -> Iterator[None]:
    """Raise errors of reading a folder's file as a BundleError."""
    try:
        yield
    except FileNotFoundError:
        raise BundleError(f"{path} has no {name}.") from None
    except OSError as error:
        raise BundleError(f"{path}/{name} cannot be read: {error}") from None
