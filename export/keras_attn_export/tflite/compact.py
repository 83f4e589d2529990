"""Rewrites a .tflite file so that it holds everything once, and nothing that no runtime reads.

Signatures share weights, and those of different lengths differ in hardly more than shapes, but converters and
quantizers write everything once per subgraph. Here equal buffers become one, equal tensors, operators and
vectors become one table that several parents point to (which the flatbuffer format allows), and inner names
and metadata are removed. A further signature then takes a seventh of the bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_attn_export.tflite.edited_model import AlignedBuffer, EditedModel
from keras_attn_export.tflite.inspection import operator_name
from keras_attn_export.tflite.matrix_store import MatrixStore, write_model
from keras_attn_export.tflite.shared_corners import share_corners

_INTEGERS = (schema.TensorType.INT8, schema.TensorType.INT4)
_PER_ROW_VERSIONS = {"EMBEDDING_LOOKUP": 4, "FULLY_CONNECTED": 12}


def compact(content: bytes | bytearray) -> bytes:
    """Return an equivalent, smaller .tflite file.

    Args:
        content: a .tflite file.

    Returns:
        A file that computes the same. Inputs and outputs of signatures keep their names.
    """
    builder = _Builder(len(content))
    builder.Finish(_compacted(content).Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def write_compact(content: bytes, store: MatrixStore, path: Path) -> None:
    """Write the equivalent of a model whose matrices are in a store, with them, to a file."""
    write_model(_compacted(content), _Builder(len(content)), store, path)


def _compacted(content: bytes | bytearray) -> Any:
    """Return an equivalent `ModelT` that shares what is equal."""
    edited = EditedModel(content)
    share_corners(edited)
    model = edited.model
    _raise_versions(model)
    _share_buffers(edited)
    _strip_names(model)
    _strip_quantization(model)
    _share_tables(model)
    return model


class _Builder(flatbuffers.Builder):
    """A builder that writes equal vectors once."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._vectors: dict[Any, int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        key = _content(x)
        if key not in self._vectors:
            self._vectors[key] = super().CreateNumpyVector(x)
        return self._vectors[key]


class _Once:
    """An object that several parents point to: packed with the first of them."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.offset = 0

    def Pack(self, builder: Any) -> int:
        if not self.offset:  # No object is at offset 0.
            self.offset = self.inner.Pack(builder)
        return self.offset


def _share_buffers(edited: EditedModel) -> None:
    """Keep one buffer per content, drop the unused, and drop all metadata."""
    model = edited.model
    model.metadata = None
    model.metadataBuffer = None
    kept: list[AlignedBuffer] = [AlignedBuffer(b"")]  # Buffer 0 stands for "no data".
    index_of: dict[bytes, int] = {hashlib.sha256(b"").digest(): 0}
    new_index: dict[int, int] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.buffer not in new_index:
                data, key = edited.data(tensor.buffer), edited.key(tensor.buffer)
                if key not in index_of:
                    index_of[key] = len(kept)
                    kept.append(AlignedBuffer(data))
                new_index[tensor.buffer] = index_of[key]
            tensor.buffer = new_index[tensor.buffer]
    model.buffers = kept


def _strip_names(model: Any) -> None:
    """Keep only the names in signatures."""
    model.description = None
    for graph in model.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            tensor.name = None
    for definition in model.signatureDefs or []:
        graph = model.subgraphs[definition.subgraphIndex]
        for each in [*(definition.inputs or []), *(definition.outputs or [])]:
            graph.tensors[each.tensorIndex].name = each.name


def _strip_quantization(model: Any) -> None:
    """Keep only scales and zero points."""
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            parameters = tensor.quantization
            if parameters is None:
                continue
            if parameters.scale is None or len(parameters.scale) == 0:
                if parameters.detailsType == 0:
                    tensor.quantization = None
                continue
            # Ranges are for converters; no kernel reads them.
            parameters.min = parameters.max = None
            parameters.scale = np.asarray(parameters.scale, np.float32)
            zero = parameters.zeroPoint
            parameters.zeroPoint = None if zero is None else np.asarray(zero, np.int64)


def _share_tables(model: Any) -> None:
    """Store equal tensors and operators of all subgraphs, and equal parts of them, as one table each."""
    tables: dict[Any, _Once] = {}

    def shared(table: Any) -> Any:
        return None if table is None else tables.setdefault(_content(table), _Once(table))

    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.quantization = shared(tensor.quantization)
        for operator in graph.operators:
            operator.builtinOptions = shared(operator.builtinOptions)
            operator.builtinOptions2 = shared(operator.builtinOptions2)
        graph.tensors = [shared(tensor) for tensor in graph.tensors]
        graph.operators = [shared(operator) for operator in graph.operators]


def _content(value: Any) -> Any:
    """Return a key that is equal for equal parts of a model."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, list):
        return tuple(map(_content, value))
    if isinstance(value, _Once) or not hasattr(value, "__dict__"):
        return value
    return type(value), *map(_content, vars(value).values())


def _raise_versions(model: Any) -> None:
    """Set the version of operators that read int8 rows.

    The quantizer leaves version 1, with which an old runtime silently computes garbage. With the right
    version it refuses the file.
    """
    raised: dict[int, int] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = operator_name(model, operator)
            if name not in _PER_ROW_VERSIONS or not _has_scales_per_row(graph, operator):
                continue
            old = operator.opcodeIndex
            code = model.operatorCodes[old]
            if code.version >= _PER_ROW_VERSIONS[name]:
                continue
            if old not in raised:
                new = schema.OperatorCodeT()
                new.builtinCode, new.deprecatedBuiltinCode = code.builtinCode, code.deprecatedBuiltinCode
                new.version = _PER_ROW_VERSIONS[name]
                raised[old] = len(model.operatorCodes)
                model.operatorCodes.append(new)
            operator.opcodeIndex = raised[old]


def _has_scales_per_row(graph: Any, operator: Any) -> bool:
    tensor = graph.tensors[operator.inputs[1]]
    scales = None if tensor.quantization is None else tensor.quantization.scale
    return tensor.type in _INTEGERS and scales is not None and len(scales) > 1
