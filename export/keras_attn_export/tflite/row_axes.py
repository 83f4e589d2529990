"""For each operator whose rows do not depend on each other: which axes of its inputs an output's axis is."""

from __future__ import annotations

import math
from typing import Any

from keras_attn_export.tflite.edited_model import EditedGraph

Axes = list[tuple[int, int]]
"""Inputs that have the axis, and which of theirs it is."""

# fmt: off
_ELEMENTWISE = frozenset((
    "ABS", "ADD", "CAST", "CEIL", "COS", "DIV", "ELU", "EQUAL", "EXP", "FLOOR", "GELU", "GREATER",
    "GREATER_EQUAL", "HARD_SWISH", "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND",
    "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "POW",
    "RELU", "RELU6", "RSQRT", "SELECT_V2", "SIN", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH",
))
# fmt: on
_REDUCTIONS = frozenset(("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM"))
_LAST_AXIS = frozenset(("LOG_SOFTMAX", "SOFTMAX"))


def input_axes(graph: EditedGraph, operator: Any, axis: int) -> Axes | None:
    """Return the inputs of which an operator needs only those rows that are wanted of its outputs.

    Args:
        graph: of the operator.
        operator: any.
        axis: of its outputs.

    Returns:
        Tensors and their axes; inputs that are not listed are needed as they are. `None` if an output's row
        depends on other rows, or it is not known whether.
    """
    kind, inputs = graph.kind(operator), [int(each) for each in operator.inputs]
    rank = len(graph.shape(int(operator.outputs[0])))
    if kind in _ELEMENTWISE:
        return _broadcast(graph, inputs, axis, rank)
    if kind in _LAST_AXIS:
        return [(inputs[0], axis)] if axis < rank - 1 else None
    if kind in _REDUCTIONS:
        return _reduced(graph, operator, axis)
    if kind == "FULLY_CONNECTED":
        return _product(graph, operator, axis)
    if kind == "BATCH_MATMUL":
        return _batch_product(graph, operator, axis, rank)
    if kind == "TRANSPOSE":
        order = graph.values(inputs[1])
        return None if order is None else [(inputs[0], int(order[axis]))]
    if kind == "RESHAPE":
        return _reshaped(graph, operator, axis)
    if kind == "CONCATENATION":
        other = (
            operator.builtinOptions.axis % rank != axis
            and not operator.builtinOptions.fusedActivationFunction
        )
        return [(each, axis) for each in inputs] if other else None
    if kind == "SPLIT":
        along = graph.values(inputs[0])
        return [(inputs[1], axis)] if along is not None and int(along) % rank != axis else None
    return None


def _broadcast(graph: EditedGraph, inputs: list[int], axis: int, rank: int) -> Axes:
    found = []
    for tensor in inputs:
        shape = graph.shape(tensor)
        own = axis - (rank - len(shape))
        if own >= 0 and shape[own] > 1:
            found.append((tensor, own))
    return found


def _reduced(graph: EditedGraph, operator: Any, axis: int) -> Axes | None:
    axes = graph.values(int(operator.inputs[1]))
    if axes is None:
        return None
    rank = len(graph.shape(int(operator.inputs[0])))
    gone = {int(each) % rank for each in axes.reshape(-1)}
    if operator.builtinOptions.keepDims:
        return None if axis in gone else [(int(operator.inputs[0]), axis)]
    return [(int(operator.inputs[0]), [each for each in range(rank) if each not in gone][axis])]


def _product(graph: EditedGraph, operator: Any, axis: int) -> Axes | None:
    tensor, output = int(operator.inputs[0]), graph.shape(int(operator.outputs[0]))
    if axis == len(output) - 1 or graph.values(int(operator.inputs[1])) is None:
        return None
    shape = graph.shape(tensor)
    if len(shape) == len(output):
        return [(tensor, axis)]
    # Otherwise all axes but the last are one; it is theirs if only one of them is longer than 1.
    long = [place for place, size in enumerate(shape[:-1]) if size > 1]
    return [(tensor, long[0])] if len(long) == 1 and shape[long[0]] == output[axis] else None


def _batch_product(graph: EditedGraph, operator: Any, axis: int, rank: int) -> Axes | None:
    options = operator.builtinOptions
    left, right = (int(each) for each in operator.inputs)
    if left == right:
        return None
    # Either may have fewer axes than the product, such as a matrix that mixes the rows of every example.
    if axis == rank - 2:
        return [(left, len(graph.shape(left)) - (1 if options.adjX else 2))]
    if axis == rank - 1:
        return [(right, len(graph.shape(right)) - (2 if options.adjY else 1))]
    return None


def _reshaped(graph: EditedGraph, operator: Any, axis: int) -> Axes | None:
    """Find the axis of the same size that has as many elements before it."""
    tensor, output = int(operator.inputs[0]), graph.shape(int(operator.outputs[0]))
    shape = graph.shape(tensor)
    for place, size in enumerate(shape):
        if size == output[axis] and math.prod(shape[:place]) == math.prod(output[:axis]):
            return [(tensor, place)]
    return None
