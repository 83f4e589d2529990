"""Rules of the operators that move elements: they split, join, repeat and pad, and compute nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras_attn.device.model_check.operators import (
    ANY,
    BROADCAST_RANK,
    DELEGATED_RANK,
    MOVED,
    NUMBERS,
    Operator,
    Rule,
    Tensor,
)

_PADDED_RANK = 5
_SPLIT = tuple(kind for kind in MOVED if kind != "bool")
_MIRRORED = (*NUMBERS, "int8", "uint8")
_DIAGONALS = (*NUMBERS, "int8", "uint8", "int16")
_INDICES = {2: "int32", 4: "int64"}


def concatenation(op: Operator) -> None:
    """Check tensors joined along an axis."""
    parts = op.take(len(op.inputs))
    op.need(len(parts) > 0 and parts[0].kind in MOVED, "it has nothing to join")
    first = parts[0]
    _delegated(op, first)
    axis = op.axis(op.option("axis"), first.rank)
    op.activation()
    for part in parts:
        rest = (*part.shape[:axis], *part.shape[axis + 1 :])
        same = rest == (*first.shape[:axis], *first.shape[axis + 1 :]) and part.rank == first.rank
        op.need(same and part.kind == first.kind, f"it joins {list(part.shape)} to {list(first.shape)}")
    op.give(
        (first.kind, (*first.shape[:axis], sum(part.shape[axis] for part in parts), *first.shape[axis + 1 :]))
    )


def split(op: Operator) -> None:
    """Check equal parts along an axis."""
    axis, x = op.take(2)
    along, count = op.axis(op.number(axis), x.rank), op.option("count")
    op.need(count == len(op.outputs) > 0 and x.shape[along] % count == 0, f"it makes {count} parts")
    op.need(x.kind in _SPLIT, f"it does not take {x.kind}")
    _delegated(op, x)
    op.give(*[(x.kind, (*x.shape[:along], x.shape[along] // count, *x.shape[along + 1 :]))] * count)


def split_v(op: Operator) -> None:
    """Check parts of given sizes along an axis."""
    x, sizes, axis = op.take(3)
    along, parts = op.axis(op.number(axis), x.rank), op.known(sizes)
    op.need(len(parts) == op.option("count") and min(parts, default=-1) >= 0, f"it makes parts of {parts}")
    op.need(sum(parts) == x.shape[along] and x.kind in _SPLIT, f"it makes parts of {parts}")
    op.give(*[(x.kind, (*x.shape[:along], part, *x.shape[along + 1 :])) for part in parts])


def pack(op: Operator) -> None:
    """Check tensors joined along a new axis."""
    parts = op.take(len(op.inputs))
    op.need(len(parts) == op.option("count") > 0, "it is given another number of parts")
    first = parts[0]
    axis = op.axis(op.option("axis"), first.rank + 1)
    alike = all((part.kind, part.shape) == (first.kind, first.shape) for part in parts)
    op.need(alike and first.kind in _SPLIT, "its parts differ")
    op.give((first.kind, (*first.shape[:axis], len(parts), *first.shape[axis:])))


def unpack(op: Operator) -> None:
    """Check the parts along an axis, which is removed."""
    [x] = op.take(1)
    axis = op.axis(op.option("axis"), x.rank)
    op.need(
        op.option("count") == x.shape[axis] == len(op.outputs) and x.kind in MOVED,
        "it has another number of parts",
    )
    op.give(*[(x.kind, (*x.shape[:axis], *x.shape[axis + 1 :]))] * x.shape[axis])


def reshape(op: Operator) -> None:
    """Check the same elements in another shape."""
    x, shape = op.take(2)
    op.need(x.kind in (*MOVED, "complex64") and len(op.outputs) == 1, f"it does not take {x.kind}")
    found = op.outputs[0].shape
    wanted = op.known(shape, len(found))
    fits = wanted.count(-1) <= 1 and all(size in (-1, real) for size, real in zip(wanted, found, strict=True))
    op.need(fits and math.prod(found) == x.elements, f"it makes {list(found)} of {list(x.shape)}")
    op.give((x.kind, found))


def expand_dims(op: Operator) -> None:
    """Check a new axis of size 1."""
    x, axis = op.take(2)
    along = op.axis(op.number(axis), x.rank + 1)
    op.need(x.kind in (*MOVED, "complex64"), f"it does not take {x.kind}")
    op.give((x.kind, (*x.shape[:along], 1, *x.shape[along:])))


def squeeze(op: Operator) -> None:
    """Check the removal of axes of size 1."""
    [x] = op.take(1)
    axes = op.options.get("axes", ())
    gone = {op.axis(axis, x.rank) for axis in axes} if isinstance(axes, tuple) else set()
    gone = gone or {i for i, size in enumerate(x.shape) if size == 1}
    fits = all(x.shape[i] == 1 for i in gone) and x.kind in (*MOVED, "complex64")
    op.need(fits, f"it does not take {x.kind}{list(x.shape)}")
    op.give((x.kind, [size for i, size in enumerate(x.shape) if i not in gone]))


def transpose(op: Operator) -> None:
    """Check axes in another order."""
    x, order = op.take(2)
    axes = op.known(order, x.rank)
    op.need(sorted(axes) == list(range(x.rank)) and x.kind in MOVED, f"{axes} is not an order of its axes")
    op.give((x.kind, [x.shape[axis] for axis in axes]))


def plain_slice(op: Operator) -> None:
    """Check a part of each axis."""
    x, begin, size = op.take(3)
    begins, sizes = op.known(begin, x.rank), op.known(size, x.rank)
    found = [whole - b if s == -1 else s for whole, b, s in zip(x.shape, begins, sizes, strict=True)]
    within = all(
        b >= 0 and s >= 0 and b + s <= whole for whole, b, s in zip(x.shape, begins, found, strict=True)
    )
    op.need(within and x.kind in MOVED and x.rank <= BROADCAST_RANK, "it reads beyond its input")
    op.give((x.kind, found))


def strided_slice(op: Operator) -> None:
    """Check a part of each axis, with strides; single elements lose their axis."""
    x, *bounds = op.take(4)
    rank = x.rank
    count = len(op.known(bounds[0]))
    begins, ends, strides = (op.known(each, count) for each in bounds)
    plain = op.option("ellipsis") == op.option("new_axis") == op.option("offset") == 0
    op.need(plain and count <= rank <= BROADCAST_RANK and x.kind in MOVED, "it is not a plain slice")
    op.need(0 not in strides, "its stride is 0")
    shape = []
    for i, size in enumerate(x.shape):
        if i >= count:
            shape.append(size)
        elif op.option("shrink") >> i & 1:
            op.need(-size <= begins[i] < size and strides[i] == 1, "it reads beyond its input")
        else:
            begin = None if op.option("begin_mask") >> i & 1 else begins[i]
            end = None if op.option("end_mask") >> i & 1 else ends[i]
            shape.append(len(range(size)[begin : end : strides[i]]))
    op.give((x.kind, shape))


def tile(op: Operator) -> None:
    """Check a tensor repeated along its axes."""
    x, times = op.take(2)
    counts = op.known(times, x.rank)
    op.need(min(counts, default=0) >= 0 and x.kind in MOVED, f"it repeats {counts} times")
    op.give((x.kind, [size * count for size, count in zip(x.shape, counts, strict=True)]))


def pad(op: Operator) -> None:
    """Check padding around a tensor."""
    x, widths = op.take(2, 1)
    counts = op.known(widths, 2 * x.rank)
    op.need(widths.shape == (x.rank, 2) and min(counts, default=0) >= 0, f"it pads by {counts}")
    if len(op.inputs) == 3:
        value = op.inputs[2]
        op.need(value is not None and value.kind == x.kind and value.elements == 1, "it pads with nothing")
    op.need(x.kind in MOVED and x.rank <= _PADDED_RANK, f"it does not take {x.kind}{list(x.shape)}")
    op.give((x.kind, [size + sum(counts[2 * i : 2 * i + 2]) for i, size in enumerate(x.shape)]))


def mirror_pad(op: Operator) -> None:
    """Check padding by the elements at the borders; reflected without the border itself."""
    x, widths = op.take(2)
    counts = op.known(widths, 2 * x.rank)
    mode = op.option("mode")
    op.need(mode in (0, 1) and widths.shape == (x.rank, 2), f"it pads by {counts}")
    most = [size - (mode == 0) for size in x.shape for _ in range(2)]
    op.need(all(0 <= count <= each for count, each in zip(counts, most, strict=True)), f"it pads by {counts}")
    op.need(x.kind in _MIRRORED and x.rank <= _PADDED_RANK, f"it does not take {x.kind}{list(x.shape)}")
    op.give((x.kind, [size + sum(counts[2 * i : 2 * i + 2]) for i, size in enumerate(x.shape)]))


def broadcast_to(op: Operator) -> None:
    """Check a broadcast."""
    x, shape = op.take(2)
    wanted = op.known(shape, kinds=("int32", "int64"))
    op.need(
        x.kind in MOVED and op.broadcast(x.shape, wanted) == wanted, f"it makes {wanted} of {list(x.shape)}"
    )
    op.give((x.kind, wanted))


def fill(op: Operator) -> None:
    """Check a tensor filled with one number."""
    shape, value = op.take(2)
    op.need(
        value.kind in (*ANY, "int8", "int16") and value.elements == 1 and value.shape == (),
        "it fills with more than a number",
    )
    op.give((value.kind, op.known(shape)))


def along_axis(kinds: Sequence[str]) -> Rule:
    """Check an operator along an axis that keeps the shape."""

    def rule(op: Operator) -> None:
        x, axis = op.take(2)
        op.axis(op.number(axis), x.rank)
        op.need(x.kind in kinds, f"it does not take {x.kind}")
        op.give((x.kind, x.shape))

    return rule


def matrix_diag(op: Operator) -> None:
    """Check rows that become the diagonals of matrices."""
    [x] = op.take(1)
    op.need(x.kind in _DIAGONALS and x.rank > 0, f"it does not take {x.kind}{list(x.shape)}")
    op.give((x.kind, (*x.shape, x.shape[-1])))


def matrix_set_diag(op: Operator) -> None:
    """Check matrices whose diagonals are overwritten."""
    x, diagonal = op.take(2)
    op.need(x.kind == diagonal.kind and x.kind in _DIAGONALS and x.rank >= 2, f"it does not take {x.kind}")
    op.need(diagonal.shape == (*x.shape[:-2], min(x.shape[-2:])), f"its diagonals are {list(diagonal.shape)}")
    op.give((x.kind, x.shape))


def shape_of(op: Operator) -> None:
    """Check the shape of a tensor, as numbers."""
    [x] = op.take(1)
    op.give((_INDICES.get(op.option("kind"), ""), (x.rank,)))


def rank_of(op: Operator) -> None:
    """Check the number of a tensor's dimensions."""
    op.take(1)
    op.give(("int32", ()))


def count_up(op: Operator) -> None:
    """Check the numbers from a start to a limit, by a step."""
    numbers = [op.number(each) for each in op.take(3)]
    op.need(numbers[2] != 0, "its step is 0")
    op.give(("int32", (len(range(*numbers)),)))


def broadcast_args(op: Operator) -> None:
    """Check the shape that two shapes are repeated to."""
    a, b = op.take(2)
    op.need(a.kind == b.kind == "int32" and a.rank == b.rank == 1, f"it does not take {a.kind}")
    op.give(("int32", (max(a.elements, b.elements),)))


def _delegated(op: Operator, x: Tensor) -> None:
    op.need(x.rank <= DELEGATED_RANK or x.kind != "float32", f"it does not take {x.rank} dimensions")
