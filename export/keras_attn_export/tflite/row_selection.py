"""Rows that nobody reads are not computed: where a model reads one row of a layer, the others are left out.

A classifier reads its text's first token, a masked language model one position. What selects it moves up
through all operators whose rows do not depend on each other, so that of the last layer's attention and
feed-forward network only that row is computed, besides the keys and values of all.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_attn_export.tflite.edited_model import EditedGraph, EditedModel
from keras_attn_export.tflite.row_axes import input_axes

_WORTH_MOVING = frozenset(("FULLY_CONNECTED", "BATCH_MATMUL"))


def select_rows(content: bytes) -> bytes:
    """Return a file that computes the same, without rows that are not read.

    Args:
        content: an fp32 .tflite file.
    """
    model, moved = EditedModel(content), False
    for graph in model.graphs:
        for operator in graph.operators[:]:
            selection = _selection(graph, operator)
            if selection is not None:
                moved |= _move(graph, selection)
    return model.packed() if moved else content


@dataclasses.dataclass(frozen=True)
class _Selection:
    """An operator that picks rows.

    Attributes:
        operator: the operator.
        tensor: whose rows it picks.
        axis: of the rows.
        count: how many it picks.
        make: returns a new operator that picks the same of a tensor's axis, for a new tensor.
    """

    operator: Any
    tensor: int
    axis: int
    count: int
    make: Callable[[int, int, int], Any]


def _selection(graph: EditedGraph, operator: Any) -> _Selection | None:
    """Return what an operator selects, if it picks a few of the rows of one axis."""
    kind, inputs = graph.kind(operator), [int(each) for each in operator.inputs]
    shape = graph.shape(inputs[0]) if inputs else ()
    if kind == "STRIDED_SLICE":
        found = _slice_of(graph, operator, shape)
        if found is None:
            return None
        axis, first, count = found

        def cut(source: int, along: int, target: int) -> Any:
            size = np.array(graph.shape(source), np.int32)
            begin = np.zeros_like(size)
            begin[along], size[along] = first, count
            constants = [graph.add_constant(each) for each in (begin, size)]
            return graph.operator("SLICE", [source, *constants], [target])

        make = cut
    elif kind == "GATHER" and graph.values(inputs[0]) is None and not operator.builtinOptions.batchDims:
        axis, count = operator.builtinOptions.axis % len(shape), math.prod(graph.shape(inputs[1]))

        def gather(source: int, along: int, target: int) -> Any:
            indices = inputs[1]
            if len(graph.shape(indices)) != 1:
                indices = graph.like(inputs[1], [count])
                graph.insert(graph.reshaping(inputs[1], indices), after=inputs[1])
            return graph.operator("GATHER", [source, indices], [target], axis=along)

        make = gather
    else:
        return None
    few = 2 * count <= shape[axis]
    return _Selection(operator, inputs[0], axis, count, make) if few else None


def _slice_of(graph: EditedGraph, operator: Any, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return axis, first row and number of rows of a STRIDED_SLICE that cuts one axis."""
    begin, end, strides = (graph.values(int(each)) for each in operator.inputs[1:4])
    options = operator.builtinOptions
    if begin is None or end is None or strides is None or not (strides == 1).all():
        return None
    if options.ellipsisMask or options.newAxisMask or len(begin) != len(shape):
        return None
    cut = []
    for axis, size in enumerate(shape):
        first = 0 if options.beginMask >> axis & 1 else range(size)[begin[axis]]
        last = size if options.endMask >> axis & 1 else min(int(end[axis]) % (size + 1), size)
        if options.shrinkAxisMask >> axis & 1:
            last = first + 1
        if last - first != size:
            cut.append((axis, first, last - first))
    return cut[0] if len(cut) == 1 and cut[0][2] > 0 else None


def _move(graph: EditedGraph, selection: _Selection) -> bool:
    """Move a selection up as far as it goes; return whether it moved."""
    readers, writers = graph.readers(), graph.writers()
    wanted = {selection.tensor: [(selection.operator, selection.axis)]}
    thinned: list[tuple[Any, int]] = []
    cuts: list[tuple[int, int, list[Any]]] = []
    for operator in reversed(graph.operators):
        outputs = [int(each) for each in operator.outputs]
        uses = [wanted.pop(each, []) for each in outputs]
        if not any(uses):
            continue
        axes = _moved(graph, operator, uses, readers)
        if axes is None:
            for output, each in zip(outputs, uses, strict=True):
                cuts += _cuts(output, each)
            continue
        thinned.append((operator, uses[0][0][1]))
        for tensor, axis in axes:
            wanted.setdefault(tensor, []).append((operator, axis))
    for tensor, uses in wanted.items():  # inputs of the graph, and constants
        assert tensor not in writers
        cuts += _cuts(tensor, uses)
    if not any(graph.kind(operator) in _WORTH_MOVING for operator, _ in thinned):
        return False
    for tensor, axis, operators in cuts:
        _cut(graph, selection, tensor, axis, operators)
    for operator, axis in thinned:
        for output in operator.outputs:
            graph.resize(int(output), axis, selection.count)
        if graph.kind(operator) == "RESHAPE":
            reshaping = graph.reshaping(int(operator.inputs[0]), int(operator.outputs[0]))
            graph.replace(operator, reshaping)
    old = selection.operator
    reshaping = graph.reshaping(int(old.inputs[0]), int(old.outputs[0]))
    graph.replace(old, reshaping)
    graph.sort()  # what picks rows may be computed behind that of which they are picked
    return True


def _moved(
    graph: EditedGraph, operator: Any, uses: list[list[tuple[Any, int]]], readers: dict[int, list[Any]]
) -> list[tuple[int, int]] | None:
    """Return the inputs, and their axes, of which an operator needs only the selected rows.

    `None` if its rows depend on each other, or something reads other rows of its outputs.
    """
    axes = {axis for use in uses for _, axis in use}
    every = all(
        len(use) == len(readers[int(output)]) for output, use in zip(operator.outputs, uses, strict=True)
    )
    return input_axes(graph, operator, axes.pop()) if every and len(axes) == 1 else None


def _cuts(tensor: int, uses: list[tuple[Any, int]]) -> list[tuple[int, int, list[Any]]]:
    """Return, for each axis of a tensor of which rows are wanted, who wants them."""
    by_axis: dict[int, list[Any]] = {}
    for operator, axis in uses:
        by_axis.setdefault(axis, []).append(operator)
    return [(tensor, axis, operators) for axis, operators in by_axis.items()]


def _cut(graph: EditedGraph, selection: _Selection, tensor: int, axis: int, operators: list[Any]) -> None:
    """Let operators read the selected rows of a tensor."""
    shape = list(graph.shape(tensor))
    shape[axis] = selection.count
    rows = graph.like(tensor, shape)
    graph.insert(selection.make(tensor, axis, rows), after=tensor)
    for operator in operators:
        graph.replace_input(operator, tensor, rows)
