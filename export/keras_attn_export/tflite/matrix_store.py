"""Matrices of large models, which stay outside of the graphs until their file is written.

A converter holds all weights several times, and a flatbuffer holds no more than 2 GiB. So the graphs of a
large model are converted with its matrices as further inputs, named after their content. `matrices_inside`
makes constants of these, which hold only a name: every pass over the file is then quick. `write_model` puts
the matrices in their places, one after the other, inside of the flatbuffer or, where they are too large for
it, behind.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_attn_export.tflite.edited_model import AlignedBuffer, EditedGraph, EditedModel

LARGEST_INSIDE = 2**31 - 2**24
"""The most bytes of matrices in a flatbuffer, which has at most 2 GiB."""
_INPUT = "matrix_"
_NAMED = b"matrix outside of the graph: "
_ALIGNMENT = 64
_BLOCK = 2**24
_OFFSET_FIELD = 6  # of `Buffer`, in its vtable


class MatrixStore:
    """Matrices by names that are equal for equal ones, in files of a folder.

    Args:
        folder: is made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder

    def add(self, matrix: np.ndarray) -> str:
        """Keep a matrix; return its name."""
        matrix = np.ascontiguousarray(matrix)
        described = f"{matrix.dtype.str}{matrix.shape}".encode()
        name = hashlib.sha256(described + hashlib.sha256(matrix.data).digest()).hexdigest()[:32]
        if not self._file(name).exists():
            np.save(self._file(name), matrix)
        return name

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a matrix, which is mapped, not read."""
        return np.load(self._file(name), mmap_mode="r")

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.npy"


def input_name(name: str) -> str:
    """Return the name of the input of a signature that stands for a matrix."""
    return _INPUT + name


def named_buffer(name: str) -> np.ndarray:
    """Return the content of a buffer that stands for a matrix."""
    return np.frombuffer(_NAMED + name.encode(), np.uint8)


def matrix_name(data: bytes) -> str | None:
    """Return the name of the matrix that a buffer's content stands for; `None` for other content."""
    return data[len(_NAMED) :].decode() if data.startswith(_NAMED) else None


def matrices_inside(content: bytes, store: MatrixStore) -> bytes:
    """Make constants of the inputs that stand for matrices, and of their transposes and other shapes."""
    edited = EditedModel(content)
    for definition in edited.model.signatureDefs:
        graph = EditedGraph(edited, edited.model.subgraphs[definition.subgraphIndex])
        found = {
            int(each.tensorIndex): each.name.decode().removeprefix(_INPUT)
            for each in definition.inputs
            if each.name.decode().startswith(_INPUT)
        }
        definition.inputs = [each for each in definition.inputs if int(each.tensorIndex) not in found]
        graph.graph.inputs = np.array([t for t in graph.graph.inputs if int(t) not in found], np.int32)
        _fold_shapes(graph, found, store)
        _fold_offsets(graph, found, store)
        read = {int(tensor) for operator in graph.operators for tensor in operator.inputs}
        for tensor in found.keys() & read:
            graph.graph.tensors[tensor].buffer = edited.add_buffer(named_buffer(found[tensor]))
    return edited.packed()


def _fold_shapes(graph: EditedGraph, found: dict[int, str], store: MatrixStore) -> None:
    """Compute what transposes and reshapes matrices, and remove these operators."""
    kept = []
    for operator in graph.operators:
        kind, source = graph.kind(operator), int(operator.inputs[0]) if len(operator.inputs) else -1
        if kind not in ("RESHAPE", "TRANSPOSE") or source not in found:
            kept.append(operator)
            continue
        (target,), matrix = operator.outputs, store[found[source]]
        axes = graph.values(int(operator.inputs[1])) if kind == "TRANSPOSE" else None
        turned = matrix if axes is None else matrix.transpose(axes)
        found[int(target)] = store.add(turned.reshape(graph.shape(int(target))))
    graph.graph.operators = kept


def _fold_offsets(graph: EditedGraph, found: dict[int, str], store: MatrixStore) -> None:
    """Add a normalization's offset behind the matrix, W (x + b) + c = W x + (W b + c), as converters do.

    What gets 8 bits is then x, whose channels are more alike.
    """
    writers = graph.writers()
    for operator in graph.operators:
        if graph.kind(operator) != "FULLY_CONNECTED" or int(operator.inputs[1]) not in found:
            continue
        adding = writers.get(int(operator.inputs[0]))
        bias = graph.values(int(operator.inputs[2])) if len(operator.inputs) > 2 else None
        if bias is None or adding is None or graph.kind(adding) != "ADD":
            continue
        tensor, vector = (int(each) for each in adding.inputs)
        offset = graph.values(vector)
        if offset is None or offset.ndim != 1 or graph.shape(tensor) != graph.shape(int(adding.outputs[0])):
            continue
        if adding.builtinOptions.fusedActivationFunction:
            continue
        moved = (store[found[int(operator.inputs[1])]] @ offset + bias).astype(np.float32)
        operator.inputs = np.array([tensor, operator.inputs[1], graph.add_constant(moved)], np.int32)
    readers = graph.readers()
    graph.graph.operators = [
        each for each in graph.operators if any(readers.get(int(tensor)) for tensor in each.outputs)
    ]


def quantize_matrices(content: bytes, store: MatrixStore) -> bytes:
    """Give matrices that are multiplied, or looked up, 8 bits and a scale per row, as the quantizer does.

    Args:
        content: from `matrices_inside`.
        store: keeps the quantized matrices as well.
    """
    edited = EditedModel(content)
    rounded: dict[str, tuple[str, np.ndarray]] = {}
    for subgraph in edited.model.subgraphs:
        graph = EditedGraph(edited, subgraph)
        twins: dict[int, int] = {}
        for operator in graph.operators:
            if graph.kind(operator) not in ("FULLY_CONNECTED", "EMBEDDING_LOOKUP"):
                continue
            tensor = int(operator.inputs[1])
            name = matrix_name(edited.data(subgraph.tensors[tensor].buffer))
            if name is None:
                continue
            if name not in rounded:
                rounded[name] = _rounded(store, name)
            if tensor not in twins:
                twins[tensor] = _quantized_twin(graph, tensor, *rounded[name])
            graph.replace_input(operator, tensor, twins[tensor])
        read = {int(tensor) for operator in graph.operators for tensor in operator.inputs}
        for tensor in twins.keys() - read:
            subgraph.tensors[tensor].buffer = 0
    return edited.packed()


def _rounded(store: MatrixStore, name: str) -> tuple[str, np.ndarray]:
    """Round a matrix (O, I); return the name of the result and its scales (O,)."""
    matrix = store[name]
    whole, scales = np.empty(matrix.shape, np.int8), np.empty(len(matrix), np.float32)
    step = max(1, _BLOCK // matrix.shape[1])
    for first in range(0, len(matrix), step):
        rows = matrix[first : first + step]
        scale = np.maximum(np.abs(rows).max(1), np.float32(1e-9)) / np.float32(127)
        scales[first : first + step] = scale
        whole[first : first + step] = np.clip(np.rint(rows / scale[:, None]), -127, 127)
    return store.add(whole), scales


def _quantized_twin(graph: EditedGraph, tensor: int, name: str, scales: np.ndarray) -> int:
    """Add the tensor of a quantized matrix beside that of its floats."""
    buffer = graph.owner.add_buffer(named_buffer(name))
    twin = graph.add_tensor(graph.shape(tensor), schema.TensorType.INT8, buffer)
    quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = scales, np.zeros(len(scales), np.int64)
    quantization.quantizedDimension = 0
    graph.graph.tensors[twin].quantization = quantization
    return twin


def write_model(model: Any, builder: Any, store: MatrixStore, path: Path) -> None:
    """Pack a model, and write it with the matrices that its buffers name.

    Args:
        model: `ModelT`, its buffers `AlignedBuffer`.
        builder: packs it.
        store: holds the matrices.
        path: of the file.
    """
    named = {i: name for i, each in enumerate(model.buffers) if (name := matrix_name(bytes(each.data)))}
    size = sum(store[name].nbytes + _ALIGNMENT for name in named.values())
    inside = size < LARGEST_INSIDE
    for i, name in named.items():
        matrix = store[name]
        model.buffers[i] = (
            AlignedBuffer(matrix.reshape(-1).view(np.uint8).data) if inside else _Behind(matrix)
        )
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    packed = builder.Output()
    with path.open("wb") as file:
        file.write(packed)
        if not inside:
            for field, matrix in _fields(packed, model.buffers):
                file.seek(0, 2)
                file.write(bytes(-file.tell() % _ALIGNMENT))
                start = file.tell()
                file.write(matrix.reshape(-1).view(np.uint8).data)
                file.seek(field)
                file.write(struct.pack("<Q", start))


class _Behind:
    """A buffer whose data is behind the flatbuffer.

    Attributes:
        matrix: its data.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def Pack(self, builder: Any) -> int:
        """Write the buffer, with an offset that is written once it is known."""
        schema.BufferStart(builder)
        schema.BufferAddOffset(builder, 2**62)
        schema.BufferAddSize(builder, self.matrix.nbytes)
        return schema.BufferEnd(builder)


def _fields(packed: bytearray, buffers: list[Any]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield where the offset of each buffer behind the flatbuffer is written, and its data."""
    root = schema.Model.GetRootAs(packed, 0)
    for i, each in enumerate(buffers):
        if isinstance(each, _Behind):
            table = root.Buffers(i)._tab
            yield table.Pos + table.Offset(_OFFSET_FIELD), each.matrix
