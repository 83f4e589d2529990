"""Rules of the operators that resize images, and move elements between their axes."""

from __future__ import annotations

import math

from keras_attn.device.model_check.operators import MOVED, Operator, Tensor

_LARGEST_BLOCK = 2**15


def resize(op: Operator) -> None:
    """Check an image of another size."""
    x, size = op.take(2)
    op.need(
        x.kind == "float32" and x.rank == 4 and x.elements > 0, f"it does not take {x.kind}{list(x.shape)}"
    )
    height, width = op.known(size, 2)
    op.need(min(height, width) > 0, f"it makes {height} x {width}")
    op.need(
        not (op.option("align_corners") and op.option("half_pixels")), "its pixels are placed in two ways"
    )
    op.give((x.kind, (x.shape[0], height, width, x.shape[3])))


def space_to_depth(op: Operator) -> None:
    """Check blocks of an image that become channels."""
    x, block = _blocks(op)
    batch, height, width, depth = x.shape
    op.need(height % block == width % block == 0, f"it has blocks of {block} in {list(x.shape)}")
    op.give((x.kind, (batch, height // block, width // block, depth * block**2)))


def depth_to_space(op: Operator) -> None:
    """Check channels that become blocks of an image."""
    x, block = _blocks(op)
    batch, height, width, depth = x.shape
    op.need(depth % block**2 == 0, f"it has blocks of {block} in {list(x.shape)}")
    op.give((x.kind, (batch, height * block, width * block, depth // block**2)))


def space_to_batch(op: Operator) -> None:
    """Check blocks of padded axes that become batches."""
    x, blocks, widths = op.take(3)
    counts, pads = _blocks_and_widths(op, x, blocks, widths)
    inner = x.shape[1:-1]
    padded = [size + sum(pad) for size, pad in zip(inner, pads, strict=True)]
    fits = all(size % count == 0 for size, count in zip(padded, counts, strict=True))
    op.need(fits, f"it has blocks of {counts} in {padded}")
    sizes = [size // count for size, count in zip(padded, counts, strict=True)]
    op.give((x.kind, (x.shape[0] * math.prod(counts), *sizes, x.shape[-1])))


def batch_to_space(op: Operator) -> None:
    """Check batches that become blocks of axes, which are cropped."""
    x, blocks, widths = op.take(3)
    counts, crops = _blocks_and_widths(op, x, blocks, widths)
    whole = math.prod(counts)
    op.need(x.shape[0] % whole == 0, f"it has blocks of {counts} in {x.shape[0]} batches")
    inner = zip(x.shape[1:-1], counts, crops, strict=True)
    sizes = [size * count - sum(crop) for size, count, crop in inner]
    op.need(min(sizes) > 0, f"it crops by {crops}")
    op.give((x.kind, (x.shape[0] // whole, *sizes, x.shape[-1])))


def _blocks(op: Operator) -> tuple[Tensor, int]:
    [x] = op.take(1)
    block = op.option("block")
    op.need(x.kind in _KINDS and x.rank == 4, f"it does not take {x.kind}{list(x.shape)}")
    op.need(0 < block <= _LARGEST_BLOCK, f"it has blocks of {block}")
    return x, block


def _blocks_and_widths(
    op: Operator, x: Tensor, blocks: Tensor, widths: Tensor
) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    op.need(x.kind in _KINDS and x.rank in (3, 4), f"it does not take {x.kind}{list(x.shape)}")
    axes = x.rank - 2
    counts, flat = op.known(blocks, axes), op.known(widths, 2 * axes)
    op.need((blocks.shape, widths.shape) == ((axes,), (axes, 2)), "its blocks or widths are of other axes")
    op.need(min(counts) > 0 and max(counts) <= _LARGEST_BLOCK, f"it has blocks of {counts}")
    op.need(min(flat) >= 0 and max(flat) < 2**30, f"it pads or crops by {flat}")
    return counts, list(zip(flat[::2], flat[1::2], strict=True))


_KINDS = tuple(kind for kind in MOVED if kind not in ("bool", "int16"))
