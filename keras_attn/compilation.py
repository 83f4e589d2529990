"""Compiles functions that read a model's weights: the one file that knows how each backend does it."""

import functools

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

    def call(*arguments):
        values = [variable.value for variable in model.variables]
        distribution = keras.distribution.distribution()
        if distribution is None:
            return jitted(values, *arguments)
        if all(value.is_fully_replicated for value in values):
            # Every process has a whole model, and computes the same on its first device.
            return jitted([value.addressable_data(0) for value in values], *arguments)
        return shared(values, *jax.tree.map(jax.device_get, arguments))

    @functools.cache
    def whole_everywhere(mesh):
        return jax.jit(pure, out_shardings=jax.sharding.NamedSharding(mesh, jax.P()))

    def shared(values, *arguments):
        # The processes compute together, and each gets all of what comes out.
        return whole_everywhere(values[0].sharding.mesh)(values, *arguments)

    return call


def _tensorflow(function):
    import tensorflow as tf

    return tf.function(function)


def _torch(function):
    import torch  # pyright: ignore[reportMissingImports]  (not among the development needs)

    def call(*arguments):
        with torch.no_grad():
            return function(*arguments)

    return call
