"""Rules of the operators that move a window over an image or a volume: convolutions, pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras_attn.device.model_check.operators import Operator, Tensor, check_rows

_SAME, _VALID = 0, 1
_LARGEST_STEP = 2**15 - 1
_PATCHES = 2**28
"""Most numbers that kernels copy out of an image before they multiply: a row for each window."""
_AXES = {2: ("h", "w"), 3: ("d", "h", "w")}


def conv_2d(op: Operator) -> None:
    """Check a convolution, perhaps in groups; weights are (O, h, w, I)."""
    x, weights, _ = op.take(3)
    _floats(op, x, weights, 4, scale_axis=0)
    units, *window, depth = weights.shape
    groups, rest = divmod(x.shape[-1], depth)
    op.need(rest == 0 and units % groups == 0, _unfit(x, weights))
    sizes = [_windows(op, *each) for each in _each_axis(op, x.shape[1:-1], window)]
    _finish(op, x, sizes, units, math.prod(window) * depth)


def depthwise_conv_2d(op: Operator) -> None:
    """Check a convolution of each channel; weights are (1, h, w, O)."""
    x, weights, _ = op.take(3)
    _floats(op, x, weights, 4, scale_axis=3)
    one, *window, units = weights.shape
    op.need(one == 1 and x.shape[-1] * op.option("multiplier") == units, _unfit(x, weights))
    sizes = [_windows(op, *each) for each in _each_axis(op, x.shape[1:-1], window)]
    _finish(op, x, sizes, units, 1)


def conv_3d(op: Operator) -> None:
    """Check a convolution of a volume; weights are (d, h, w, I, O)."""
    x, weights = op.take(2, 1)
    _floats(op, x, weights, 5)
    *window, depth, units = weights.shape
    op.need(depth == x.shape[-1], _unfit(x, weights))
    sizes = [_windows(op, *each) for each in _each_axis(op, x.shape[1:-1], window)]
    _finish(op, x, sizes, units, math.prod(window) * depth)


def transpose_conv(op: Operator) -> None:
    """Check the transpose of a convolution; weights are (O, h, w, I)."""
    shape, weights, x = op.take(3, 1)
    _floats(op, x, weights, 4, scale_axis=0)
    units, *window, depth = weights.shape
    _transposed(op, shape, x, weights, window, depth, units)


def conv_3d_transpose(op: Operator) -> None:
    """Check the transpose of a convolution of a volume; weights are (d, h, w, O, I)."""
    shape, weights, x = op.take(3, 1)
    _floats(op, x, weights, 5)
    *window, units, depth = weights.shape
    _transposed(op, shape, x, weights, window, depth, units)


def pool_2d(op: Operator) -> None:
    """Check the mean or the largest number of each window."""
    [x] = op.take(1)
    op.need(x.kind == "float32" and x.rank == 4 and x.elements > 0, f"it does not take {x.kind}")
    window = [op.option("filter_h"), op.option("filter_w")]
    sizes = [_windows(op, *each) for each in _each_axis(op, x.shape[1:-1], window)]
    op.activation()
    op.give((x.kind, (x.shape[0], *sizes, x.shape[-1])))


def local_response_normalization(op: Operator) -> None:
    """Check the division of each number by those of the channels around it."""
    [x] = op.take(1)
    op.need(x.kind == "float32" and x.rank == 4, f"it does not take {x.kind}{list(x.shape)}")
    op.need(0 <= op.option("radius") <= _LARGEST_STEP, f"its radius is {op.option('radius')}")
    op.give((x.kind, x.shape))


def _floats(op: Operator, x: Tensor, weights: Tensor, rank: int, scale_axis: int | None = None) -> None:
    """Check types and ranks; weights may be int8 where kernels take a scale for each output channel."""
    op.need(
        x.kind == "float32" and x.rank == weights.rank == rank, f"it does not take {x.kind}{list(x.shape)}"
    )
    op.need(x.elements > 0 and weights.elements > 0, "its input or its weights are empty")
    if scale_axis is not None and weights.kind != "float32":
        check_rows(op, weights, ("int8",), scale_axis)
    else:
        op.need(weights.kind == "float32", f"its weights are {weights.kind}")


def _each_axis(op: Operator, sizes: Sequence[int], window: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Return for each axis its size, the window's size, the stride and the dilation."""
    found = []
    for axis, size, width in zip(_AXES[len(sizes)], sizes, window, strict=True):
        stride, dilation = op.option(f"stride_{axis}"), op.options.get(f"dilation_{axis}", 1)
        assert isinstance(dilation, int)
        op.need(0 < stride <= _LARGEST_STEP, f"its stride is {stride}")
        op.need(0 < dilation <= _LARGEST_STEP, f"its dilation is {dilation}")
        op.need(0 < width <= _LARGEST_STEP, f"its window is {width}")
        found.append((size, width, stride, dilation))
    return found


def _windows(op: Operator, size: int, width: int, stride: int, dilation: int) -> int:
    """Return how many windows an axis has."""
    padding, reach = op.option("padding"), (width - 1) * dilation + 1
    op.need(padding in (_SAME, _VALID), f"its padding is {padding}")
    op.need(reach < 2**30, f"its window reaches over {reach}")
    count = -(-size // stride) if padding == _SAME else (size - reach) // stride + 1
    op.need(count > 0, f"its window of {reach} is larger than its input of {size}")
    return count


def _finish(op: Operator, x: Tensor, sizes: Sequence[int], units: int, patch: int) -> None:
    _bias(op, 2, units)
    op.activation()
    _patches(op, x.shape[0] * math.prod(sizes) * patch)
    op.give((x.kind, (x.shape[0], *sizes, units)))


def _transposed(
    op: Operator, shape: Tensor, x: Tensor, weights: Tensor, window: Sequence[int], depth: int, units: int
) -> None:
    op.need(depth == x.shape[-1], _unfit(x, weights))
    batch, *sizes, channels = wanted = op.known(shape, x.rank)
    axes = _each_axis(op, sizes, window)
    op.need(all(dilation == 1 for *_, dilation in axes), "it is dilated")
    # What the convolution would make of the output must be the input, or kernels read beyond it.
    fits = min(wanted) > 0 and [_windows(op, *each) for each in axes] == list(x.shape[1:-1])
    op.need(fits and (batch, channels) == (x.shape[0], units), f"it makes {list(wanted)} of {list(x.shape)}")
    _bias(op, 3, units)
    op.activation()
    _patches(op, x.elements // depth * math.prod(window) * units)
    op.give((x.kind, wanted))


def _bias(op: Operator, place: int, units: int) -> None:
    bias = op.inputs[place] if len(op.inputs) > place else None
    op.need(
        bias is None or (bias.kind, bias.shape) == ("float32", (units,)), "its bias does not fit its weights"
    )


def _patches(op: Operator, count: int) -> None:
    op.need(count <= _PATCHES, f"its windows have {count:,} numbers, and at most {_PATCHES:,} are accepted")


def _unfit(x: Tensor, weights: Tensor) -> str:
    return f"its weights {list(weights.shape)} do not fit {list(x.shape)}"
