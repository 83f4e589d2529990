"""Smoothing: large channels of what a matrix multiplies are scaled down, and its weights for them up.

A few channels of a normalized tensor are far larger than the others, which get only a few of the 256 steps of
int8. Each channel is divided by sqrt(amplitude / largest weight) and its weights are multiplied by it, which
changes only the rounding (SmoothQuant, Xiao et al., 2022, arXiv:2211.10438, equation 4 with alpha 0.5).

The division costs nothing where constants before the matrix can be divided, such as the scale and the offset
of a normalization that only it reads. Elsewhere it is one more product, made where it saves enough error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_attn.device.runtime.interpreter import Model
from keras_attn_export.tflite.edited_model import EditedGraph, EditedModel

Sample = tuple[str, Mapping[str, np.ndarray]]
"""The name of a signature, and what it is run with."""

_WORTH_A_PRODUCT = 0.8
"""Of the error without smoothing: what more of it costs too little to be worth an operator."""
_LEAST_AMPLITUDE = 0.1
"""Of the mean amplitude: what a channel may reach that samples do not show, such as a unit at rest in them.
Divided by next to nothing, it would outgrow all others, and leave them no steps."""
_ROWS = 16
"""Rows of a sample on which errors are computed."""
_MATRIX = "FULLY_CONNECTED"


def smooth(content: bytes, samples: Iterable[Sample]) -> bytes:
    """Return a file that computes the same, and loses less when activations get 8 bits.

    Args:
        content: an fp32 .tflite file.
        samples: inputs from which amplitudes are measured. Matrices in signatures that none is for stay as
            they are, unless a signature that there is one for has them too.
    """
    model = EditedModel(content)
    groups = _groups(model)
    _measure(content, groups, samples)
    for group in groups:
        _smooth(model, group)
    return model.packed()


def channel_scales(amplitudes: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Return what each channel is divided by, and its weights are multiplied by, float32 (D,).

    Args:
        amplitudes: the largest number of each channel in samples, (D,).
        largest: the largest weight of each channel, (D,).
    """
    least = max(_LEAST_AMPLITUDE * float(np.mean(amplitudes)), 1e-6)
    return np.sqrt(np.maximum(amplitudes, least) / np.maximum(largest, 1e-6)).astype(np.float32)


@dataclass
class _Group:
    """Matrices that multiply the same tensors, in all signatures.

    Attributes:
        uses: by graph and tensor, the operators that multiply it.
        weights: the matrices (O, D), by the hash of their bytes.
        amplitudes: the largest number of each channel that they multiply, (D,); 0 where nothing is measured.
        rows: some of the rows that they multiply, (N, D).
    """

    uses: dict[tuple[int, int], list[tuple[EditedGraph, Any]]] = field(default_factory=dict)
    weights: dict[bytes, np.ndarray] = field(default_factory=dict)
    amplitudes: Any = 0.0
    rows: list[np.ndarray] = field(default_factory=list)


def _groups(model: EditedModel) -> list[_Group]:
    """Find matrices that only FULLY_CONNECTED reads, those with a tensor in common together."""
    elsewhere = _read_elsewhere(model)
    of_tensor: dict[tuple[int, int], _Group] = {}
    of_weights: dict[bytes, _Group] = {}
    for number, graph in enumerate(model.graphs):
        for operator in graph.operators:
            if graph.kind(operator) != _MATRIX:
                continue
            tensor, weights = (int(each) for each in operator.inputs[:2])
            key = model.key(graph.graph.tensors[weights].buffer)
            values = graph.values(weights)
            if values is None or values.dtype != np.float32 or key in elsewhere:
                continue
            if graph.shape(tensor)[-1:] != values.shape[1:] or graph.values(tensor) is not None:
                continue
            place = (number, tensor)
            group = _merged(of_tensor.get(place), of_weights.get(key), of_tensor, of_weights)
            group.uses.setdefault(place, []).append((graph, operator))
            group.weights[key] = values
            of_tensor[place] = of_weights[key] = group
    return list({id(group): group for group in of_weights.values()}.values())


def _merged(
    one: _Group | None,
    other: _Group | None,
    of_tensor: dict[tuple[int, int], _Group],
    of_weights: dict[bytes, _Group],
) -> _Group:
    if one is None or other is None or one is other:
        return one or other or _Group()
    for place, uses in other.uses.items():
        one.uses.setdefault(place, []).extend(uses)
        of_tensor[place] = one
    one.weights |= other.weights
    of_weights |= dict.fromkeys(other.weights, one)
    return one


def _read_elsewhere(model: EditedModel) -> set[bytes]:
    """Return the hashes of constants that something else than a matrix product of a signature reads."""
    signatures = {id(graph.graph) for graph in model.graphs}
    found = set()
    for subgraph in model.model.subgraphs:
        graph = EditedGraph(model, subgraph)
        for operator in graph.operators:
            product = graph.kind(operator) == _MATRIX and id(subgraph) in signatures
            for position, tensor in enumerate(operator.inputs):
                if tensor >= 0 and not (product and position == 1):
                    found.add(model.key(subgraph.tensors[tensor].buffer))
    return found


def _measure(content: bytes, groups: Sequence[_Group], samples: Iterable[Sample]) -> None:
    """Run samples, and keep what matrices multiply."""
    model = EditedModel(content)
    wanted = {place: group for group in groups for place in group.uses}
    names: dict[str, dict[str, _Group]] = {}
    indices = [id(graph.graph) for graph in model.graphs]
    for definition in model.model.signatureDefs:
        number = indices.index(id(model.model.subgraphs[definition.subgraphIndex]))
        outputs = names.setdefault(definition.signatureKey.decode(), {})
        for (graph, tensor), group in wanted.items():
            if graph == number:
                name = f"multiplied_{tensor}"
                model.graphs[number].add_output(definition, tensor, name)
                outputs[name] = group
    runner = Model(model.packed())
    for signature, inputs in samples:
        opened = runner.signature(signature)
        for name, values in inputs.items():
            opened.inputs[name][...] = values
        opened.run()
        for name, group in names[signature].items():
            rows = opened.outputs[name].reshape(-1, opened.outputs[name].shape[-1])
            group.amplitudes = np.maximum(group.amplitudes, np.abs(rows).max(0))
            group.rows.append(rows[np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(int)])


def _smooth(model: EditedModel, group: _Group) -> None:
    if not group.rows:
        return
    rows, weights = np.concatenate(group.rows), np.concatenate([*group.weights.values()])
    scale = channel_scales(group.amplitudes, np.abs(weights).max(0))
    free = all(_divisible(uses[0][0], place[1], len(uses)) for place, uses in group.uses.items())
    if not free and _error(rows / scale, weights * scale) > _WORTH_A_PRODUCT * _error(rows, weights):
        return
    stretched: set[tuple[int, int]] = set()
    for (_, tensor), uses in group.uses.items():
        graph = uses[0][0]
        constants = _divisible(graph, tensor, len(uses))
        for operator, constant in constants or ():
            divided = (graph.values(constant) / scale).astype(np.float32)
            graph.replace_input(operator, constant, graph.add_constant(divided))
        smoothed = tensor
        if constants is None:
            smoothed = graph.like(tensor)
            graph.insert(graph.operator("MUL", [tensor, graph.add_constant(1 / scale)], [smoothed]), tensor)
        for _, operator in uses:
            matrix = int(operator.inputs[1])
            operator.inputs = np.array([smoothed, *operator.inputs[1:]], np.int32)
            if (id(graph), matrix) not in stretched:
                stretched.add((id(graph), matrix))
                graph.set_values(matrix, graph.values(matrix) * scale)


def _divisible(graph: EditedGraph, tensor: int, reads: int) -> list[tuple[Any, int]] | None:
    """Return the constants, and the operators that read them, whose division divides a tensor's last axis.

    Args:
        graph: of the tensor.
        tensor: (..., D).
        reads: how many operators may read it.

    Returns:
        `None` if there are none, or they divide something else as well.
    """
    readers, writers = graph.readers(), graph.writers()
    depth = graph.shape(tensor)[-1]
    if len(readers[tensor]) != reads or tensor not in writers:
        return None
    writer = writers[tensor]
    kind, inputs = graph.kind(writer), [int(each) for each in writer.inputs]
    if kind not in ("ADD", "MUL", "RESHAPE") or getattr(writer.builtinOptions, "fusedActivationFunction", 0):
        return None
    if kind == "RESHAPE":
        return _divisible(graph, inputs[0], 1) if graph.shape(inputs[0])[-1] == depth else None
    vectors = [each for each in inputs if _is_vector(graph.values(each), depth)]
    others = [each for each in inputs if each not in vectors]
    if kind == "MUL":
        if vectors:
            return [(writer, vectors[0])]
        found = (_divisible(graph, each, 1) for each in others if graph.shape(each)[-1] == depth)
        return next((each for each in found if each is not None), None)
    if not vectors or len(others) != 1:
        return None
    before = _divisible(graph, others[0], 1)
    return None if before is None else [(writer, vectors[0]), *before]


def _is_vector(values: np.ndarray | None, depth: int) -> bool:
    return values is not None and values.shape[-1:] == (depth,) and values.dtype == np.float32


def _error(rows: np.ndarray, weights: np.ndarray) -> float:
    """Return the size of the error of rows (N, D) · weights (O, D)ᵀ with 8 bits for each row of both."""
    low, high = np.minimum(rows.min(1, keepdims=True), 0), np.maximum(rows.max(1, keepdims=True), 0)
    step = np.maximum(high - low, 1e-9) / 255
    rounded = np.round(rows / step) * step
    unit = np.maximum(np.abs(weights).max(1, keepdims=True), 1e-9) / 127
    return float(np.linalg.norm(rounded @ (np.round(weights / unit) * unit).T - rows @ weights.T))
