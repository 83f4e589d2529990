"""Rewrites a .tflite file so that all its numbers have 32 bits, which every runtime computes with.

Keras counts and indexes with 64 bits in many places, and images come as 8; browsers and old runtimes have few
operators for either. Only numbers beyond 32 bits would compute something else, which the proof finds.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_attn_export.tflite.inspection import buffer_bytes, read_object

_INT32, _FLOAT32 = schema.TensorType.INT32, schema.TensorType.FLOAT32
_OTHERS = {
    schema.TensorType.INT64: np.int64,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.UINT16: np.uint16,
    schema.TensorType.UINT32: np.uint32,
    schema.TensorType.UINT64: np.uint64,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.FLOAT64: np.float64,
}
_TYPE_OPTIONS = ("inDataType", "outDataType", "outputType", "outType", "idxOutType")
"""Names of the options of operators that say a type: CAST's, ARG_MAX's, SHAPE's and UNIQUE's."""


def in_32_bits(content: bytes) -> bytes:
    """Return a .tflite file that computes the same with numbers of 32 bits.

    Args:
        content: a .tflite file without quantized tensors.
    """
    model = read_object(content)
    graphs = model.subgraphs
    if not any(tensor.type in _OTHERS for graph in graphs for tensor in graph.tensors):
        return content
    converted: dict[tuple[int, int], int] = {}  # buffers may be shared by tensors of several types
    for graph in graphs:
        for tensor in graph.tensors:
            if tensor.type in _OTHERS:
                key = tensor.buffer, tensor.type
                if key not in converted:
                    converted[key] = _converted(model, content, *key)
                tensor.buffer, tensor.type = converted[key], _narrow(tensor.type)
        for operator in graph.operators:
            for name in _TYPE_OPTIONS:
                kind = getattr(operator.builtinOptions, name, _INT32)
                if kind in _OTHERS:
                    setattr(operator.builtinOptions, name, _narrow(kind))
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _converted(model: Any, content: bytes, index: int, kind: int) -> int:
    """Return the index of a buffer of a constant in 32 bits; of no data, the same."""
    data = buffer_bytes(model.buffers[index], content)
    if not data:
        return index
    numbers = np.frombuffer(data, _OTHERS[kind])
    if _narrow(kind) == _FLOAT32:
        numbers = numbers.astype(np.float32)
    else:
        limits = np.iinfo(np.int32)  # the end of an open slice is the largest number of 64 bits
        numbers = np.clip(numbers, limits.min, limits.max).astype(np.int32)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(numbers.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _narrow(kind: int) -> int:
    return _FLOAT32 if np.issubdtype(_OTHERS[kind], np.floating) else _INT32
