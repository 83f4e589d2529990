"""Rules of the operators that compute: element by element, along axes, and products of matrices."""

from __future__ import annotations

from collections.abc import Sequence

from keras_attn.device.model_check.operators import ANY, Operator, Rule, Tensor


def alike(kinds: Sequence[str], more: int = 0) -> Rule:
    """Check an operator of one tensor, element by element, that keeps its type."""

    def rule(op: Operator) -> None:
        [x] = op.take(1, more)
        op.need(x.kind in kinds, f"it does not take {x.kind}")
        op.give((x.kind, x.shape))

    return rule


def pairs(kinds: Sequence[str], gives: str | None = None, divides: bool = False) -> Rule:
    """Check an operator of two tensors, element by element, with broadcasting."""

    def rule(op: Operator) -> None:
        a, b = op.take(2)
        op.need(a.kind == b.kind and a.kind in kinds, f"it does not take {a.kind} with {b.kind}")
        if divides and a.kind != "float32":
            op.need(bool(b.values) and min(b.values or ()) > 0, "its divisor is not a constant above 0")
        op.activation()
        op.give((gives or a.kind, op.broadcast(a.shape, b.shape)))

    return rule


def reduction(kinds: Sequence[str]) -> Rule:
    """Check a reduction along axes, such as a sum."""

    def rule(op: Operator) -> None:
        x, axes = op.take(2)
        op.need(x.kind in kinds, f"it does not take {x.kind}")
        gone = {op.axis(axis, x.rank) for axis in op.known(axes)}
        if op.option("keep_dims"):
            op.give((x.kind, [1 if i in gone else size for i, size in enumerate(x.shape)]))
        else:
            op.give((x.kind, [size for i, size in enumerate(x.shape) if i not in gone]))

    return rule


def along_last(op: Operator) -> None:
    """Check an operator of the last axis, such as SOFTMAX."""
    [x] = op.take(1)
    op.need(x.kind == "float32" and x.rank > 0 and x.elements > 0, "it takes rows of float32")
    op.give((x.kind, x.shape))


def cast(op: Operator) -> None:
    """Check a cast to another type."""
    [x] = op.take(1)
    op.need(x.kind in ANY and op.outputs[0].kind in ANY, f"it does not take {x.kind}")
    op.give((op.outputs[0].kind, x.shape))


def dequantize(op: Operator) -> None:
    """Check the dequantization of constants to float32."""
    [x] = op.take(1)
    _weights(op, x, ("int8", "int4", "float16"))
    op.give(("float32", x.shape))


def _weights(op: Operator, x: Tensor, kinds: Sequence[str]) -> None:
    """Check constants that are dequantized row by row."""
    op.need(x.kind in kinds and x.constant, f"its weights are {x.kind}, or not in the file")
    op.need(x.kind == "float16" or x.scales > 0, "its weights have no scale")


def _rows(op: Operator, x: Tensor) -> None:
    op.need(
        x.scales == 1 or (x.scale_axis == 0 and x.scales == x.shape[0]),
        "its weights lack a scale for each row",
    )


def fully_connected(op: Operator) -> None:
    """Check a product of rows and weights, which may be quantized row by row."""
    x, weights = op.take(2, 1)
    bias = op.inputs[2] if len(op.inputs) == 3 else None
    op.need(x.kind == "float32" and weights.rank == 2, "it takes float32, and weights of two dimensions")
    if weights.kind != "float32":
        _weights(op, weights, ("int8", "int4"))
        _rows(op, weights)
    units, depth = weights.shape
    op.need(depth > 0 and x.rank > 0, "its weights are empty")
    op.need(
        bias is None or (bias.kind, bias.shape) == ("float32", (units,)), "its bias does not fit its weights"
    )
    op.need(op.option("format") == 0, "its weights are in another order")
    op.activation()
    if op.option("keep_dims"):
        op.need(x.shape[-1] == depth, f"it multiplies {list(x.shape)} by {list(weights.shape)}")
        op.give(("float32", (*x.shape[:-1], units)))
    else:
        op.need(x.elements % depth == 0, f"it multiplies {list(x.shape)} by {list(weights.shape)}")
        op.give(("float32", (x.elements // depth, units)))


def batch_matmul(op: Operator) -> None:
    """Check a product of matrices."""
    a, b = op.take(2)
    op.need(a.kind == b.kind == "float32", f"it does not take {a.kind} with {b.kind}")
    op.need(min(a.rank, b.rank) >= 2, "it takes matrices")
    rows, inner = a.shape[-2:][::-1] if op.option("transpose_a") else a.shape[-2:]
    other, columns = b.shape[-2:][::-1] if op.option("transpose_b") else b.shape[-2:]
    op.need(inner == other, f"it multiplies {list(a.shape)} by {list(b.shape)}")
    op.give(("float32", (*op.broadcast(a.shape[:-2], b.shape[:-2]), rows, columns)))


def embedding_lookup(op: Operator) -> None:
    """Check the look-up of a table's rows, which may be quantized."""
    ids, table = op.take(2)
    op.need(ids.kind == "int32" and ids.rank == 1 and table.rank >= 2, "it takes ids and a table")
    if table.kind != "float32":
        op.need(table.rank == 2, "its table has more than two dimensions")
        _weights(op, table, ("int8", "int4"))
        _rows(op, table)
    op.give(("float32", (*ids.shape, *table.shape[1:])))


def select(op: Operator) -> None:
    """Check a choice of elements between two tensors of one shape."""
    condition, a, b = op.take(3)
    op.need(condition.kind == "bool" and a.kind == b.kind and a.kind in ANY, f"it does not take {a.kind}")
    op.need(a.shape == b.shape == condition.shape, "its shapes differ")
    op.give((a.kind, a.shape))


def select_v2(op: Operator) -> None:
    """Check a choice of elements between two tensors, with broadcasting."""
    condition, a, b = op.take(3)
    op.need(condition.kind == "bool" and a.kind == b.kind and a.kind in ANY, f"it does not take {a.kind}")
    op.give((a.kind, op.broadcast(condition.shape, a.shape, b.shape)))


def arg(op: Operator) -> None:
    """Check the indices of the largest, or smallest, elements along an axis."""
    x, axis = op.take(2)
    along = op.axis(op.number(axis), x.rank)
    kind = {2: "int32", 4: "int64"}.get(op.option("kind"), "")
    op.need(
        x.kind in ("float32", "int32") and x.shape[along] > 0, f"it does not take {x.kind}{list(x.shape)}"
    )
    op.give((kind, (*x.shape[:along], *x.shape[along + 1 :])))


def top_k(op: Operator) -> None:
    """Check the largest elements of each row, and their indices."""
    x, count = op.take(2)
    best = op.number(count)
    op.need(x.kind in ("float32", "int32") and x.rank > 0, f"it does not take {x.kind}")
    op.need(0 < best <= x.shape[-1], f"it takes {best} of {list(x.shape)}")
    op.give((x.kind, (*x.shape[:-1], best)), ("int32", (*x.shape[:-1], best)))


def loop(op: Operator) -> None:
    """Check that the tensors of a loop keep their shapes; its subgraphs are checked with the whole model."""
    carried = op.take(len(op.inputs))
    op.need(len(carried) > 0 and all(each.kind in ANY for each in carried), "it has no tensors")
    op.give(*[(each.kind, each.shape) for each in carried])
