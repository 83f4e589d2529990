"""Sequences of tokens, concatenated in one array, which may be memory-mapped from disk."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from keras_attn.data.corpora.checksums import damage, write_checksums
from keras_attn.data.errors import DataError
from keras_attn.device.files.atomic_write import replaced_folder


@dataclass(frozen=True, eq=False)
class Ragged(Sequence[np.ndarray]):
    """Sequences of different lengths.

    Attributes:
        flat: (N,) int32, all tokens, one sequence after another.
        ends: (n,) int64, where each sequence ends.
    """

    flat: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[Sequence[int] | np.ndarray]) -> "Ragged":
        """Concatenate sequences."""
        arrays = [np.asarray(row, np.int32) for row in rows]
        flat = np.concatenate(arrays) if arrays else np.zeros(0, np.int32)
        return cls(flat, np.cumsum([len(array) for array in arrays], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return self.flat[self.ends[index - 1] if index else 0 : self.ends[index]]

    @property
    def lengths(self) -> np.ndarray:
        """Lengths of all sequences, (n,) int64."""
        return np.diff(self.ends, prepend=0)

    def lengths_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the lengths (R,) of some sequences."""
        return self.ends[rows] - np.where(rows > 0, self.ends[rows - 1], 0)

    def padded(self, rows: np.ndarray, width: int, filler: int) -> np.ndarray:
        """Return some sequences, none longer than `width`, padded to (R, width) int32."""
        lengths = self.lengths_of(rows)
        columns = np.arange(width)
        exists = columns < lengths[:, None]  # (R, width)
        found = np.full(exists.shape, filler, np.int32)
        found[exists] = self.flat[((self.ends[rows] - lengths)[:, None] + columns)[exists]]
        return found


def stored(folder: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return arrays that are kept on disk, mapped into memory.

    Args:
        folder: where they are kept, one `.npy` each, with their SHA-256; made if it is not there.
        make: returns the arrays by name.

    Raises:
        DataError: if an array is damaged.
    """
    if not folder.is_dir():
        with replaced_folder(folder) as aside:
            for name, array in make().items():
                np.save(aside / f"{name}.npy", array, allow_pickle=False)
            write_checksums(aside)
    if (damaged := damage(folder)) is not None:
        raise DataError(f"{damaged}; delete {folder}; it will be written again.")
    # As plain arrays: slicing NumPy's memmap class takes ten times as long.
    return {path.stem: np.asarray(np.load(path, mmap_mode="r")) for path in sorted(folder.glob("*.npy"))}
