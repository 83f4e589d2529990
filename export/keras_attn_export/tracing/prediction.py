"""The signatures of any Keras model: its call, with static shapes, for each length and number of examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from keras_attn.device.files.interface import Interface
from keras_attn.sources.model_interface import flat_outputs
from keras_attn_export.lowering.base import Signature

_STORED = {"float32": tf.float32, "int32": tf.int32, "bool": tf.int32}


def trace(
    model: Any, interface: Mapping[str, Any], buckets: Sequence[Mapping[str, Any]]
) -> dict[str, Signature]:
    """Return a signature for each length and number of examples.

    Args:
        model: any built Keras model.
        interface: its inputs and outputs, `Interface.to_json()`.
        buckets: the manifest's.
    """
    described = Interface.from_json(interface)
    return {
        name: Signature(
            _function(model, described),
            {
                field.name: ((int(count), *field.sized(bucket["source"])), _STORED[field.dtype])
                for field in described.inputs
            },
        )
        for bucket in buckets
        for count, name in bucket["predict"].items()
    }


def _function(model: Any, interface: Interface) -> Callable[..., dict[str, Any]]:
    def function(**tensors: Any) -> dict[str, Any]:
        typed = {field.name: tf.cast(tensors[field.name], field.dtype) for field in interface.inputs}
        found = model(interface.nested_inputs(typed), training=False)
        outputs = flat_outputs(interface.output_structure, found)
        return {field.name: tf.cast(outputs[field.name], _STORED[field.dtype]) for field in interface.outputs}

    return function
