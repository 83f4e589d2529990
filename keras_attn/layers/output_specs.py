"""Shapes and dtypes of layers that return more than one tensor, found by tracing their `call`."""

import keras
from keras import tree


def traced_spec(layer, *args, **kwargs):
    """Describe what a layer's `call` returns for symbolic arguments.

    Float arguments count as the layer's compute dtype, to which a real call casts them first.

    Args:
        layer: the layer.
        *args: arguments of its `call`; tensors may be real or `keras.KerasTensor`.
        **kwargs: the same by name.

    Returns:
        The structure that `call` returns, with `keras.KerasTensor` for tensors.
    """

    def cast(x):
        is_float = hasattr(x, "shape") and "float" in keras.backend.standardize_dtype(x.dtype)
        return keras.KerasTensor(x.shape, layer.compute_dtype) if is_float else x

    args, kwargs = tree.map_structure(cast, (args, kwargs))
    return keras.Operation.compute_output_spec(layer, *args, **kwargs)
