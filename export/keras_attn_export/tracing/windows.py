"""Layers of Keras' TensorFlow backend that slide windows, in the forms that model files do not have.

Each function takes first the function of Keras' that it replaces, which does the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def conv_transpose(
    of_keras: Callable[..., Any],
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Convolve backwards; with dilation, and so strides of 1, forwards with the mirrored kernel."""
    from keras.src.backend.common.backend_utils import compute_conv_transpose_output_shape
    from keras.src.backend.tensorflow.nn import conv

    axes = len(inputs.shape) - 2
    rates = [dilation_rate] * axes if isinstance(dilation_rate, int) else list(dilation_rate)
    if max(rates) == 1:
        return of_keras(inputs, kernel, strides, padding, output_padding, data_format, dilation_rate)
    first = 2 if data_format == "channels_first" else 1
    sizes = kernel.shape[:axes], kernel.shape[-2]
    wanted = compute_conv_transpose_output_shape(
        inputs.shape, *sizes, strides, padding, output_padding, data_format, rates
    )
    # Each input reaches (size - 1) rate further; "same" cuts half of that off.
    around = [[0, 0] for _ in inputs.shape]
    for axis, size, rate in zip(range(first, first + axes), kernel.shape[:axes], rates, strict=True):
        reach = (size - 1) * rate
        cut = inputs.shape[axis] + reach - wanted[axis]
        around[axis] = [reach - cut // 2, reach - (cut - cut // 2)]
    mirrored = tf.reverse(kernel, list(range(axes)))
    mirrored = tf.transpose(mirrored, [*range(axes), axes + 1, axes])  # (..., in, out)
    return conv(tf.pad(inputs, around), mirrored, 1, "valid", data_format, rates)


def pool(
    of_keras: Callable[..., Any],
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Take the largest value or the average of windows; of three axes first over two of them."""
    if len(inputs.shape) != 5:
        return of_keras(inputs, pool_size, strides, padding, data_format)
    given = (pool_size, strides or pool_size)
    size, strides = ([each] * 3 if isinstance(each, int) else list(each) for each in given)
    if data_format == "channels_first":
        inputs = tf.transpose(inputs, [0, 2, 3, 4, 1])
    batch, depth, height, width, channels = inputs.shape
    flat = tf.reshape(inputs, [batch * depth, height, width, channels])
    flat = of_keras(flat, size[1:], strides[1:], padding, "channels_last")  # (B D, H', W', C)
    rows, columns = flat.shape[1:3]
    flat = tf.reshape(flat, [batch, depth, rows * columns, channels])
    flat = of_keras(flat, [size[0], 1], [strides[0], 1], padding, "channels_last")  # (B, D', H' W', C)
    found = tf.reshape(flat, [batch, flat.shape[1], rows, columns, channels])
    return tf.transpose(found, [0, 4, 1, 2, 3]) if data_format == "channels_first" else found


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "conv_transpose": conv_transpose,
    "max_pool": pool,
    "average_pool": pool,
}
"""Those of Keras' module `nn` that they replace."""
