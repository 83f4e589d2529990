"""Flatbuffer tables, read many at a time: every offset, size and alignment is checked before it is followed.

A flatbuffer is a tree of tables. A table says where its fields are by a vtable, and a field holds a number or
the distance to a string, a vector or another table. A file can claim any distance; readers written for speed,
such as LiteRT's, follow it. Here tables of one kind are columns: each function handles all of them at once in
NumPy, since a model has tens of thousands.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_attn.device.errors import BundleError

_LARGEST = 2**31 - 1
"""Bytes: the format's offsets reach no farther, but constants may be behind, which are found by 64 bits."""
_LARGEST_FILE = 2**36


class Vectors(NamedTuple):
    """Vectors, one per table.

    Attributes:
        starts: (N,) int64, offsets of the first elements.
        counts: (N,) int64, numbers of elements; 0 where a table has no vector.
        present: (N,) bool, whether a table has one.
    """

    starts: np.ndarray
    counts: np.ndarray
    present: np.ndarray


class Flatbuffer:
    """The bytes of a flatbuffer.

    Args:
        content: the file's bytes.
        where: the file's name in errors.

    Raises:
        BundleError: the file is too short or too long.
    """

    def __init__(self, content: bytes | np.ndarray, where: str):
        self.where = where
        self.size = len(content)
        if not 8 <= self.size <= _LARGEST_FILE:
            raise self.error(f"it has {self.size} bytes")
        self._bytes = np.frombuffer(content, np.uint8)
        self._views: dict[str, np.ndarray] = {}

    def error(self, problem: str) -> BundleError:
        """Return the error for a problem of the file."""
        return BundleError(
            f"{self.where} is not a model that is safe to run: {problem}; it is damaged, copy it again."
        )

    def check(self, right: np.ndarray | bool, problem: str) -> None:
        """Raise the error unless all of ``right`` holds."""
        if not np.all(right):
            raise self.error(problem)

    def numbers(self, offsets: np.ndarray, dtype: str) -> np.ndarray:
        """Return the numbers at offsets, which must be multiples of their size and within the file."""
        width = np.dtype(dtype).itemsize
        self.check(
            (offsets % width == 0) & (offsets >= 0) & (offsets <= self.size - width), "an offset is wrong"
        )
        if dtype not in self._views:
            self._views[dtype] = self._bytes[: self.size // width * width].view(dtype)
        return self._views[dtype][offsets // width]

    def root(self, identifier: bytes) -> Tables:
        """Return the root table of a file with this identifier."""
        if self._bytes[4:8].tobytes() != identifier:
            raise self.error(f"the file identifier {identifier.decode()} is missing")
        return Tables(self, self.numbers(np.zeros(1, np.int64), "<u4").astype(np.int64))

    def text(self, start: int, count: int) -> str:
        """Return a string of the file."""
        try:
            return self._bytes[start : start + count].tobytes().decode()
        except UnicodeDecodeError:
            raise self.error("a name is not UTF-8") from None

    def elements(self, vectors: Vectors, dtype: str) -> np.ndarray:
        """Return the elements of all vectors, one after the other."""
        width = np.dtype(dtype).itemsize
        total = int(vectors.counts.sum())
        # Vectors may be shared, but a file whose vectors add up to many times its size is malicious.
        self.check(total * width <= 16 * self.size, "its vectors are longer than the file")
        first = np.cumsum(vectors.counts) - vectors.counts
        offsets = np.arange(total) - np.repeat(first, vectors.counts)
        return self.numbers(np.repeat(vectors.starts, vectors.counts) + offsets * width, dtype)


class Tables:
    """Tables of one kind.

    Args:
        file: the file they are in.
        offsets: (N,) int64, where they begin.

    Raises:
        BundleError: a table or its vtable is not within the file.
    """

    def __init__(self, file: Flatbuffer, offsets: np.ndarray):
        self._file = file
        self.offsets = offsets
        file.check(offsets <= _LARGEST, "a table is farther than offsets reach")
        vtables = offsets - file.numbers(offsets, "<i4")
        self._sizes = file.numbers(vtables, "<u2").astype(np.int64)
        self._inline = file.numbers(vtables + 2, "<u2").astype(np.int64)
        self._vtables = vtables
        fits = (self._sizes >= 4) & (self._sizes % 2 == 0) & (vtables + self._sizes <= file.size)
        file.check(fits & (offsets + self._inline <= file.size), "a table does not end within the file")

    def __len__(self) -> int:
        return len(self.offsets)

    def only(self, fields: int) -> Tables:
        """Return the tables, after checking that they have only the first ``fields`` fields."""
        beyond = (int(self._sizes.max(initial=4)) - 4) // 2
        self._file.check(beyond <= fields + 16, "a table has fields that are not known")
        for field in range(fields, beyond):
            self._file.check(self._at(field, 1) == 0, "a table has fields that are not known")
        return self

    def has(self, field: int) -> np.ndarray:
        """Return which tables have a field, (N,) bool."""
        return self._at(field, 1) > 0

    def scalars(self, field: int, dtype: str, default: int = 0) -> np.ndarray:
        """Return a field's numbers, (N,); ``default`` where it is missing."""
        at = self._at(field, np.dtype(dtype).itemsize)
        found = np.full(len(self), default, dtype)
        there = at > 0
        found[there] = self._file.numbers((self.offsets + at)[there], dtype)
        return found

    def tables(self, field: int) -> tuple[Tables, np.ndarray]:
        """Return the tables that a field points to, and which of these tables have it, (N,) bool."""
        targets, there = self._targets(field)
        return Tables(self._file, targets[there]), there

    def vectors(self, field: int, width: int) -> Vectors:
        """Return the vectors that a field points to, of elements of ``width`` bytes."""
        targets, there = self._targets(field)
        counts = np.zeros(len(self), np.int64)
        counts[there] = self._file.numbers(targets[there], "<u4")
        starts = targets + 4
        fits = (starts % width == 0) & (starts + counts * width <= self._file.size)
        self._file.check(fits | ~there | (counts == 0), "a vector does not end within the file")
        return Vectors(starts, counts, there)

    def children(self, field: int) -> tuple[Tables, np.ndarray]:
        """Return the tables of a field's vectors, one after the other, and how many each has, (N,) int64."""
        vectors = self.vectors(field, 4)
        first = np.cumsum(vectors.counts) - vectors.counts
        distances = self._file.elements(vectors, "<u4")
        within = np.arange(len(distances)) - np.repeat(first, vectors.counts)
        offsets = np.repeat(vectors.starts, vectors.counts) + within * 4 + distances
        return Tables(self._file, offsets), vectors.counts

    def strings(self, field: int) -> Vectors:
        """Return the strings that a field points to, which must end in a NUL."""
        found = self.vectors(field, 1)
        ends = (found.starts + found.counts)[found.present]
        self._file.check(self._file.numbers(ends, "u1") == 0, "a string does not end")
        return found

    def texts(self, field: int) -> list[str]:
        """Return the strings that a field points to; empty ones where there are none."""
        found = self.strings(field)
        pairs = zip(found.starts.tolist(), found.counts.tolist(), strict=True)
        return [self._file.text(start, count) for start, count in pairs]

    def _at(self, field: int, width: int) -> np.ndarray:
        """Return a field's offset in each table, (N,) int64; 0 where it is missing."""
        at, slot = np.zeros(len(self), np.int64), 4 + 2 * field
        there = self._sizes >= slot + 2
        at[there] = self._file.numbers(self._vtables[there] + slot, "<u2")
        self._file.check(
            (at == 0) | ((at >= 4) & (at + width <= self._inline)), "a field is not in its table"
        )
        return at

    def _targets(self, field: int) -> tuple[np.ndarray, np.ndarray]:
        at = self._at(field, 4)
        there = at > 0
        offsets = (self.offsets + at)[there]
        targets = np.zeros(len(self), np.int64)
        targets[there] = offsets + self._file.numbers(offsets, "<u4")
        return targets, there
