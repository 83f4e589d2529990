"""Elementary functions of Keras' TensorFlow backend, of operators that model files have.

All are exact to a few roundings of float32 where their results are of usual size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

# x P(x^2) / Q(x^2) for |x| <= 4, as in Eigen (generic_fast_erf_float), highest power first.
_ERF_ABOVE = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_BELOW = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
_LEAST = float(np.finfo(np.float32).tiny)
"""The smallest number with all its digits."""


def erf(x: Any) -> Any:
    """Compute the error function."""
    x = tf.clip_by_value(_floats(x), -4.0, 4.0)
    return x * _polynomial(_ERF_ABOVE, x * x) / _polynomial(_ERF_BELOW, x * x)


def erfc(x: Any) -> Any:
    """Compute 1 - erf(x)."""
    return 1.0 - erf(x)


def rsqrt(x: Any) -> Any:
    """Compute 1 / sqrt(x), and 1e19 for 0: Keras' `normalize` then bounds it, and x * rsqrt(0) is 0 for 0.

    The operator returns NaN for 0 on LiteRT. What a constant was added to, as layers of normalization add
    their epsilon, is taken as it is.
    """
    x = _floats(x)
    return tf.math.rsqrt(x if _has_epsilon(x) else tf.maximum(x, _LEAST))


def tan(x: Any) -> Any:
    """Compute the tangent."""
    x = _floats(x)
    return tf.sin(x) / tf.cos(x)


def arctan(x: Any) -> Any:
    """Compute the inverse of the tangent."""
    x = _floats(x)
    return tf.atan2(x, tf.ones_like(x))


def arcsin(x: Any) -> Any:
    """Compute the inverse of the sine."""
    x = _floats(x)
    return tf.atan2(x, tf.sqrt((1.0 - x) * (1.0 + x)))


def arccos(x: Any) -> Any:
    """Compute the inverse of the cosine."""
    x = _floats(x)
    return tf.atan2(tf.sqrt((1.0 - x) * (1.0 + x)), x)


def sinh(x: Any) -> Any:
    """Compute the hyperbolic sine."""
    x = _floats(x)
    return 0.5 * (tf.exp(x) - tf.exp(-x))


def cosh(x: Any) -> Any:
    """Compute the hyperbolic cosine."""
    x = _floats(x)
    return 0.5 * (tf.exp(x) + tf.exp(-x))


def arcsinh(x: Any) -> Any:
    """Compute the inverse of the hyperbolic sine."""
    x = _floats(x)
    size = tf.abs(x)
    return tf.sign(x) * tf.math.log(size + tf.sqrt(size * size + 1.0))


def arccosh(x: Any) -> Any:
    """Compute the inverse of the hyperbolic cosine."""
    x = _floats(x)
    return tf.math.log(x + tf.sqrt((x - 1.0) * (x + 1.0)))


def arctanh(x: Any) -> Any:
    """Compute the inverse of the hyperbolic tangent."""
    x = _floats(x)
    return 0.5 * tf.math.log((1.0 + x) / (1.0 - x))


def signbit(x: Any) -> Any:
    """Return whether numbers are below 0; -0 counts as 0."""
    return tf.convert_to_tensor(x) < 0


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Compute the products of all values up to each, along an axis."""
    x = tf.convert_to_tensor(x)
    x = tf.cast(x, dtype or ("int32" if x.dtype == tf.bool else x.dtype))
    x, axis = (tf.reshape(x, [-1]), 0) if axis is None else (x, axis % len(x.shape))
    length, step = x.shape[axis], 1
    while length is not None and step < length:  # after it each product has twice as many factors
        before = [[step if i == axis else 0, 0] for i in range(len(x.shape))]
        size = [length if i == axis else -1 for i in range(len(x.shape))]
        x, step = x * tf.slice(tf.pad(x, before, constant_values=1), [0] * len(size), size), 2 * step
    return x


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the diagonals of matrices, which two axes of a tensor hold: (..., n)."""
    x = tf.convert_to_tensor(x)
    rank = len(x.shape)
    rows, columns = axis1 % rank, axis2 % rank
    rest = [i for i in range(rank) if i not in (rows, columns)]
    height, width = x.shape[rows], x.shape[columns]
    numbers = np.arange(height * width).reshape(height, width).diagonal(offset)
    flat = tf.reshape(tf.transpose(x, [*rest, rows, columns]), [*(x.shape[i] for i in rest), -1])
    return tf.gather(flat, numbers.astype(np.int32), axis=-1)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the sums of the diagonals of matrices: (...)."""
    return tf.reduce_sum(diagonal(x, offset, axis1, axis2), -1)


OF_MATH: Sequence[Callable[..., Any]] = (erfc, rsqrt)
"""Those of Keras' module `math` that they replace, by name; `erf` is left to `own_erf`."""
OF_NUMPY: Sequence[Callable[..., Any]] = (
    *(tan, arctan, arcsin, arccos),
    *(sinh, cosh, arcsinh, arccosh, arctanh),
    *(signbit, cumprod, diagonal, trace),
)
"""Those of its module `numpy`."""


def erf_stands_alone(operations: Iterable[Any]) -> bool:
    """Return whether a graph has an error function that is not part of x / 2 (1 + erf(...)).

    That is a GELU, for which there is one operator.
    """
    return any(operation.type == "Erf" and not _makes_gelu(operation) for operation in operations)


@contextlib.contextmanager
def own_erf() -> Iterator[None]:
    """Let the error function be computed by other operators until the end of the block."""
    with mock.patch("tensorflow.math.erf", erf):
        yield


def _makes_gelu(operation: Any) -> bool:
    """Return whether what reads an Erf adds 1 to it and multiplies that with x / 2."""
    sums = operation.outputs[0].consumers()
    products = [each for one in sums for each in one.outputs[0].consumers()]
    if [each.type for each in (*sums, *products)] != ["AddV2", "Mul"]:
        return False
    halves = [each.op for each in products[0].inputs if each.op is not sums[0]]
    return [each.type for each in halves] == ["Mul"] and "Const" in {
        each.op.type for each in halves[0].inputs
    }


def _has_epsilon(x: Any) -> bool:
    """Return whether a tensor of a graph is the sum of a tensor and a positive constant."""
    if not tf.is_symbolic_tensor(x) or x.op.type not in ("Add", "AddV2"):
        return False
    constants = (tf.get_static_value(each) for each in x.op.inputs)
    return any(each is not None and np.all(each > 0) for each in constants)


def _floats(x: Any) -> Any:
    x = tf.convert_to_tensor(x)
    return x if x.dtype.is_floating else tf.cast(x, tf.float32)


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    value = coefficients[0] * tf.ones_like(x)
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value
