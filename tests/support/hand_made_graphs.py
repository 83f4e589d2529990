"""Small .tflite files, built operator by operator with this project's own editor."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from keras_attn_export.tflite.edited_model import EditedModel

from keras_attn.device.runtime.interpreter import Model

_OPTIONS = {
    "ADD": "AddOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "RESHAPE": "ReshapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TOPK_V2": "TopKV2Options",
    "TRANSPOSE": "TransposeOptions",
}


class HandMade:
    """A model of signatures `encode_T` that share their constants.

    Args:
        build: from a graph, the tensor `x` (1, T, D) and T to the tensor that is returned.
        lengths: T of each signature.
        depth: D.
    """

    def __init__(self, build, lengths, depth):
        self.lengths, self.depth = lengths, depth
        edited = EditedModel(_empty(len(lengths)))
        for definition, graph, length in zip(edited.model.signatureDefs, edited.graphs, lengths, strict=True):
            x = graph.add_tensor((1, length, depth), schema.TensorType.FLOAT32)
            graph.graph.inputs = np.array([x], np.int32)
            definition.signatureKey = f"encode_{length}".encode()
            definition.inputs = [schema.TensorMapT(b"x", x)]
            graph.add_output(definition, build(Builder(graph), x, length), "y")
        self.content = edited.packed()

    def arrays(self, length, seed=0):
        """Random inputs whose first channels are large."""
        rng = np.random.default_rng(seed)
        sizes = np.where(np.arange(self.depth) < 2, 30.0, 1.0)
        return {"x": (rng.normal(size=(1, length, self.depth)) * sizes).astype(np.float32)}

    def outputs(self, content):
        """What a file computes of the inputs of each length."""
        model, found = Model(content), {}
        for length in self.lengths:
            signature = model.signature(f"encode_{length}")
            signature.inputs["x"][...] = self.arrays(length)["x"]
            signature.run()
            found[length] = signature.outputs["y"].copy()
        return found


class Builder:
    """Appends operators to a graph; each method returns the tensor that it computes."""

    def __init__(self, graph):
        self.graph = graph

    def __call__(self, kind, inputs, shape, **options):
        """Append an operator; arrays among its inputs become constants."""
        graph = self.graph
        tensors = [each if isinstance(each, int) else graph.add_constant(each) for each in inputs]
        output = graph.add_tensor(shape, schema.TensorType.FLOAT32)
        made = schema.OperatorT()
        made.opcodeIndex = graph.owner.opcode(kind)
        made.inputs, made.outputs = np.array(tensors, np.int32), np.array([output], np.int32)
        name = _OPTIONS.get(kind)
        if name:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            made.builtinOptions = getattr(schema, f"{name}T")()
            for option, value in options.items():
                setattr(made.builtinOptions, option, value)
        graph.operators.append(made)
        return output

    def dense(self, x, weights, bias=None):
        """Multiply (1, T, D) by weights (O, D)."""
        shape = (*self.graph.shape(x)[:-1], len(weights))
        bias = np.zeros(len(weights), np.float32) if bias is None else bias
        return self("FULLY_CONNECTED", [x, weights, bias], shape, keepNumDims=True)

    def same(self, kind, *inputs):
        """Compute elementwise, in the shape of the first tensor."""
        return self(kind, inputs, self.graph.shape(next(each for each in inputs if isinstance(each, int))))


def _empty(count):
    import flatbuffers

    model = schema.ModelT()
    model.version, model.operatorCodes, model.buffers = 3, [], [schema.BufferT()]
    model.subgraphs, model.signatureDefs = [], []
    for number in range(count):
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = [], []
        graph.inputs, graph.outputs = np.zeros(0, np.int32), np.zeros(0, np.int32)
        definition = schema.SignatureDefT()
        definition.subgraphIndex, definition.inputs, definition.outputs = number, [], []
        definition.signatureKey = b"empty"
        model.subgraphs.append(graph)
        model.signatureDefs.append(definition)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
