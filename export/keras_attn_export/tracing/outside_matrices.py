"""Signatures that take their matrices as inputs, so that they are converted without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn_export.lowering.base import Signature
from keras_attn_export.tflite.matrix_store import MatrixStore, input_name


class OutsideMatrices:
    """The matrices of lowered graphs, each in a store and, while a graph is traced, one of its inputs.

    Args:
        store: keeps the matrices.
    """

    def __init__(self, store: MatrixStore) -> None:
        self._store = store
        self._tensors: dict[str, Any] = {}

    def tensor(self, matrix: np.ndarray) -> Any:
        """Return the tensor of a matrix in the graph that is being traced."""
        name = self._store.add(matrix)
        if name not in self._tensors:
            self._tensors[name] = tf.compat.v1.placeholder(tf.float32, matrix.shape)
        return self._tensors[name]

    def as_inputs(self, signatures: Mapping[str, Signature]) -> dict[str, Signature]:
        """Return signatures that have the matrices they multiply with as further inputs."""
        return {name: self._with_inputs(signature) for name, signature in signatures.items()}

    def _with_inputs(self, signature: Signature) -> Signature:
        from keras_attn_export.tracing.saved_model import concrete_function

        self._tensors = {}
        concrete_function(signature)  # Only to see which matrices it multiplies with.
        shapes = {name: (tensor.shape.as_list(), tf.float32) for name, tensor in self._tensors.items()}

        def function(**tensors: Any) -> dict[str, Any]:
            self._tensors = {name: tensors.pop(input_name(name)) for name in shapes}
            return signature.function(**tensors)

        more = {input_name(name): described for name, described in shapes.items()}
        return Signature(function, {**signature.inputs, **more}, signature.tables)
