"""Tables that are the beginning of a longer signature's: positions, rotations, causal masks, relative biases.

The converter computes what depends on lengths only, so that each signature has its own table of positions. That
of 64 tokens is the corner of that of 128: here it becomes a SLICE of it, and the file holds the longest alone.
"""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_attn_export.tflite.inspection import buffer_bytes, operator_name

_SMALLEST = 4096
"""Bytes of a table from which on sharing saves more than its operator takes."""
_TYPES = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.BOOL: np.bool_}
# Their kernels take a table that is computed as well as a constant one.
_READERS = frozenset(("ADD", "SUB", "MUL", "LOGICAL_AND", "LOGICAL_OR", "SELECT_V2"))


def share_corners(model: Any, content: bytes | bytearray) -> None:
    """Let each table that is a corner of a larger one be cut out of it, in the graphs of signatures.

    Args:
        model: `ModelT`; it is changed.
        content: the file that it was read from.
    """
    graphs = [model.subgraphs[each.subgraphIndex] for each in model.signatureDefs or []]
    tables = sorted(_tables(model, graphs, content).values(), key=lambda table: -table.nbytes)
    kept: list[_Table] = []
    for table in tables:
        whole = next((other for other in kept if table.is_corner_of(other)), None)
        if whole is None:
            kept.append(table)
            continue
        for graph, tensor in table.tensors:
            _cut(model, graph, tensor, whole)


class _Table:
    """A constant, and the tensors of graphs that it is."""

    def __init__(self, buffer: int, values: np.ndarray) -> None:
        self.buffer = buffer
        self.values = values
        self.tensors: list[tuple[Any, Any]] = []

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def is_corner_of(self, other: _Table) -> bool:
        mine, theirs = self.values, other.values
        if mine.dtype != theirs.dtype or mine.ndim != theirs.ndim or mine.nbytes == theirs.nbytes:
            return False
        if any(one > another for one, another in zip(mine.shape, theirs.shape, strict=True)):
            return False
        return np.array_equal(mine, theirs[tuple(map(slice, mine.shape))])


def _tables(model: Any, graphs: list[Any], content: bytes | bytearray) -> dict[Any, _Table]:
    """Find constants of two axes or more that only operators read which take computed ones as well."""
    found: dict[Any, _Table] = {}
    for graph in graphs:
        readers: dict[int, set[str]] = collections.defaultdict(set)
        for operator in graph.operators:
            for index in operator.inputs:
                readers[int(index)].add(operator_name(model, operator))
        for index, names in readers.items():
            tensor = graph.tensors[index]
            if not names <= _READERS or tensor.type not in _TYPES or tensor.shape is None:
                continue
            data = buffer_bytes(model.buffers[tensor.buffer], content)
            shape = tuple(int(size) for size in tensor.shape)
            if len(shape) < 2 or len(data) < _SMALLEST:
                continue
            values = np.frombuffer(data, _TYPES[tensor.type]).reshape(shape)
            found.setdefault((data, shape), _Table(tensor.buffer, values)).tensors.append((graph, tensor))
    return found


def _cut(model: Any, graph: Any, tensor: Any, whole: _Table) -> None:
    """Compute a constant tensor as the beginning of another table, before everything else."""
    source = _constant(graph, tensor.type, whole.values.shape, whole.buffer)
    rank = np.array([len(tensor.shape)], np.int32)
    begin = _constant(graph, schema.TensorType.INT32, rank, _buffer(model, np.zeros(rank, np.int32)))
    size = _constant(graph, schema.TensorType.INT32, rank, _buffer(model, np.array(tensor.shape, np.int32)))
    operator = schema.OperatorT()
    operator.opcodeIndex = _slice_code(model)
    operator.inputs = np.array([source, begin, size], np.int32)
    operator.outputs = np.array([graph.tensors.index(tensor)], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.SliceOptions
    operator.builtinOptions = schema.SliceOptionsT()
    graph.operators.insert(0, operator)
    tensor.buffer = 0


def _constant(graph: Any, kind: int, shape: Any, buffer: int) -> int:
    tensor = schema.TensorT()
    tensor.type, tensor.shape, tensor.buffer = kind, np.array(shape, np.int32), buffer
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _buffer(model: Any, values: np.ndarray) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _slice_code(model: Any) -> int:
    kind = schema.BuiltinOperator.SLICE
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == kind and code.version == 1:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, kind, 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
