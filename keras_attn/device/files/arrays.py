"""Arrays in an ``.npz``: nothing is unpickled, and their total size is limited."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from numpy.lib import format as npy

from keras_attn.device.errors import BundleError
from keras_attn.device.files.zip_archive import Archive
from keras_attn.errors import ArgumentError

_LARGEST = 256 * 2**20
"""Bytes of all arrays together: a file of zeros can be compressed a thousandfold."""
_KINDS = "iufSU"  # whole numbers, floats and texts
_LARGEST_HEADER = 2000


def read_arrays(
    content: bytes, name: str, wanted: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, np.ndarray]:
    """Return arrays by name.

    Args:
        content: the contents of the ``.npz``.
        name: of the file, for errors.
        wanted: names of arrays.
        optional: names of arrays that may be missing.

    Raises:
        BundleError: an array is missing or damaged, or the file is.
    """
    archive = Archive(io.BytesIO(content), name)
    found, left = {}, _LARGEST
    for array in (*wanted, *(array for array in optional if f"{array}.npy" in archive)):
        if f"{array}.npy" not in archive:
            raise BundleError(f"{name} lacks an array: {array}")
        content = b"".join(archive.blocks(f"{array}.npy", None, left))
        left -= len(content)
        found[array] = _parsed(content, f"{name}: {array}")
    return found


def _parsed(content: bytes, where: str) -> np.ndarray:
    file = io.BytesIO(content)
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_column, dtype = read(file, max_header_size=_LARGEST_HEADER)
        if dtype.kind not in _KINDS or dtype.hasobject:
            raise ArgumentError(f"arrays of {dtype} are not supported")
        rest = memoryview(content)[file.tell() :]
        count = 1
        for size in shape:
            count *= size
        if min(shape, default=0) < 0 or count * dtype.itemsize != len(rest):
            raise ArgumentError(f"{list(shape)} {dtype} are not {len(rest)} bytes")
        array = np.frombuffer(rest, dtype) if rest else np.zeros(0, dtype)
        return array.reshape(shape, order="F" if by_column else "C").copy()
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError) as error:
        raise BundleError(f"{where} cannot be read: {error}") from None
