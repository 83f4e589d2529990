"""The tables of a ``.tflite`` file as columns: tensors, operators, signatures; all offsets are checked.

Whether the model makes sense is checked in ``model_check``. Tensors and operators are numbered through all
subgraphs, so that one array holds them all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_attn.device.model_check.flatbuffer_reader import Flatbuffer, Tables, Vectors
from keras_attn.device.model_check.option_tables import OPTIONS

KINDS = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    15: "uint32",
    16: "uint16",
    17: "int4",
}
"""Supported types of tensors, by the format's numbers."""
BITS = {
    "float32": 32,
    "float16": 16,
    "int32": 32,
    "uint8": 8,
    "int64": 64,
    "string": 0,
    "bool": 8,
    "int16": 16,
    "complex64": 64,
    "int8": 8,
    "uint32": 32,
    "uint16": 16,
    "int4": 4,
}
LARGEST_RANK = 8
KNOWN_VALUES = 16
"""Constants of int32 or int64 of at most this many elements are read: axes, shapes and the like."""


class Signature(NamedTuple):
    """A signature: its subgraph, and the tensors of its inputs and outputs by name."""

    name: str
    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


class Lists(NamedTuple):
    """Lists of tensors, one per operator or subgraph.

    Attributes:
        values: all of them, one list after the other; -1 where an optional tensor is left out.
        counts: (N,) int64, lengths of the lists.
        owners: of each value, which list it is in.
        first: (N,) int64, where each list begins.
    """

    values: np.ndarray
    counts: np.ndarray
    owners: np.ndarray
    first: np.ndarray

    def of(self, i: int) -> np.ndarray:
        """Return list i."""
        return self.values[self.first[i] : self.first[i] + self.counts[i]]


class ModelFile:
    """A ``.tflite`` file. T tensors and N operators are those of all subgraphs.

    Args:
        content: the file's bytes, which may be mapped: only what is read is touched.
        where: the file's name in errors.

    Attributes:
        codes: (N,) int64, the format's numbers of the operators.
        custom: (N,) object, names of custom operators; empty for the others.
        custom_options: (N,) bool, whether an operator has options that only a custom one reads.
        options_kind: (N,) which table of ``OPTIONS`` an operator has; 0 for none.
        inputs, outputs: ``Lists`` of the operators' tensors.
        subgraph: (N,) the subgraph of each operator.
        kind: (T,) the format's number of each tensor's type.
        rank, dims: (T,) and (T, 8) int64, shapes, padded with ones.
        start, bytes: (T,) int64, offset and size of a tensor's constant data; 0 where there are none.
        dynamic: (T,) bool, whether a tensor's shape is known only when it runs.
        scales, scale_axis: (T,) how many quantization scales a tensor has, and along which axis.
        values: (T, 16) int64, elements of small constants of int32 and int64.
        graph_of: (T,) the subgraph of each tensor.
        graph_inputs, graph_outputs: ``Lists`` of the subgraphs' tensors.
        signatures: of the file.

    Raises:
        BundleError: an offset, an index or a size is wrong.
    """

    def __init__(self, content: bytes | np.ndarray, where: str):
        self.file = Flatbuffer(content, where)
        model = self.file.root(b"TFL3").only(10)
        check = self.file.check
        check(model.scalars(0, "<u4") == 3, "its version is not 3")
        check(~model.has(8) & ~model.has(9), "its weights are in other files")
        model.strings(3)
        self._read_buffers(model)
        graphs = model.children(2)[0].only(6)
        check(len(graphs) > 0, "it has no subgraph")
        graphs.strings(4)
        self.graph_count = len(graphs)
        tensors, self.tensor_counts = graphs.children(0)
        self._first_tensor = np.cumsum(self.tensor_counts) - self.tensor_counts
        self.graph_of = np.repeat(np.arange(len(graphs)), self.tensor_counts)
        self._read_tensors(tensors.only(11))
        every = np.arange(len(graphs))
        self.graph_inputs = self._tensor_lists(graphs.vectors(1, 4), every)
        self.graph_outputs = self._tensor_lists(graphs.vectors(2, 4), every)
        operators, self.operator_counts = graphs.children(3)
        self.subgraph = np.repeat(every, self.operator_counts)
        self.first_operator = np.cumsum(self.operator_counts) - self.operator_counts
        self._read_operators(operators.only(14), model.children(1)[0].only(4))
        self._read_signatures(model.children(7)[0].only(5))

    def _read_buffers(self, model: Tables) -> None:
        check = self.file.check
        model.vectors(5, 4)
        buffers = model.children(4)[0].only(3)
        inside = buffers.vectors(0, 1)
        offset, size = (buffers.scalars(field, "<u8") for field in (1, 2))
        check((offset <= self.file.size) & (size <= self.file.size), "a buffer is not within the file")
        behind = (inside.counts == 0) & (offset > 1)
        self._start = np.where(behind, offset.astype(np.int64), inside.starts)
        self._bytes = np.where(behind, size.astype(np.int64), inside.counts)
        check(
            self._start * (self._bytes > 0) + self._bytes <= self.file.size, "a buffer is not within the file"
        )
        check((self._start % 4 == 0) | (self._bytes == 0), "a buffer is not aligned")
        metadata = model.children(6)[0].only(2)
        metadata.strings(0)
        check(metadata.scalars(1, "<u4") < len(buffers), "it names a buffer that does not exist")

    def _read_tensors(self, tensors: Tables) -> None:
        file, check = self.file, self.file.check
        shapes = tensors.vectors(0, 4)
        check(shapes.counts <= LARGEST_RANK, f"a tensor has more than {LARGEST_RANK} dimensions")
        self.rank = shapes.counts
        self.dims = padded(file, shapes, LARGEST_RANK, 1)
        check(self.dims >= 0, "a tensor has a negative size")
        check(np.prod(self.dims.astype(np.float64), 1) < 2**31, "a tensor is too large")
        self.elements = np.prod(self.dims, 1)
        self.kind = tensors.scalars(1, "i1").astype(np.int64)
        check(np.isin(self.kind, list(KINDS)), "a tensor has an unknown type")
        buffer = tensors.scalars(2, "<u4")
        check(buffer < len(self._start), "a tensor names a buffer that does not exist")
        tensors.strings(3)
        check(tensors.scalars(5, "u1") == 0, "a tensor is a variable")
        check(
            ~tensors.has(6) & ~tensors.has(9) & (tensors.scalars(10, "<u4") == 0),
            "a tensor is sparse or elsewhere",
        )
        signature = tensors.vectors(7, 4)
        check((signature.counts == 0) | (signature.counts == self.rank), "a tensor has two ranks")
        known = padded(file, signature, LARGEST_RANK, 1)
        self.dynamic: np.ndarray = np.any(known < 0, axis=1)
        check(
            (known == self.dims) | (known == -1) | (signature.counts == 0)[:, None], "a tensor has two shapes"
        )
        self.start, self.bytes = self._start[buffer], self._bytes[buffer]
        bits = np.zeros(128, np.int64)
        bits[list(KINDS)] = [BITS[kind] for kind in KINDS.values()]
        self.size = (self.elements * bits[self.kind] + 7) // 8
        strings = self.kind == 5
        check(
            (self.bytes == 0) | strings | (self.bytes == self.size), "a constant is not as large as its shape"
        )
        self._read_quantization(tensors)
        self.values = np.zeros((len(tensors), KNOWN_VALUES), np.int64)
        for kind, words in ((2, 1), (4, 2)):
            small = (self.kind == kind) & (self.bytes > 0) & (self.elements <= KNOWN_VALUES)
            counts = np.where(small, self.elements * words, 0)
            read = padded(file, Vectors(self.start, counts, small), KNOWN_VALUES * words, 0)
            if words == 2:  # buffers are aligned to four bytes only
                read = (read[:, 1::2] << 32) + (read[:, ::2] & 0xFFFFFFFF)
            self.values[small] = read[small]
        self.constant = (self.bytes > 0) | ((self.elements == 0) & ~self.dynamic)

    def _read_quantization(self, tensors: Tables) -> None:
        check = self.file.check
        found, there = tensors.tables(4)
        found.only(7)
        for field in (0, 1):
            found.vectors(field, 4)
        scales, zeros, axis = found.vectors(2, 4), found.vectors(3, 8), found.scalars(6, "<i4")
        check((found.scalars(4, "u1") == 0) & ~found.has(5), "a tensor has a quantization that is not known")
        check(
            (scales.counts == zeros.counts) | (zeros.counts == 0), "a tensor has more scales than zero points"
        )
        quantized = np.flatnonzero(there)
        right = (axis >= 0) & (axis < np.maximum(self.rank[quantized], 1))
        check(right, "a tensor is quantized along an axis that it does not have")
        along = self.dims[quantized, np.clip(axis, 0, LARGEST_RANK - 1)]
        check((scales.counts <= 1) | (scales.counts == along), "a tensor lacks a scale for each row")
        check(self.file.elements(zeros, "<i8") == 0, "a tensor has a zero point")
        self.scales, self.scale_axis = np.zeros((2, len(tensors)), np.int64)
        self.scales[quantized], self.scale_axis[quantized] = scales.counts, axis

    def _tensor_lists(self, vectors: Vectors, subgraphs: np.ndarray, optional: bool = False) -> Lists:
        owners = np.repeat(np.arange(len(vectors.counts)), vectors.counts)
        local, graphs = self.file.elements(vectors, "<i4").astype(np.int64), subgraphs[owners]
        right = (local >= (-1 if optional else 0)) & (local < self.tensor_counts[graphs])
        self.file.check(right, "a tensor's number is wrong")
        values = np.where(local < 0, -1, local + self._first_tensor[graphs])
        return Lists(values, vectors.counts, owners, np.cumsum(vectors.counts) - vectors.counts)

    def _read_operators(self, operators: Tables, codes: Tables) -> None:
        check = self.file.check
        number = operators.scalars(0, "<u4")
        check(number < len(codes), "an operator's code does not exist")
        known = np.maximum(codes.scalars(0, "i1"), codes.scalars(3, "<i4")).astype(np.int64)
        self.codes, self.custom = known[number], np.array([*codes.texts(1), ""], object)[number]
        self.inputs = self._tensor_lists(operators.vectors(1, 4), self.subgraph, optional=True)
        self.outputs = self._tensor_lists(operators.vectors(2, 4), self.subgraph)
        self.custom_options = operators.vectors(5, 1).counts > 0
        unused = operators.has(12) | (operators.scalars(11, "u1") > 0)
        unused |= (operators.scalars(9, "<u8") > 0) | (operators.scalars(10, "<u8") > 0)
        more = operators.vectors(7, 1).counts + operators.vectors(8, 4).counts
        check(~unused & (more == 0), "an operator has options that are not known")
        kind = operators.scalars(3, "u1").astype(np.int64)
        tables, there = operators.tables(4)
        check(there == (kind > 0), "an operator lacks its options")
        self.options_kind = kind
        self._options: dict[str, np.ndarray] = {}
        with_options = np.flatnonzero(there)
        for each in np.unique(kind[there]):
            check(each in OPTIONS, "an operator has options that are not known")
            chosen = with_options[kind[with_options] == each]
            some = Tables(self.file, tables.offsets[kind[with_options] == each])
            self._read_options(some, chosen, OPTIONS[int(each)])

    def _read_options(self, tables: Tables, operators: np.ndarray, fields: dict[str, str]) -> None:
        # FULLY_CONNECTED may have a field on its quantization, which no supported runtime reads.
        tables.only(len(fields))
        for field, (name, dtype) in enumerate(fields.items()):
            number, _, default = dtype.partition("=")
            if dtype == "vector":
                vectors = tables.vectors(field, 4)
                self.file.check(vectors.counts <= LARGEST_RANK, "an operator's options are too long")
                column = np.column_stack([vectors.counts, padded(self.file, vectors, LARGEST_RANK, 0)])
            elif dtype == "count":
                column = tables.vectors(field, 4).counts
            else:
                column = tables.scalars(field, number, int(default or 0))
            if name not in self._options:
                shape = (len(self.codes), *column.shape[1:])
                self._options[name] = np.zeros(shape, np.float64)
            self._options[name][operators] = column

    @property
    def options(self) -> np.ndarray:
        """All options of all operators, (N, F) float64; 0 for options that an operator does not have."""
        columns = [each.reshape(len(self.codes), -1) for each in self._options.values()]
        return np.concatenate([np.zeros((len(self.codes), 1)), *columns], 1)

    def options_of(self, operator: int) -> dict[str, float | tuple[int, ...]]:
        """Return the options of an operator."""
        found: dict[str, float | tuple[int, ...]] = {}
        for name, dtype in OPTIONS.get(int(self.options_kind[operator]), {}).items():
            value = self._options[name][operator]
            if dtype == "vector":
                count, *elements = (int(each) for each in value)
                found[name] = tuple(elements[:count])
            else:
                found[name] = float(value) if dtype == "<f4" else int(value)
        return found

    def _read_signatures(self, tables: Tables) -> None:
        check, file = self.file.check, self.file
        keys, graphs = tables.texts(2), tables.scalars(4, "<u4").astype(np.int64)
        check(graphs < self.graph_count, "a signature names a subgraph that does not exist")
        check(len(set(keys)) == len(keys), "two signatures have the same name")
        sides = []
        for field, lists in ((0, self.graph_inputs), (1, self.graph_outputs)):
            maps, counts = tables.children(field)
            names, local = maps.only(2).texts(0), maps.scalars(1, "<u4").astype(np.int64)
            owners = np.repeat(np.arange(len(tables)), counts)
            check(
                local < self.tensor_counts[graphs[owners]], "a signature names a tensor that does not exist"
            )
            numbers = local + self._first_tensor[graphs[owners]]
            check(np.isin(numbers, lists.values), "a signature names a tensor that is not an input or output")
            found: list[dict[str, int]] = [{} for _ in keys]
            for owner, name, tensor in zip(owners.tolist(), names, numbers.tolist(), strict=True):
                if name in found[owner]:
                    raise file.error(f"signature {keys[owner]!r} has {name!r} twice")
                found[owner][name] = tensor
            sides.append(found)
        self.signatures = [Signature(*each) for each in zip(keys, graphs.tolist(), *sides, strict=True)]


def padded(file: Flatbuffer, vectors: Vectors, width: int, fill: int) -> np.ndarray:
    """Return vectors of at most ``width`` int32 as rows, (N, width) int64, padded with ``fill``."""
    rows = np.full((len(vectors.counts), width), fill, np.int64)
    rows[np.arange(width) < vectors.counts[:, None]] = file.elements(vectors, "<i4")
    return rows
