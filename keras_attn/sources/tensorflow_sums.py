"""Sums of tensors on Keras' TensorFlow backend, which takes some tensors for biases that are none."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any
from unittest import mock

from keras import backend, ops


@contextlib.contextmanager
def exact_sums() -> Iterator[None]:
    """Let `keras.ops.add` broadcast as NumPy does until the end of the block.

    Keras 3.15 adds a tensor of which one axis is longer than 1 as a bias to the axis of the same length: of
    four examples (4, 6, 4) and their means (4, 1, 1) each channel gets another example's mean. Other
    backends add them rightly.
    """
    if backend.backend() != "tensorflow":
        yield
        return
    from keras.src.backend.tensorflow import numpy

    with mock.patch.object(numpy, "add", functools.partial(_add, numpy.add)):
        yield


def _add(of_keras: Any, x1: Any, x2: Any) -> Any:
    """Add as Keras does where the second tensor is a number or a bias of the last axis."""
    one, other = (list(getattr(x, "shape", ())) for x in (x1, x2))
    if not other or (one[-1:] == other[-1:] and all(size == 1 for size in other[:-1])):
        return of_keras(x1, x2)
    import tensorflow as tf
    from keras.src.backend.common.dtypes import result_type

    kinds = (backend.standardize_dtype(x.dtype) if hasattr(x, "dtype") else type(x) for x in (x1, x2))
    kind = result_type(*kinds)
    return tf.add(ops.convert_to_tensor(x1, kind), ops.convert_to_tensor(x2, kind))
