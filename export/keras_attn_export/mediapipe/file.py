"""A bundle's file rewritten for MediaPipe's tasks: three inputs of whole numbers, one output, metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_attn_export.mediapipe.metadata import BUFFER, LABELS, VOCABULARY, make_metadata, with_files
from keras_attn_export.tflite.edited_model import EditedGraph, EditedModel

NAME = "mediapipe.tflite"
"""Name of the file in a bundle."""
SIGNATURE = "serving_default"
OUTPUTS = {"classification": "probability", "embedding": "embedding"}
"""Name of the output, by task."""
_INPUTS = {
    "ids": "Token ids of the text.",
    "mask": "1 for tokens, 0 for padding.",
    "segment_ids": "0 for the first text, 1 for the second.",
}
_OUTPUT_TEXTS = {
    "classification": "The probability of each label.",
    "embedding": "The vector of the text.",
}


def make_file(
    content: bytes,
    signature: str,
    task: str,
    lines: Sequence[str],
    labels: Sequence[str] = (),
    multi_label: bool = False,
) -> bytes:
    """Return the file for MediaPipe.

    Args:
        content: a .tflite file with a signature of `token_ids` (1, T) int32 and `padding_mask` (1, T) float32
            to `scores` (1, C), logits or their logarithms, or `embedding` (1, D).
        signature: its name.
        task: `"classification"` or `"embedding"`.
        lines: of vocab.txt.
        labels: of a classifier, by number.
        multi_label: whether scores are logarithms of the labels' own probabilities.

    Returns:
        The file: `ids`, `mask` and `segment_ids` (1, T) int32 to `probability` (1, C) or `embedding` (1, D).
    """
    edited = EditedModel(content)
    model = edited.model
    definition = next(each for each in model.signatureDefs if each.signatureKey.decode() == signature)
    graph = EditedGraph(edited, model.subgraphs[int(definition.subgraphIndex)])
    model.subgraphs = [graph.graph]
    given = {each.name.decode(): int(each.tensorIndex) for each in definition.inputs}
    returned = {each.name.decode(): int(each.tensorIndex) for each in definition.outputs}

    ids, shape = given["token_ids"], graph.shape(given["token_ids"])
    mask = graph.add_tensor(shape, schema.TensorType.INT32)
    graph.insert(_cast(graph, mask, given["padding_mask"]))
    segments = graph.add_tensor(shape, schema.TensorType.INT32)  # of one text: nothing reads them
    inputs = dict(zip(_INPUTS, (ids, mask, segments), strict=True))
    result = returned["embedding"] if task == "embedding" else _probability(graph, returned, multi_label)
    outputs = {OUTPUTS[task]: result}
    for name, tensor in {**inputs, **outputs}.items():
        graph.graph.tensors[tensor].name = name.encode()
    graph.graph.inputs = np.array([*inputs.values()], np.int32)
    graph.graph.outputs = np.array([*outputs.values()], np.int32)
    definition.signatureKey, definition.subgraphIndex = SIGNATURE.encode(), 0
    definition.inputs, definition.outputs = _named(inputs), _named(outputs)
    model.signatureDefs = [definition]

    kind = "Text classifier" if task == "classification" else "Text embedder"
    described = make_metadata(kind, _INPUTS, (OUTPUTS[task], _OUTPUT_TEXTS[task]), bool(labels))
    entry = schema.MetadataT()
    entry.name, entry.buffer = BUFFER, edited.add_buffer(np.frombuffer(described, np.uint8))
    model.metadata = [*(model.metadata or []), entry]
    files = {VOCABULARY: lines, **({LABELS: labels} if labels else {})}
    return with_files(edited.packed(), files)


def _cast(graph: EditedGraph, source: int, target: int) -> Any:
    kinds = {"inDataType": schema.TensorType.INT32, "outDataType": schema.TensorType.FLOAT32}
    return graph.operator("CAST", [source], [target], **kinds)


def _probability(graph: EditedGraph, returned: dict[str, int], multi_label: bool) -> int:
    """Add what makes probabilities of scores; softmax does that of logits and of log-probabilities."""
    scores = returned["scores"]
    result = graph.like(scores)
    if multi_label:
        graph.operators.append(graph.operator("EXP", [scores], [result]))
    else:
        graph.operators.append(graph.operator("SOFTMAX", [scores], [result], beta=1.0))
    return result


def _named(tensors: dict[str, int]) -> list[schema.TensorMapT]:
    maps = []
    for name, tensor in tensors.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), tensor
        maps.append(entry)
    return maps
