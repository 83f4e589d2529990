"""Why a Keras model cannot be in a model file: the layer, the operator, and what to do instead."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from keras_attn.errors import ArgumentError

MOST_BYTES = 2**31 - 1
"""Of a model file, whose offsets are signed numbers of 32 bits."""

_LOCATION = re.compile(r'fused\["(\w+):", "([^"@]+)@[^"]*"\]')
_OPERATION = re.compile(r"'?tf\.(\w+)'? op is neither|\btf\.(\w+)\(")
_CALLS = ("StatefulPartitionedCall", "PartitionedCall")
_ASSIGNMENTS = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
_RANDOM = ("Random", "Multinomial", "StatelessTruncated", "ParameterizedTruncated")
_REMEDIES = {
    "BitwiseAnd": "compute with numbers or booleans instead of bits",
    "ResizeBicubic": 'resize with interpolation="bilinear" or "nearest"',
    "ImageProjectiveTransformV3": "resize and turn images before they are given to the model",
}
_FAMILIES = {
    "Bitwise": _REMEDIES["BitwiseAnd"],
    "String": "make numbers of strings before they are given to the model",
    "FFT": "multiply with the matrix of its coefficients, or compute spectra before the model",
    "Complex": "compute spectra before the model, and give it real and imaginary parts",
}
_OTHER = "compute it before or after the model, or write the layer with other operations of keras.ops"


def check_size(model: Any) -> None:
    """Raise an ArgumentError if a model's weights alone are more than a model file may hold."""
    size = sum(4 * math.prod(weight.shape) for weight in model.weights)
    if size > MOST_BYTES:
        raise ArgumentError(
            f"model {model.name!r} has {size / 1e9:.1f} GB of weights in float32, and a model file holds at "
            f"most {MOST_BYTES / 1e9:.1f} GB, also on its way to 8 bits: export a smaller model, or its parts"
        )


def check_operations(graph: Any) -> None:
    """Raise an ArgumentError if a traced graph draws random numbers or changes weights."""
    for operation in operations(graph):
        if operation.type.startswith(_RANDOM) or "Random" in operation.type:
            raise ArgumentError(
                f"{_layer(operation.name)} draws random numbers at inference ({operation.type}), so that it "
                "has no one answer: return the mean where `training` is False, or take the noise as an input"
            )
    for operation in operations(graph):  # those that draw numbers also change their seeds
        if operation.type in _ASSIGNMENTS:
            raise ArgumentError(
                f"{_layer(operation.name)} changes a weight at inference, and a bundle keeps no state "
                "between calls: change it only where `training` is True, or return the state as an output"
            )


def operations(graph: Any) -> Iterable[Any]:
    """Yield the operations of a traced graph and of the functions that it calls."""
    yield from graph.get_operations()
    for function in getattr(graph, "_functions", {}).values():
        inner = getattr(function, "graph", None)
        if inner is not None and inner is not graph:
            yield from inner.get_operations()


def in_our_words(message: str) -> str:
    """Return what the converter says about operators that there are not; other messages as they are."""
    missing: dict[str, str] = {}
    for line in message.splitlines():
        kinds = [one or other for one, other in _OPERATION.findall(line)]
        places = [place for kind, place in _LOCATION.findall(line) if kind not in _CALLS]
        for kind in kinds:
            if places or kind not in missing:
                missing.setdefault(kind, "")
                missing[kind] = missing[kind] or (places[0] if places else "")
    if not missing:
        return message
    parts = [
        f"{_layer(place) if place else 'a layer'} needs the operator {kind}, which model files do not have; "
        f"{_remedy(kind)}"
        for kind, place in missing.items()
    ]
    return ". ".join(parts)


def _remedy(kind: str) -> str:
    if kind in _REMEDIES:
        return _REMEDIES[kind]
    return next((remedy for part, remedy in _FAMILIES.items() if part in kind), _OTHER)


def _layer(operation: str) -> str:
    """Return the layer that an operation's name is below of; Keras numbers the scopes of later calls."""
    scopes = [re.sub(r"_\d+$", "", scope) for scope in operation.split("/")[:-1]]
    if not scopes:
        return "an operation of the model"
    return f"layer {'/'.join(scopes)!r}" if len(scopes) > 1 else f"an operation of {scopes[0]!r}"
