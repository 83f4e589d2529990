"""Signatures as a SavedModel, from which TensorFlow's converter starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_attn_export.lowering.base import Signature
from keras_attn_export.tracing.refusals import check_operations


def save_signatures(
    saved_model: Path,
    signatures: Mapping[str, Signature],
    variables: Callable[[], Sequence[Any]],
) -> list[str]:
    """Write a SavedModel of signatures; return their names.

    Args:
        saved_model: folder to write.
        signatures: by name.
        variables: called once the functions are traced, for all that they read; any other would become one
            that returns garbage.

    Raises:
        ArgumentError: a graph draws random numbers.
    """
    module = tf.Module()
    # Only signatures are saved: functions in the module would be saved and loaded a second time.
    functions = {name: concrete_function(signature) for name, signature in signatures.items()}
    for function in functions.values():
        check_operations(function.graph)
    setattr(module, "constants", list(variables()))  # noqa: B010
    setattr(module, "tables", [signature.tables for signature in signatures.values()])  # noqa: B010
    tf.saved_model.save(module, str(saved_model), signatures=functions)
    return list(functions)


def concrete_function(signature: Signature) -> Any:
    """Trace a signature; its inputs have their names, shapes and types."""
    names = list(signature.inputs)
    specs = [tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in signature.inputs.items()]

    def positional(*tensors: Any) -> dict[str, Any]:
        return signature.function(**dict(zip(names, tensors, strict=True)))

    return tf.function(positional, input_signature=specs, autograph=False).get_concrete_function()
