"""Rules of the operators that read or write where numbers of another tensor say."""

from __future__ import annotations

from keras_attn.device.model_check.operators import ANY, MOVED, NUMBERS, Operator


def gather(op: Operator) -> None:
    """Check the parts along an axis that indices select."""
    x, ids = op.take(2)
    op.need(x.kind in MOVED and ids.kind in ("int32", "int64"), f"it does not take {x.kind} by {ids.kind}")
    axis, batch = op.axis(op.option("axis"), x.rank), op.option("batch_dims")
    op.need(0 <= batch <= min(axis, ids.rank), f"it has {batch} dimensions of batches")
    op.need(x.shape[:batch] == ids.shape[:batch], "its batches differ")
    op.give((x.kind, (*x.shape[:axis], *ids.shape[batch:], *x.shape[axis + 1 :])))


def gather_nd(op: Operator) -> None:
    """Check the parts that rows of indices select."""
    x, ids = op.take(2)
    op.need(x.kind in MOVED and ids.kind == "int32" and ids.rank > 0, f"it does not take {x.kind}")
    depth = ids.shape[-1]
    op.need(0 < depth <= x.rank, f"its indices have {depth} numbers")
    op.give((x.kind, (*ids.shape[:-1], *x.shape[depth:])))


def scatter_nd(op: Operator) -> None:
    """Check parts that are added to zeros where rows of indices say."""
    ids, parts, shape = op.take(3)
    wanted = op.known(shape)
    op.need(parts.kind in (*ANY, "int8", "uint8"), f"it does not take {parts.kind}")
    op.need(ids.kind == "int32" and ids.rank > 0 and shape.rank == 1, f"it does not take {ids.kind}")
    depth = ids.shape[-1]
    op.need(0 < depth <= len(wanted) and min(wanted) >= 0, f"it makes {list(wanted)} by {list(ids.shape)}")
    op.need(
        parts.shape == (*ids.shape[:-1], *wanted[depth:]), f"it writes {list(parts.shape)} to {list(wanted)}"
    )
    op.give((parts.kind, wanted))


def unsorted_segments(op: Operator) -> None:
    """Check the reduction of rows to the numbers of their segments, which kernels compare to their count."""
    x, ids, count = op.take(3)
    segments = op.number(count)
    op.need(
        x.kind in ("float32", "int32") and ids.kind == "int32", f"it does not take {x.kind} by {ids.kind}"
    )
    op.need(ids.rank == 1 and x.rank > 0 and ids.shape == x.shape[:1], f"its segments are {list(ids.shape)}")
    op.need(segments > 0 and x.elements > 0, f"it makes {segments} segments")
    op.give((x.kind, (segments, *x.shape[1:])))


def segment_sum(op: Operator) -> None:
    """Check the sums of rows whose segments follow each other."""
    x, ids = op.take(2)
    numbers = op.known(ids)
    op.need(x.kind in ("float32", "int32") and x.rank > 0, f"it does not take {x.kind}")
    op.need(ids.rank == 1 and ids.shape == x.shape[:1], "it lacks a segment for each row")
    steps = zip((0, *numbers), numbers, strict=False)
    op.need(all(after - before in (0, 1) for before, after in steps), f"its segments are {list(numbers)}")
    op.need(numbers[:1] == (0,), f"its segments are {list(numbers)}")
    op.give((x.kind, (max(numbers) + 1, *x.shape[1:])))


def reverse_sequence(op: Operator) -> None:
    """Check rows of which the beginning is reversed: kernels do not compare its length to the row's."""
    x, lengths = op.take(2)
    op.need(x.kind in (*NUMBERS, "uint8"), f"it does not take {x.kind}")
    along, batch = op.axis(op.option("axis"), x.rank), op.axis(op.option("batch_axis"), x.rank)
    known = op.known(lengths, x.shape[batch])
    op.need(along != batch and lengths.rank == 1, "it reverses the axis of its batches")
    op.need(min(known, default=0) >= 0 and max(known, default=0) <= x.shape[along], f"it reverses {known}")
    op.give((x.kind, x.shape))


def one_hot(op: Operator) -> None:
    """Check a one-hot vector for each number."""
    ids, depth, on, off = op.take(4)
    axis, size = op.axis(op.option("axis"), ids.rank + 1), op.number(depth)
    op.need(
        ids.kind in ("int32", "int64") and size > 0 and on.kind == off.kind, f"it does not take {ids.kind}"
    )
    op.need(on.kind in (*ANY, "int8", "uint8"), f"it does not take {on.kind}")
    op.need(on.elements == off.elements == 1, "it writes more than a number")
    op.give((on.kind, (*ids.shape[:axis], size, *ids.shape[axis:])))


def update(op: Operator) -> None:
    """Check a tensor with a part overwritten; kernels move a start that does not fit."""
    x, part, start = op.take(3)
    op.need((start.kind, start.shape) == ("int32", (x.rank,)), "it lacks a start for each axis")
    smaller = part.rank == x.rank and all(map(int.__le__, part.shape, x.shape))
    op.need(smaller and part.kind == x.kind and x.kind in (*ANY, "int8"), "what it writes does not fit")
    op.give((x.kind, x.shape))


def non_max_suppression(op: Operator) -> None:
    """Check the choice of boxes that overlap little; version 5 returns their scores, too."""
    scored = len(op.outputs) == 3
    boxes, scores, most, *numbers = op.take(6 if scored else 5)
    count = op.number(most)
    op.need(
        boxes.kind == scores.kind == "float32" and boxes.shape == (*scores.shape, 4), "its boxes lack scores"
    )
    op.need(scores.rank == 1 and count > 0 and most.shape == (), f"it chooses {count} boxes")
    op.need(all((each.kind, each.shape) == ("float32", ()) for each in numbers), "it lacks a threshold")
    chosen = [("int32", (count,)), ("float32", (count,))][: 1 + scored]
    op.give(*chosen, ("int32", ()))
