"""Rules of the operators that compute: element by element, along axes, and products of matrices."""

from __future__ import annotations

from collections.abc import Sequence

from keras_attn.device.model_check.operators import (
    ANY,
    DELEGATED_RANK,
    MOVED,
    Operator,
    Rule,
    check_rows,
)

_CAST = (*MOVED, "float16", "uint16", "uint32")
_SIZES = {"float32": 4, "int32": 4, "uint32": 4, "int16": 2, "uint16": 2, "int8": 1, "uint8": 1, "int64": 8}


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
            # The least number divided by -1 does not fit, which ends the process.
            safe = bool(b.values) and {0, -1}.isdisjoint(b.values or ())
            op.need(safe, "its divisor is not a constant, or is 0 or -1")
        op.activation()
        op.give((gives or a.kind, op.broadcast(a.shape, b.shape)))

    return rule


def reduction(kinds: Sequence[str]) -> Rule:
    """Check a reduction along axes, such as a sum."""

    def rule(op: Operator) -> None:
        x, axes = op.take(2)
        op.need(x.kind in kinds, f"it does not take {x.kind}")
        op.need(x.rank <= DELEGATED_RANK or x.kind != "float32", f"it does not take {x.rank} dimensions")
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
    op.need(len(op.outputs) == 1, "it has several outputs")
    made = op.outputs[0].kind
    op.need(x.kind in _CAST and made in _CAST, f"it does not cast {x.kind} to {made}")
    op.give((op.outputs[0].kind, x.shape))


def dequantize(op: Operator) -> None:
    """Check the dequantization of constants to float32."""
    [x] = op.take(1)
    op.need(
        x.kind in ("int8", "int4", "float16") and x.constant, f"its weights are {x.kind}, or not in the file"
    )
    op.need(x.kind == "float16" or x.scales > 0, "its weights have no scale")
    op.give(("float32", x.shape))


def fully_connected(op: Operator) -> None:
    """Check a product of rows and weights, which may be quantized row by row."""
    x, weights = op.take(2, 1)
    bias = op.inputs[2] if len(op.inputs) == 3 else None
    op.need(x.kind == "float32" and weights.rank == 2, "it takes float32, and weights of two dimensions")
    if weights.kind != "float32":
        check_rows(op, weights, ("int8", "int4"))
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
    op.need(min(a.rank, b.rank) >= 2 and max(a.rank, b.rank) <= DELEGATED_RANK, "it takes matrices")
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
        check_rows(op, table, ("int8", "int4"))
    op.give(("float32", (*ids.shape, *table.shape[1:])))


def select(op: Operator) -> None:
    """Check a choice of elements between two tensors of one shape."""
    condition, a, b = op.take(3)
    op.need(condition.kind == "bool" and a.kind == b.kind and a.kind in MOVED, f"it does not take {a.kind}")
    op.need(a.shape == b.shape == condition.shape, "its shapes differ")
    op.give((a.kind, a.shape))


def select_v2(op: Operator) -> None:
    """Check a choice of elements between two tensors, with broadcasting."""
    condition, a, b = op.take(3)
    op.need(condition.kind == "bool" and a.kind == b.kind and a.kind in MOVED, f"it does not take {a.kind}")
    op.give((a.kind, op.broadcast(condition.shape, a.shape, b.shape)))


def arg(op: Operator) -> None:
    """Check the indices of the largest, or smallest, elements along an axis."""
    x, axis = op.take(2)
    along = op.axis(op.number(axis), x.rank)
    kind = {2: "int32", 4: "int64"}.get(op.option("kind"), "")
    op.need(
        x.kind in ("float32", "int32", "bool") and x.shape[along] > 0,
        f"it does not take {x.kind}{list(x.shape)}",
    )
    op.give((kind, (*x.shape[:along], *x.shape[along + 1 :])))


def top_k(op: Operator) -> None:
    """Check the largest elements of each row, and their indices."""
    x, count = op.take(2)
    best = op.number(count)
    op.need(x.kind in ("float32", "int32") and x.rank > 0, f"it does not take {x.kind}")
    op.need(0 < best <= x.shape[-1], f"it takes {best} of {list(x.shape)}")
    op.give((x.kind, (*x.shape[:-1], best)), ("int32", (*x.shape[:-1], best)))


def prelu(op: Operator) -> None:
    """Check a rectifier whose slopes are repeated over the input."""
    x, slopes = op.take(2)
    op.need(x.kind == slopes.kind == "float32", f"it does not take {x.kind} with {slopes.kind}")
    op.need(x.rank <= 4 or x.shape == slopes.shape, f"it cannot repeat {x.rank} dimensions")
    op.need(op.broadcast(x.shape, slopes.shape) == x.shape, f"its slopes are {list(slopes.shape)}")
    op.give((x.kind, x.shape))


def equals(kinds: Sequence[str], least: int = 2, most: int = 2) -> Rule:
    """Check an operator of tensors of one shape, element by element, without broadcasting."""

    def rule(op: Operator) -> None:
        parts = op.take(len(op.inputs))
        op.need(least <= len(parts) <= most, f"it has {len(parts)} inputs")
        first = parts[0]
        alike = all((part.kind, part.shape) == (first.kind, first.shape) for part in parts)
        op.need(alike and first.kind in kinds, "its inputs differ")
        op.give((first.kind, first.shape))

    return rule


def turned(kinds: Sequence[str], gives: str) -> Rule:
    """Check an operator of one tensor, element by element, that gives another type."""

    def rule(op: Operator) -> None:
        [x] = op.take(1)
        op.need(x.kind in kinds, f"it does not take {x.kind}")
        op.give((gives, x.shape))

    return rule


def bitcast(op: Operator) -> None:
    """Check numbers read as another type of the same size."""
    [x] = op.take(1)
    op.need(len(op.outputs) == 1, "it has several outputs")
    made = op.outputs[0].kind
    op.need(_SIZES.get(x.kind, -1) == _SIZES.get(made), f"it reads {x.kind} as {made}")
    op.give((made, x.shape))


def rfft_2d(op: Operator) -> None:
    """Check the Fourier transform of matrices, cut or padded to lengths that are powers of two."""
    x, lengths = op.take(2)
    height, width = op.known(lengths, 2)
    op.need(
        x.kind == "float32" and x.rank >= 2 and x.elements > 0, f"it does not take {x.kind}{list(x.shape)}"
    )
    powers = all(0 < each <= 2**20 and each & (each - 1) == 0 for each in (height, width)) and width > 1
    op.need(powers, f"its lengths {height} and {width} are not powers of two, or too short")
    op.give(("complex64", (*x.shape[:-2], height, width // 2 + 1)))


def branch(op: Operator) -> None:
    """Check the condition of two branches; their subgraphs are checked with the whole model."""
    condition, *_ = op.take(len(op.inputs))
    op.need(condition.kind == "bool" and condition.elements == 1, f"its condition is {condition.kind}")


def loop(op: Operator) -> None:
    """Check that the tensors of a loop keep their shapes; its subgraphs are checked with the whole model."""
    carried = op.take(len(op.inputs))
    op.need(len(carried) > 0 and all(each.kind in ANY for each in carried), "it has no tensors")
    op.give(*[(each.kind, each.shape) for each in carried])
