"""Compiles functions that read a model's weights: the one file that knows how each backend does it."""

import keras


def compiled(model, function):
    """Compile an inference function once per input shape.

    Args:
        model: the Keras model whose variables `function` reads; their values may change between calls.
        function: from (nested) tensors to (nested) tensors; it must not change any variable.

    Returns:
        A function with the same arguments and results, compiled for the backend in use.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        return _jax(model, function)
    if backend == "tensorflow":
        return _tensorflow(function)
    return _torch(function)


def _jax(model, function):
    import jax

    def pure(values, *arguments):
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
            return function(*arguments)

    jitted = jax.jit(pure)
    return lambda *arguments: jitted([variable.value for variable in model.variables], *arguments)


def _tensorflow(function):
    import tensorflow as tf

    return tf.function(function)


def _torch(function):
    import torch  # pyright: ignore[reportMissingImports]  (not among the development needs)

    def call(*arguments):
        with torch.no_grad():
            return function(*arguments)

    return call
