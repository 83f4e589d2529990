"""A .zip, read member by member: nothing is unpacked beyond the size that is expected or declared."""

from __future__ import annotations

import contextlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from keras_attn.device.errors import BundleError
from keras_attn.errors import ArgumentError

_BLOCK = 2**20
_END_OF_DIRECTORY, _LONGER_DIRECTORY = b"PK\x05\x06", b"PK\x06\x07"
_LARGEST_DIRECTORY = 2**20
_ENCRYPTED = 1
_DAMAGE = (
    OSError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OverflowError,
    ValueError,
)
"""Errors of reading a damaged .zip."""


class Archive:
    """A .zip.

    Args:
        file: its contents, which stay open.
        name: of the file, for errors.

    Raises:
        BundleError: it is not a .zip, or has far more members than a bundle.
    """

    def __init__(self, file: BinaryIO, name: str):
        self.name = name
        _check_directory(file, name)
        with _reading(name):
            self._archive = zipfile.ZipFile(file)

    def __contains__(self, member: str) -> bool:
        return any(info.filename == member for info in self._archive.infolist())

    def blocks(
        self, member: str, size: int | None, limit: int, most_unpacked: int | None = None
    ) -> Iterator[bytes]:
        """Yield a member's contents, block by block.

        Args:
            member: its name.
            size: how many bytes it must have; None for any number.
            limit: the most bytes that are read.
            most_unpacked: how many times larger than its part of the .zip it may be, unless it is small.

        Raises:
            BundleError: it is missing, damaged or compressed in another way.
        """
        where = f"{self.name}/{member}"
        found = [info for info in self._archive.infolist() if info.filename == member]
        if not found:
            raise BundleError(f"{self.name} has no {member}.")
        if len(found) > 1:
            raise BundleError(f"{where} occurs {len(found)} times; create the .zip again.")
        [info] = found
        check_size(where, info.file_size, size, limit)
        if most_unpacked and info.file_size > max(_BLOCK, most_unpacked * info.compress_size):
            raise BundleError(
                f"{where} is compressed more than {most_unpacked}-fold; no file of a bundle is."
            )
        packed = info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if packed or info.flag_bits & _ENCRYPTED:
            raise BundleError(
                f"{where} is compressed or encrypted in a way that is not supported; create the .zip again."
            )
        read = 0
        with _reading(where):
            with self._archive.open(info) as content:
                while block := content.read(_BLOCK):
                    read += len(block)
                    yield block
            if read != info.file_size:
                raise ArgumentError(f"it ends after {read} of {info.file_size} bytes")


def check_size(where: str, found: int, size: int | None, limit: int) -> None:
    """Compare a file's size with that in the manifest, and with the limit.

    Raises:
        BundleError: it differs, or is too large.
    """
    if size is not None and found != size:
        raise BundleError(
            f"{where} has {found} bytes, but {size} in the manifest: it is damaged; copy it again."
        )
    if found > limit:
        raise BundleError(f"{where} has {found} bytes, and at most {limit} are read.")


@contextlib.contextmanager
def _reading(where: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise BundleError(f"{where} cannot be read: {error}") from None


def _check_directory(file: BinaryIO, name: str) -> None:
    """Raise for a .zip with a long directory: all of it is read before any name is looked up."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2**16 - 22))
    end = file.read()
    at = end.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(end) < at + 22:
        raise BundleError(f"{name} cannot be read: it is not a .zip, or its end is missing.")
    [directory] = struct.unpack("<L", end[at + 12 : at + 16])
    if directory > _LARGEST_DIRECTORY or _LONGER_DIRECTORY in end[max(0, at - 20) : at]:
        raise BundleError(f"{name} has far more members than a bundle; create the .zip again.")
