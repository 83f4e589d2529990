"""A file that embeds a text as its ids, which MediaPipe's tokenizer makes by a vocabulary of characters."""

import functools
from pathlib import Path

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from keras_attn_export.mediapipe.file import make_file

from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS


@functools.cache
def all_characters() -> list[str]:
    """A vocabulary by which every text is split into characters, and a few longer pieces."""
    characters = sorted(set("".join(HARD_TEXTS).lower()) - set(" \t\n\r\f"))
    pieces = ["word", "##ord", "##line", "##full", "naïve", "приве", "##т", "東京", "##京"]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *(f"##{each}" for each in characters), *pieces]


def returning_ids(length: int, path: Path) -> Path:
    """A file that embeds a text as its ids, which MediaPipe's tokenizer made."""
    model = schema.ModelT()
    graph, code = schema.SubGraphT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
    code.version, model.version, model.buffers = 1, 3, [schema.BufferT()]
    graph.tensors = []
    kinds = {
        "ids": schema.TensorType.INT32,
        "mask": schema.TensorType.FLOAT32,
        "out": schema.TensorType.FLOAT32,
    }
    for name, kind in kinds.items():
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer = name, kind, [1, length], 0
        graph.tensors.append(tensor)
    operator, options = schema.OperatorT(), schema.CastOptionsT()
    options.inDataType, options.outDataType = schema.TensorType.INT32, schema.TensorType.FLOAT32
    operator.inputs, operator.outputs, operator.builtinOptions = [0], [2], options
    operator.builtinOptionsType, operator.opcodeIndex = schema.BuiltinOptions.CastOptions, 0
    graph.inputs, graph.outputs, graph.operators = [0, 1], [2], [operator]
    model.subgraphs, model.operatorCodes = [graph], [code]
    definition = schema.SignatureDefT()
    definition.signatureKey, definition.subgraphIndex = "encode", 0
    definition.inputs, definition.outputs = _maps(token_ids=0, padding_mask=1), _maps(embedding=2)
    model.signatureDefs = [definition]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(make_file(bytes(builder.Output()), "encode", "embedding", all_characters()))
    return path


def _maps(**tensors):
    found = []
    for name, index in tensors.items():
        each = schema.TensorMapT()
        each.name, each.tensorIndex = name, index
        found.append(each)
    return found


def carried(text: str) -> str:
    """Return what MediaPipe's interface for Python passes on of a text's beginning: a NUL ends it."""
    return text[:400].partition("\0")[0]
