"""What a .tflite file takes and returns: its signatures, or its default subgraph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn_export.tflite.inspection import read_object, tensor_type, text_of

_QUANTIZED = frozenset({"INT4", "INT8", "UINT8", "INT16"})


@dataclass(frozen=True)
class FileTensor:
    """An input or output.

    Attributes:
        name: in the signature; the tensor's own where there is no signature.
        tensor: the tensor's own name.
        index: of the tensor in its subgraph.
        shape: with the batch axis; None for a dynamic size.
        dtype: as the schema calls it, such as "FLOAT32".
        scale: of a quantized tensor, else None.
        zero_point: of a quantized tensor.
    """

    name: str
    tensor: str
    index: int
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int = 0

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name!r} of shape ({sizes}) and type {self.dtype.lower()}"

    def stored(self, array: np.ndarray) -> np.ndarray:
        """Return values as the tensor stores them, quantized if it is."""
        kind = np.dtype(self.dtype.lower())
        if self.scale is None:
            return np.ascontiguousarray(array.astype(kind))
        limits = np.iinfo(kind)
        whole = np.round(array.astype(np.float64) / self.scale) + self.zero_point
        return np.clip(whole, limits.min, limits.max).astype(kind)

    def read(self, array: np.ndarray) -> np.ndarray:
        """Return the values that a stored array stands for."""
        if self.scale is None:
            return array
        return ((array.astype(np.float64) - self.zero_point) * self.scale).astype(np.float32)


@dataclass(frozen=True)
class FileSignature:
    """A signature; without a name, the default subgraph.

    Attributes:
        name: None where the file has no signatures.
        inputs, outputs: in the order of the subgraph.
    """

    name: str | None
    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]

    @property
    def title(self) -> str:
        """The name for people."""
        return self.name or "default"


def read_signatures(content: bytes) -> list[FileSignature]:
    """Return the signatures of a file, or its default subgraph.

    Raises:
        ArgumentError: it is not a TFLite file.
    """
    model = read_object(content)
    if not model.signatureDefs:
        graph = model.subgraphs[0]
        sides = (
            [(text_of(graph.tensors[i].name), i) for i in each] for each in (graph.inputs, graph.outputs)
        )
        inputs, outputs = (tuple(_tensor(graph, name, i) for name, i in side) for side in sides)
        return [FileSignature(None, inputs, outputs)]
    found = []
    for each in model.signatureDefs:
        graph = model.subgraphs[each.subgraphIndex]
        inputs, outputs = (
            tuple(
                _tensor(graph, text_of(one.name), int(one.tensorIndex))
                for one in sorted(maps or [], key=lambda one: _place(order, int(one.tensorIndex)))
            )
            for maps, order in ((each.inputs, graph.inputs), (each.outputs, graph.outputs))
        )
        found.append(FileSignature(text_of(each.signatureKey), inputs, outputs))
    return found


def _place(order: Any, index: int) -> int:
    listed = [int(each) for each in order]
    return listed.index(index) if index in listed else len(listed)


def _tensor(graph: Any, name: str, index: int) -> FileTensor:
    tensor = graph.tensors[index]
    sizes = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    shape = tuple(None if int(size) < 0 else int(size) for size in ([] if sizes is None else sizes))
    dtype, scale, zero_point = tensor_type(tensor), None, 0
    details = tensor.quantization
    if dtype in _QUANTIZED and details is not None and details.scale is not None and len(details.scale):
        scale = float(details.scale[0])
        zero_point = int(details.zeroPoint[0]) if details.zeroPoint is not None else 0
    return FileTensor(name, text_of(tensor.name), int(index), shape, dtype, scale, zero_point)
