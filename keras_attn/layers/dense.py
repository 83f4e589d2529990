"""Dense layers over rows: one product of two matrices, however many axes the inputs have.

A kernel's gradient sums over all axes of the inputs that are not contracted. Where these are several, XLA on
a CPU first writes a transposed copy of the outputs' gradient, which in a small layer takes as long as the
product itself; of a matrix it writes none.
"""

import math
import re

import keras
from keras import ops


def flatten_leading_axes(x, axes):
    """Merge all axes of a tensor but the last `axes` into one, and these into another.

    Args:
        x: tensor of a rank of at least `axes`; the sizes of the last ones are known.
        axes: int.

    Returns:
        Tensor (rows, columns).
    """
    return ops.reshape(x, (-1, math.prod(x.shape[len(x.shape) - axes :])))


class Dense(keras.layers.Dense):
    """`keras.layers.Dense` over rows.

    Call arguments:
        inputs: float tensor (..., D).

    Returns:
        (..., units).
    """

    def call(self, inputs, training=None):
        """Multiply the rows by the kernel."""
        outputs = super().call(flatten_leading_axes(inputs, 1), training=training)  # (N, units)
        return ops.reshape(outputs, (*ops.shape(inputs)[:-1], self.units))

    def quantize(self, mode=None, type_check=True, config=None):
        """Quantize as `keras.layers.Dense` does, which refuses subclasses that may differ."""
        super().quantize(mode, type_check=type_check and type(self) is not Dense, config=config)


class EinsumDense(keras.layers.EinsumDense):
    """`keras.layers.EinsumDense` over rows, for equations that sum over the inputs' last axes only.

    The axes that the kernel appends all have biases, or none has.

    Call arguments:
        inputs: float tensor, such as (..., D) for the equation "abc,cde->abde".

    Returns:
        Such as (..., H, dh).
    """

    def call(self, inputs, training=None):
        """Multiply the rows by the kernel, as a matrix."""
        of_inputs, of_kernel, _ = re.split(",|->", self.equation)
        summed = sum(axis in of_kernel for axis in of_inputs)
        # torch's symbolic tensors would keep the variables' own dtype.
        kernel = ops.cast(self.kernel, self.compute_dtype)
        rows = flatten_leading_axes(inputs, summed)  # (N, D)
        x = ops.matmul(rows, ops.reshape(kernel, (rows.shape[-1], -1)))  # (N, H·dh)
        if self.bias is not None:
            x = ops.add(x, ops.reshape(ops.cast(self.bias, self.compute_dtype), (-1,)))
        kept = ops.shape(inputs)[: len(inputs.shape) - summed]
        x = ops.reshape(x, (*kept, *kernel.shape[summed:]))  # (..., H, dh)
        return x if self.activation is None else self.activation(x)

    def quantize(self, mode=None, type_check=True, config=None):
        """Quantize as `keras.layers.EinsumDense` does, which refuses subclasses; see `Dense`."""
        super().quantize(mode, type_check=type_check and type(self) is not EinsumDense, config=config)
