"""The contents of a .tflite file: operators, versions, types, signatures, sizes; and what is not allowed.

Uses the schema classes that ship with LiteRT, so nothing here imports TensorFlow.
"""

from __future__ import annotations

import collections
import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from keras_attn.errors import ArgumentError

_OPERATOR_NAMES = {
    number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)
}
_TYPE_NAMES = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
_CUSTOM = "CUSTOM"
# Resource variables: an untracked weight silently becomes one, and the file then returns NaN or garbage.
_RESOURCE_OPERATORS = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"})
_SIGNATURE_TYPES = frozenset({"INT32", "FLOAT32"})
TEXT_OPERATORS = frozenset({"FastBertNormalize", "FastWordpieceTokenizeWithOffsets"})
"""The custom operators of tensorflow-text, which signatures that begin with a text may have."""
_TEXT = "STRING"
_TEXT_TYPES = frozenset({_TEXT, "UINT8", "INT64"})


@dataclass(frozen=True)
class TensorInfo:
    """Name, static shape and type of one input or output of a signature."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class SignatureInfo:
    """One signature: its subgraph, inputs, outputs, and operators (called subgraphs included)."""

    name: str
    subgraph: int
    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    operators: dict[str, int]

    @property
    def takes_text(self) -> bool:
        """Whether an input is a text."""
        return any(tensor.dtype == _TEXT for tensor in self.inputs.values())


@dataclass
class ModelInfo:
    """The contents of a .tflite file.

    Attributes:
        file_bytes: size of the file.
        signatures: by name.
        operators: operator name -> count, over all subgraphs. Custom operators are "CUSTOM:name".
        versions: operator name -> the versions used.
        dtypes: tensor type -> number of tensors.
        constant_bytes: tensor type -> bytes of distinct constant data.
        dynamic_shapes: names of signature tensors with an unknown dimension.
    """

    file_bytes: int
    signatures: dict[str, SignatureInfo]
    operators: dict[str, int]
    versions: dict[str, list[int]]
    dtypes: dict[str, int]
    constant_bytes: dict[str, int]
    dynamic_shapes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a report, without the signatures' shapes (the manifest has those)."""
        return {
            "file_bytes": self.file_bytes,
            "operators": dict(sorted(self.operators.items(), key=lambda item: (-item[1], item[0]))),
            "versions": self.versions,
            "dtypes": self.dtypes,
            "constant_bytes": self.constant_bytes,
            "operators_per_signature": {
                name: sum(signature.operators.values()) for name, signature in self.signatures.items()
            },
        }


def read_object(content: bytes | bytearray) -> Any:
    """Parse a .tflite file into the schema's object tree (`ModelT`).

    Raises:
        ArgumentError: when the content is not a TFLite flatbuffer.
    """
    if len(content) < 8 or bytes(content[4:8]) != b"TFL3":
        raise ArgumentError("not a TFLite model: the file identifier TFL3 is missing; export the model again")
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def buffer_bytes(buffer: Any, content: bytes | bytearray) -> bytes:
    """Return a buffer's data, which is in the flatbuffer or (as some tools write it) after it."""
    if buffer.offset and buffer.size:
        return bytes(content[buffer.offset : buffer.offset + buffer.size])
    return b"" if buffer.data is None else bytes(bytearray(buffer.data))


def operator_name(model: Any, operator: Any) -> str:
    """Return an operator's name as in the schema, "CUSTOM:name" for a custom one."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Old writers fill only the 8-bit field, new ones both.
    name = _OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return f"{_CUSTOM}:{text_of(code.customCode)}" if name == _CUSTOM else name


def inspect_model(model_file: str | Path | bytes) -> ModelInfo:
    """Read operators, versions, types, sizes and signatures of a .tflite file (a path, or its content)."""
    content = model_file if isinstance(model_file, bytes) else _mapped(Path(model_file))
    model = read_object(content)
    operators: collections.Counter[str] = collections.Counter()
    versions: dict[str, set[int]] = collections.defaultdict(set)
    dtypes: collections.Counter[str] = collections.Counter()
    constants: dict[int, str] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = operator_name(model, operator)
            operators[name] += 1
            versions[name].add(model.operatorCodes[operator.opcodeIndex].version)
        for tensor in graph.tensors:
            dtypes[_TYPE_NAMES[tensor.type]] += 1
            constants[tensor.buffer] = _TYPE_NAMES[tensor.type]
    sizes: collections.Counter[str] = collections.Counter()
    for index, dtype in constants.items():
        buffer = model.buffers[index]
        sizes[dtype] += buffer.size or (0 if buffer.data is None else len(buffer.data))
    signatures = {s.name: s for s in (_signature(model, each) for each in model.signatureDefs or [])}
    return ModelInfo(
        file_bytes=len(content),
        signatures=signatures,
        operators=dict(operators),
        versions={name: sorted(found) for name, found in sorted(versions.items())},
        dtypes=dict(sorted(dtypes.items())),
        constant_bytes={dtype: size for dtype, size in sorted(sizes.items()) if size},
        dynamic_shapes=_dynamic_shapes(model),
    )


def _mapped(path: Path) -> Any:
    """Return the content of a file, of which only what is looked at is read."""
    if not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def check_model(info: ModelInfo, allowed_dtypes: frozenset[str], in_graph: bool = False) -> list[str]:
    """Return the problems of a file, one sentence each; an empty list if it may ship.

    Custom and Flex operators need a special interpreter, resource variables are untracked weights, and
    signatures with other types than int32 and float32, or with unknown shapes, do not run in browsers. With
    the tokenizer `in_graph`, signatures that take a text may have tensorflow-text's operators, and no others.
    """
    problems = []
    allowed = {f"{_CUSTOM}:{name}" for name in TEXT_OPERATORS} if in_graph else frozenset()
    for name, count in sorted(info.operators.items()):
        if name.startswith(_CUSTOM) and name not in allowed:
            custom = name.partition(":")[2]
            problems.append(f"{count} custom operator(s) {custom} (only built-in ones may ship)")
        elif name in _RESOURCE_OPERATORS:
            problems.append(f"{count} {name}: a weight was not tracked and became a resource variable")
    for signature in info.signatures.values():
        if not signature.takes_text and (found := sorted(allowed & signature.operators.keys())):
            problems.append(f"{signature.name} does not take a text and has {', '.join(found)}")
    for dtype, count in info.dtypes.items():
        if dtype not in (allowed_dtypes | _TEXT_TYPES if in_graph else allowed_dtypes):
            problems.append(f"{count} tensor(s) of type {dtype}, which the recipe does not allow")
    if not info.signatures:
        problems.append("no signatures")
    for signature in info.signatures.values():
        read = _SIGNATURE_TYPES | {_TEXT} if in_graph else _SIGNATURE_TYPES
        tensors = [(each, read) for each in signature.inputs.values()]
        tensors += [(each, _SIGNATURE_TYPES) for each in signature.outputs.values()]
        for tensor, types in tensors:
            if tensor.dtype not in types:
                problems.append(f"{signature.name}: {tensor.name} is {tensor.dtype}, not int32 or float32")
    problems += [f"{name} has an unknown dimension" for name in info.dynamic_shapes]
    return problems


def _signature(model: Any, definition: Any) -> SignatureInfo:
    graph = model.subgraphs[definition.subgraphIndex]

    def tensors(maps: Any) -> dict[str, TensorInfo]:
        found = {}
        for each in maps or []:
            tensor = graph.tensors[each.tensorIndex]
            shape = tuple(int(size) for size in ([] if tensor.shape is None else tensor.shape))
            found[text_of(each.name)] = TensorInfo(text_of(each.name), shape, _TYPE_NAMES[tensor.type])
        return found

    counter: collections.Counter[str] = collections.Counter()
    _count_operators(model, definition.subgraphIndex, counter)
    return SignatureInfo(
        name=text_of(definition.signatureKey),
        subgraph=int(definition.subgraphIndex),
        inputs=tensors(definition.inputs),
        outputs=tensors(definition.outputs),
        operators=dict(counter),
    )


def _count_operators(model: Any, subgraph: int, counter: collections.Counter[str]) -> None:
    for operator in model.subgraphs[subgraph].operators:
        name = operator_name(model, operator)
        counter[name] += 1
        if name == "WHILE":
            _count_operators(model, operator.builtinOptions.condSubgraphIndex, counter)
            _count_operators(model, operator.builtinOptions.bodySubgraphIndex, counter)


def _dynamic_shapes(model: Any) -> list[str]:
    found = []
    for definition in model.signatureDefs or []:
        graph = model.subgraphs[definition.subgraphIndex]
        for each in [*(definition.inputs or []), *(definition.outputs or [])]:
            signature = graph.tensors[each.tensorIndex].shapeSignature
            if signature is not None and any(int(size) < 0 for size in signature):
                found.append(f"{text_of(definition.signatureKey)}: {text_of(each.name)}")
    return found


def tensor_type(tensor: Any) -> str:
    """Return the name of a tensor's type, such as "FLOAT32"."""
    return _TYPE_NAMES[tensor.type]


def text_of(value: Any) -> str:
    """Return a text of the schema, which may be missing or bytes."""
    if value is None:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)
