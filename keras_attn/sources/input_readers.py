"""Which layers read an input of a functional model, and which ids they take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_MASKING = "NotEqual"
"""The operation by which layers make masks of their inputs."""


def reading_layers(model: Any, name: str) -> list[Any]:
    """Return the layers that read an input, those of nested models instead of them; [] if subclassed."""
    functional = getattr(model, "_functional", None) or model
    if not hasattr(functional, "_inputs_struct"):
        return []
    struct = functional._inputs_struct
    if isinstance(struct, Mapping):
        return _reading(functional, struct.get(name))
    named = [tensor for tensor in functional.inputs if tensor.name == name]
    return _reading(functional, (named or functional.inputs)[0])


def _reading(functional: Any, tensor: Any) -> list[Any]:
    found: list[Any] = []
    for operation in functional.operations:
        for node in operation._inbound_nodes:
            places = [i for i, each in enumerate(node.input_tensors) if each is tensor]
            if not places:
                continue
            inner = getattr(operation, "_functional", None) or operation
            if hasattr(inner, "_inputs_struct"):
                found += _reading(inner, inner.inputs[places[0]])
            elif type(operation).__name__ != _MASKING:
                found.append(operation)
    return found


def ids_taken(layers: Iterable[Any]) -> list[int]:
    """Return the numbers of ids that layers take, of those that take ids."""
    found = []
    for layer in layers:
        for attribute in ("input_dim", "num_tokens", "vocabulary_size"):
            size = getattr(layer, attribute, None)
            if isinstance(size, int) and size > 0 and hasattr(layer, "call"):
                found.append(size)
                break
    return found
