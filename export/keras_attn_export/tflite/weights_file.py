"""The weights of a model as a safetensors file, written and read one by one: all may not fit twice."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np


def write_weights(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write float32 arrays."""
    header, end = {}, 0
    for name, array in arrays.items():
        size = 4 * math.prod(array.shape)
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [end, end + size]}
        end += size
    described = json.dumps(header).encode()
    described += b" " * (-len(described) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(described)) + described)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, np.float32).data)


class WeightsFile(Mapping[str, np.ndarray]):
    """The arrays of a safetensors file, each read when it is asked for."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        self._file = safe_open(path, "numpy")
        self._names = frozenset(self._file.keys())

    def __getitem__(self, name: str) -> np.ndarray:
        return self._file.get_tensor(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
