"""Tables that are the beginning of a longer signature's: positions, rotations, causal masks, relative biases.

The converter computes what depends on lengths only, so that each signature has its own table of positions.
That of 64 tokens is the corner of that of 128: here it becomes a SLICE of it, and the file holds only the
longest.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from keras_attn_export.tflite.edited_model import EditedGraph, EditedModel

_SMALLEST = 4096
"""Bytes of a table from which on sharing saves more than its operator takes."""
# Their kernels take a table that is computed as well as a constant one.
_READERS = frozenset(("ADD", "SUB", "MUL", "LOGICAL_AND", "LOGICAL_OR", "SELECT_V2"))
_Use = tuple[EditedGraph, int]


def share_corners(model: EditedModel) -> None:
    """Let each table that is a corner of a larger one be cut out of it, in the graphs of signatures."""
    kept: list[_Use] = []
    for (graph, tensor), *others in sorted(_tables(model), key=lambda uses: -_size(uses[0])):
        values = graph.values(tensor)
        whole = next((use for use in kept if _is_corner(values, use[0].values(use[1]))), None)
        if whole is None:
            kept.append((graph, tensor))
            continue
        for use in ((graph, tensor), *others):
            _cut(*use, *whole)


def _tables(model: EditedModel) -> Iterable[list[_Use]]:
    """Find constants of two axes or more that only `_READERS` read, and the uses of each."""
    found: dict[tuple[bytes, tuple[int, ...]], list[_Use]] = {}
    for graph in model.graphs:
        for tensor, readers in graph.readers().items():
            if tensor < 0 or None in readers or not {graph.kind(each) for each in readers} <= _READERS:
                continue
            shape, values = graph.shape(tensor), graph.values(tensor)
            if values is not None and values.ndim >= 2 and values.nbytes >= _SMALLEST:
                key = model.key(graph.graph.tensors[tensor].buffer)
                found.setdefault((key, shape), []).append((graph, tensor))
    return found.values()


def _size(use: _Use) -> int:
    return int(np.prod(use[0].shape(use[1])))


def _is_corner(part: np.ndarray | None, whole: np.ndarray | None) -> bool:
    if part is None or whole is None or part.dtype != whole.dtype or part.ndim != whole.ndim:
        return False
    if part.size == whole.size or any(a > b for a, b in zip(part.shape, whole.shape, strict=True)):
        return False
    return np.array_equal(part, whole[tuple(map(slice, part.shape))])


def _cut(graph: EditedGraph, tensor: int, source: EditedGraph, whole: int) -> None:
    """Compute a constant as the beginning of another graph's, before everything else."""
    found, other = graph.graph.tensors[tensor], source.graph.tensors[whole]
    shape = np.array(graph.shape(tensor), np.int32)
    inputs = [
        graph.add_tensor(source.shape(whole), other.type, buffer=other.buffer),
        graph.add_constant(np.zeros_like(shape)),
        graph.add_constant(shape),
    ]
    graph.insert(graph.operator("SLICE", inputs, [tensor]))
    found.buffer = 0
