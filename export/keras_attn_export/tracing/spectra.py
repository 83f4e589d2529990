"""Fourier transforms of Keras' TensorFlow backend, as products with constant matrices of float32.

Model files know neither complex numbers nor, on all runtimes, their transforms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Complex = tuple[Any, Any]
"""Real and imaginary parts."""


def fft(x: Complex) -> Complex:
    """Compute the transform of the last axis (..., N)."""
    real, imaginary = _alike(x)
    return _times(real, imaginary, _waves(real.shape[-1]))


def fft2(x: Complex) -> Complex:
    """Compute the transform of the last two axes (..., H, W)."""
    real, imaginary = _alike(x)
    rows = _waves(real.shape[-2])
    real, imaginary = _times(real, imaginary, _waves(real.shape[-1]))
    return rows.real @ real - rows.imag @ imaginary, rows.real @ imaginary + rows.imag @ real


def rfft(x: Any, fft_length: int | None = None) -> Complex:
    """Compute the transform of real numbers (..., N): of its N // 2 + 1 first frequencies."""
    x = tf.convert_to_tensor(x)
    length = fft_length or x.shape[-1]
    kept = x[..., :length]  # (..., at most length)
    waves = _waves(length)[: kept.shape[-1], : length // 2 + 1]
    return _product(kept, waves.real), _product(kept, waves.imag)


def stft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> Complex:
    """Compute the transforms of parts of a signal (..., T): (..., parts, fft_length // 2 + 1)."""
    x = tf.convert_to_tensor(x)
    if center:
        around = fft_length // 2
        x = tf.pad(x, [*[[0, 0]] * (len(x.shape) - 1), [around, around]], mode="REFLECT")
    weights = np.ones(fft_length)
    if window is not None:
        before = (fft_length - sequence_length) // 2
        weights = np.pad(_window(window, sequence_length), (before, fft_length - sequence_length - before))
    waves = weights[:, None] * _waves(fft_length)[:, : fft_length // 2 + 1]
    parts = max(0, 1 + (x.shape[-1] - fft_length) // sequence_stride)
    places = sequence_stride * np.arange(parts)[:, None] + np.arange(fft_length)  # (parts, fft_length)
    found = tf.gather(x, places.astype(np.int32), axis=-1)
    return _product(found, waves.real), _product(found, waves.imag)


FUNCTIONS: Sequence[Callable[..., Any]] = (fft, fft2, rfft, stft)
"""Those of Keras' module `math` that they replace, by name."""


def _window(window: Any, length: int) -> np.ndarray:
    if not isinstance(window, str):
        return np.asarray(window, np.float64)
    make = tf.signal.hann_window if window == "hann" else tf.signal.hamming_window
    with tf.init_scope():
        return make(length, periodic=True, dtype=tf.float64).numpy()


def _waves(size: int) -> Any:
    """Return the matrix of the transform of `size` numbers."""
    numbers = np.arange(size)
    return np.exp(-2j * np.pi * (np.outer(numbers, numbers) % size) / size).astype(np.complex64)


def _times(real: Any, imaginary: Any, waves: Any) -> Complex:
    return (
        _product(real, waves.real) - _product(imaginary, waves.imag),
        _product(real, waves.imag) + _product(imaginary, waves.real),
    )


def _product(x: Any, matrix: np.ndarray) -> Any:
    """Multiply (..., N) with a matrix (N, M)."""
    found = tf.reshape(x, [-1, x.shape[-1]]) @ tf.constant(matrix, tf.float32)
    return tf.reshape(found, [*x.shape[:-1], matrix.shape[-1]])


def _alike(x: Complex) -> Complex:
    real, imaginary = (tf.convert_to_tensor(each) for each in x)
    shape = tf.broadcast_static_shape(real.shape, imaginary.shape)
    return tf.broadcast_to(real, shape), tf.broadcast_to(imaginary, shape)
