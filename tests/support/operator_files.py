"""A ``.tflite`` file of one operator, written by hand: for what no converter writes, or would refuse to."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    np.dtype(name): getattr(schema.TensorType, name.upper())
    for name in (
        "float32", "float16", "int32", "uint8", "int64", "bool", "int16", "complex64", "int8", "uint32",
        "uint16",
    )
}  # fmt: skip

_VERSIONS = {"BROADCAST_TO": 2}


def operator_file(name, inputs, outputs, options=None, scales=None):
    """Return the bytes of a file with one operator, and the signature "f" from i0, i1 ... to o0, o1 ...

    Args:
        name: of the operator, in capitals.
        inputs: arrays, which become constants; pairs of type and shape; or None for one that is left out.
        outputs: pairs of type and shape.
        options: pair of the name of the table of options and its fields, or None.
        scales: by input: pair of the number of scales and their axis.
    """
    builder = schema
    buffers, tensors, given = [_buffer(b"")], [], []
    places = []
    for i, each in enumerate([*inputs, *outputs]):
        if each is None:
            places.append(-1)
            continue
        places.append(len(tensors))
        tensor = builder.TensorT()
        tensor.name = f"t{i}".encode()
        if isinstance(each, np.ndarray):
            dtype, shape = each.dtype, each.shape
            tensor.buffer = len(buffers)
            buffers.append(_buffer(each.tobytes()))
        else:
            dtype, shape = np.dtype(each[0]), each[1]
            tensor.buffer = 0
            if i < len(inputs):
                given.append(places[-1])
        tensor.type, tensor.shape = TYPES[dtype], list(shape)
        if scales and i in scales:
            count, axis = scales[i]
            quantization = builder.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = [0.5] * count, [0] * count
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        tensors.append(tensor)
    operator = builder.OperatorT()
    operator.inputs, operator.outputs = places[: len(inputs)], places[len(inputs) :]
    if options:
        kind, fields = options
        operator.builtinOptionsType = getattr(builder.BuiltinOptions, kind)
        operator.builtinOptions = getattr(builder, f"{kind}T")()
        for field, value in fields.items():
            assert hasattr(operator.builtinOptions, field), field
            setattr(operator.builtinOptions, field, value)
    code = builder.OperatorCodeT()
    code.builtinCode = getattr(builder.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = _VERSIONS.get(name, 1)
    graph = builder.SubGraphT()
    graph.tensors, graph.operators, graph.name = tensors, [operator], b"main"
    graph.inputs, graph.outputs = given, places[len(inputs) :]
    signature = builder.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"f", 0
    signature.inputs = [_named(f"i{n}", tensor) for n, tensor in enumerate(given)]
    signature.outputs = [_named(f"o{n}", tensor) for n, tensor in enumerate(graph.outputs)]
    model = builder.ModelT()
    model.version, model.description = 3, b""
    model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], buffers
    model.signatureDefs = [signature]
    out = flatbuffers.Builder(1024)
    out.Finish(model.Pack(out), file_identifier=b"TFL3")
    return bytes(out.Output())


def _named(name, tensor):
    found = schema.TensorMapT()
    found.name, found.tensorIndex = name.encode(), tensor
    return found


class _Aligned(schema.BufferT):
    """A buffer whose bytes are aligned."""

    def Pack(self, builder):
        vector = None
        if self.data:
            builder.StartVector(1, len(self.data), 16)
            builder.head = builder.head - len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


def _buffer(content):
    found = _Aligned()
    found.data = content
    return found
