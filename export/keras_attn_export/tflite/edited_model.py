"""A .tflite file as it is rewritten: constants, tensors and operators to read, add and replace."""

from __future__ import annotations

import collections
import functools
import hashlib
import heapq
from collections.abc import Iterable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_attn_export.tflite.inspection import buffer_bytes, operator_name, read_object

_TYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.BOOL: np.bool_,
}
_KINDS = {np.dtype(dtype): kind for kind, dtype in _TYPES.items()}
# The schema wants constants aligned for vector loads; the generated writer does not do that.
_ALIGNMENT = 16


class EditedModel:
    """A model, with the graphs of its signatures.

    Attributes:
        model: `ModelT`.
        graphs: of the signatures, each once.
    """

    def __init__(self, content: bytes | bytearray) -> None:
        self.model = read_object(content)
        self._content = content
        self._buffers: dict[bytes, int] = {}
        self._named = sum(len(graph.tensors) for graph in self.model.subgraphs)
        indices = dict.fromkeys(int(each.subgraphIndex) for each in self.model.signatureDefs or [])
        self.graphs = [EditedGraph(self, self.model.subgraphs[index]) for index in indices]

    def data(self, buffer: int) -> bytes:
        """Return a buffer's bytes; empty where a tensor is computed."""
        return buffer_bytes(self.model.buffers[buffer], self._content)

    @functools.cache  # noqa: B019  as long as the model
    def key(self, buffer: int) -> bytes:
        """Return what is equal for equal buffers; they never change."""
        return hashlib.sha256(self.data(buffer)).digest()

    def add_buffer(self, values: np.ndarray) -> int:
        """Add constant data, or find it."""
        data = np.ascontiguousarray(values).tobytes()
        key = hashlib.sha256(data).digest()
        if key not in self._buffers:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data, np.uint8)
            self.model.buffers.append(buffer)
            self._buffers[key] = len(self.model.buffers) - 1
        return self._buffers[key]

    def opcode(self, kind: str, version: int = 1) -> int:
        """Return the index of an operator's code, which is added if it is not there."""
        number = getattr(schema.BuiltinOperator, kind)
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number and code.version == version:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = number, version
        code.deprecatedBuiltinCode = min(number, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def new_name(self) -> bytes:
        """Return a name for a tensor: quantizers distinguish those of all graphs by their names."""
        self._named += 1
        return b"added_%d" % self._named

    def packed(self) -> bytes:
        """Return the .tflite file, without the data that nothing reads any more."""
        used = {int(tensor.buffer) for graph in self.model.subgraphs for tensor in graph.tensors}
        used |= {int(each.buffer) for each in self.model.metadata or []}
        buffers = [
            AlignedBuffer(self.data(index) if index in used else b"")
            for index in range(len(self.model.buffers))
        ]
        self.model.buffers, size = buffers, sum(len(each.data) for each in buffers)
        builder = flatbuffers.Builder(size + 1_000_000)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


class EditedGraph:
    """The graph of a signature.

    Attributes:
        owner: the model.
        graph: `SubGraphT`.
    """

    def __init__(self, owner: EditedModel, graph: Any) -> None:
        self.owner = owner
        self.graph = graph

    @property
    def operators(self) -> list[Any]:
        """All operators, each after those whose outputs it reads."""
        return self.graph.operators

    def kind(self, operator: Any) -> str:
        """Return an operator's name in the schema."""
        return operator_name(self.owner.model, operator)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        found = self.graph.tensors[tensor].shape
        return () if found is None else tuple(int(size) for size in found)

    def values(self, tensor: int) -> np.ndarray | None:
        """Return a constant; `None` for a tensor that is computed, or of a type that is not read here."""
        found = self.graph.tensors[tensor]
        data = self.owner.data(found.buffer)
        if not data or found.type not in _TYPES:
            return None
        return np.frombuffer(data, _TYPES[found.type]).reshape(self.shape(tensor))

    def readers(self) -> dict[int, list[Any]]:
        """Return the operators that read each tensor, one that reads it twice twice; `None` for an output."""
        found: dict[int, list[Any]] = collections.defaultdict(list)
        for operator in self.operators:
            for tensor in operator.inputs:
                found[int(tensor)].append(operator)
        for tensor in self.graph.outputs:
            found[int(tensor)].append(None)
        return found

    def writers(self) -> dict[int, Any]:
        """Return the operator that computes each tensor."""
        return {int(tensor): operator for operator in self.operators for tensor in operator.outputs}

    def add_constant(self, values: np.ndarray) -> int:
        """Add a constant tensor."""
        return self.add_tensor(values.shape, _KINDS[values.dtype], buffer=self.owner.add_buffer(values))

    def add_tensor(self, shape: Iterable[int], kind: int, buffer: int = 0) -> int:
        """Add a tensor, which is computed if its buffer is 0; return its index."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = np.array([*shape], np.int32), kind, buffer
        tensor.name = self.owner.new_name()
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def set_values(self, tensor: int, values: np.ndarray) -> None:
        """Let a constant have other values."""
        self.graph.tensors[tensor].buffer = self.owner.add_buffer(values)

    def like(self, tensor: int, shape: Iterable[int] | None = None) -> int:
        """Add a computed tensor of another's type and, by default, shape."""
        return self.add_tensor(
            self.shape(tensor) if shape is None else shape, self.graph.tensors[tensor].type
        )

    def operator(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> Any:
        """Return a new operator, which has yet to be inserted among the others."""
        made = schema.OperatorT()
        made.opcodeIndex = self.owner.opcode(kind)
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        name = f"{''.join(part.title() for part in kind.split('_'))}Options"
        made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        made.builtinOptions = getattr(schema, f"{name}T")()
        for option, value in options.items():
            setattr(made.builtinOptions, option, value)
        return made

    def reshaping(self, source: int, target: int) -> Any:
        """Return a new operator that gives a tensor the shape of another, which it computes."""
        shape = np.array(self.shape(target), np.int32)
        return self.operator("RESHAPE", [source, self.add_constant(shape)], [target], newShape=shape)

    def resize(self, tensor: int, axis: int, size: int) -> None:
        """Change the size of one axis of a computed tensor."""
        found = self.graph.tensors[tensor]
        found.shape = np.array([*found.shape[:axis], size, *found.shape[axis + 1 :]], np.int32)
        found.shapeSignature = None

    def add_output(self, definition: Any, tensor: int, name: str) -> None:
        """Let a signature of the graph, `SignatureDefT`, return a tensor as well."""
        output = schema.TensorMapT()
        output.name, output.tensorIndex = name.encode(), tensor
        definition.outputs.append(output)
        self.graph.outputs = np.array([*self.graph.outputs, tensor], np.int32)

    def insert(self, operator: Any, after: int | None = None) -> None:
        """Insert an operator behind the one that computes a tensor, or before all others."""
        place = 0
        if after is not None:
            place = next(
                (i + 1 for i, each in enumerate(self.operators) if after in each.outputs),
                0,
            )
        self.operators.insert(place, operator)

    def sort(self) -> None:
        """Put operators behind those whose outputs they read, and otherwise leave them in their order."""
        writers = {tensor: self.operators.index(operator) for tensor, operator in self.writers().items()}
        before = [{writers[int(each)] for each in op.inputs if int(each) in writers} for op in self.operators]
        after: dict[int, list[int]] = collections.defaultdict(list)
        for number, needed in enumerate(before):
            for each in needed:
                after[each].append(number)
        ready = [number for number, needed in enumerate(before) if not needed]
        order = []
        while ready:
            number = heapq.heappop(ready)
            order.append(number)
            for each in after[number]:
                before[each].discard(number)
                if not before[each]:
                    heapq.heappush(ready, each)
        self.graph.operators = [self.operators[number] for number in order]

    def replace(self, old: Any, new: Any) -> None:
        """Replace an operator."""
        self.operators[self.operators.index(old)] = new

    def replace_input(self, operator: Any, old: int, new: int) -> None:
        """Let an operator read another tensor."""
        operator.inputs = np.array([new if each == old else each for each in operator.inputs], np.int32)


class AlignedBuffer:
    """A buffer that packs its bytes aligned.

    Attributes:
        data: the bytes.
    """

    offset = size = 0

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data

    def Pack(self, builder: Any) -> int:
        """Write the buffer, as the schema's own class does."""
        vector = None
        if self.data:
            builder.StartVector(1, len(self.data), _ALIGNMENT)
            builder.head = builder.head - len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)
