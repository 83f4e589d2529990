"""Functions of Keras' TensorFlow backend, written with operators that model files have."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import tensorflow as tf

from keras_attn_export.tracing import elementary, spectra, static_loop, windows

_BACKEND = "keras.src.backend.tensorflow"


@contextlib.contextmanager
def builtin_operators() -> Iterator[None]:
    """Let Keras use other operators until the end of the block.

    - `argmax` and `argmin` without Keras' BITWISE_AND, by which it tells 0 from -0;
    - `one_hot` and what is cast to "int" in 32 bits, the only whole numbers that all runtimes have;
    - float32 where NumPy's numbers make float64 of it;
    - elementary functions such as `tan`, by those that there are, and `rsqrt` of 0: see `elementary`;
    - Fourier transforms by products with constant matrices: see `spectra`;
    - dilated transposed convolutions and pools of three axes by others: see `windows`;
    - `scan` and `map` step by step: see `static_loop`;
    - no dropout masks in recurrent cells: they draw them also where they do not use them.
    """
    from keras.src.backend.common import dtypes
    from keras.src.backend.tensorflow import nn
    from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

    int32 = {int: "int32", "int": "int32"}
    replaced = {
        "math": (*elementary.OF_MATH, *spectra.FUNCTIONS),
        "numpy": elementary.OF_NUMPY,
        "core": static_loop.FUNCTIONS,
    }
    patches = [
        mock.patch(f"{_BACKEND}.{module}.{function.__name__}", function)
        for module, functions in replaced.items()
        for function in functions
    ]
    patches += [
        mock.patch.object(nn, name, functools.partial(function, getattr(nn, name)))
        for name, function in windows.FUNCTIONS.items()
    ]
    with (
        contextlib.ExitStack() as stack,
        mock.patch(f"{_BACKEND}.numpy.argmax", functools.partial(_place, tf.argmax)),
        mock.patch(f"{_BACKEND}.numpy.argmin", functools.partial(_place, tf.argmin)),
        mock.patch(f"{_BACKEND}.nn.one_hot", _one_hot),
        mock.patch.dict(dtypes.PYTHON_DTYPES_MAP, int32),
        mock.patch.object(dtypes, "result_type", functools.partial(_result_type, dtypes.result_type)),
        mock.patch.object(DropoutRNNCell, "get_dropout_mask", _no_mask),
        mock.patch.object(DropoutRNNCell, "get_recurrent_dropout_mask", _no_mask),
    ):
        for patch in patches:
            stack.enter_context(patch)
        yield


def _result_type(of_keras: Callable[..., str], *kinds: Any) -> str:
    """Return the type of a result; of x / np.sqrt(2) Keras makes float64, of which there are no operators."""
    found = of_keras(*kinds)
    return "float32" if found == "float64" else found


def _place(find: Any, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    x = tf.convert_to_tensor(x)
    found = find(tf.reshape(x, [-1]) if axis is None else x, axis=axis or 0, output_type=tf.int32)
    if not keepdims:
        return found
    return tf.reshape(found, [1] * len(x.shape)) if axis is None else tf.expand_dims(found, axis)


def _one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    del sparse  # a matter of memory in training
    hot = tf.one_hot(tf.cast(x, tf.int32), num_classes, axis=axis, dtype=tf.float32)
    return tf.cast(hot, dtype or tf.float32)


def _no_mask(self: Any, step_input: Any) -> None:
    return None
