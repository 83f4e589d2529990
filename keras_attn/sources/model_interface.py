"""The inputs and outputs of any Keras model: found in its graph, or by calling it with examples."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from keras import tree
from keras.layers import Embedding

from keras_attn.device.files.interface import Field
from keras_attn.errors import ArgumentError
from keras_attn.sources.input_readers import reading_layers


def input_fields(model: Any, examples: Any, variable: bool) -> tuple[tuple[Field, ...], Any]:
    """Return the inputs of a model and how they are nested.

    Args:
        model: a built Keras model. A subclassed one records no inputs, so that it needs examples.
        examples: nested arrays with a leading batch axis, or `None`.
        variable: of a subclassed model, whether the second axis of its examples is a length.

    Raises:
        ArgumentError: there is nothing to find them by, or an input is of a kind that cannot be exported.
    """
    declared = _declared(model)
    if declared is not None:
        fields: dict[int, Field] = {}
        tensors = tree.flatten(declared)
        names = _names([tensor.name for tensor in tensors], declared)
        for tensor, name in zip(tensors, names, strict=True):
            shape = tuple(tensor.shape[1:])
            readers = reading_layers(model, name)
            # Inputs are floats by default, also those of which an Embedding makes ids.
            ids = bool(readers) and all(isinstance(each, Embedding) for each in readers)
            kind = "int32" if ids else _stored(tensor.dtype, name)
            fields[id(tensor)] = Field(name, shape, kind, 0 if kind == "int32" else _padding(model))
        return tuple(fields.values()), _names_in(declared, {key: each.name for key, each in fields.items()})
    if examples is None:
        raise ArgumentError(
            f"{type(model).__name__} is a subclassed model, which does not record its inputs: give "
            "`examples`, arrays such as those that it is called with"
        )
    arrays = tree.flatten(examples)
    names = _names([f"input_{i}" for i in range(len(arrays))], examples)
    length = arrays[0].shape[1] if variable and arrays[0].ndim > 1 else None
    found = {}
    for array, name in zip(arrays, names, strict=True):
        shape = list(array.shape[1:])
        if length is not None and shape and shape[0] == length:
            shape[0] = None
        found[id(array)] = Field(name, tuple(shape), _stored(array.dtype, name), _padding(model))
    return tuple(found.values()), _names_in(examples, {key: each.name for key, each in found.items()})


def output_fields(
    model: Any, call: Callable[[int, int], Any], lengths: tuple[int, int]
) -> tuple[tuple[Field, ...], Any, bool]:
    """Return the outputs of a model, how they are nested, and whether they all follow the inputs' length.

    Args:
        model: the Keras model.
        call: from a length and a number of examples to the model's outputs, nested.
        lengths: two lengths to call it with, by which to see what depends on the length.

    Raises:
        ArgumentError: an output has no batch axis.
    """
    tried = [call(length, count) for length, count in zip(lengths, (1, 2), strict=True)]
    first, second = (tree.flatten(outputs) for outputs in tried)
    names = _names(_output_names(model, len(first)), tried[0])
    fields, follows = {}, True
    for name, one, two in zip(names, first, second, strict=True):
        if len(one.shape) < 1 or (one.shape[0], two.shape[0]) != (1, 2):
            raise ArgumentError(
                f"output {name!r} has shape {tuple(two.shape)} for 2 examples: an output needs a leading "
                "batch axis"
            )
        shape: list[int | None] = []
        for sizes in zip(one.shape[1:], two.shape[1:], strict=True):
            if sizes[0] != sizes[1] and sizes != lengths:
                follows = False
            shape.append(int(sizes[0]) if sizes[0] == sizes[1] else None)
        fields[id(one)] = Field(name, tuple(shape), _stored(_dtype(one), name))
    structure = _names_in(tried[0], {key: each.name for key, each in fields.items()})
    return tuple(fields.values()), structure, follows


def flat_outputs(structure: Any, outputs: Any) -> dict[str, Any]:
    """Return nested outputs by the names of their fields."""
    if isinstance(structure, str):
        return {structure: outputs}
    found: dict[str, Any] = {}
    parts = structure.items() if isinstance(structure, Mapping) else enumerate(structure)
    for key, part in parts:
        found |= flat_outputs(part, outputs[key])
    return found


def _declared(model: Any) -> Any:
    """Return the nested symbolic inputs of a functional or sequential model; `None` for others."""
    functional = getattr(model, "_functional", None) or model
    return getattr(functional, "_inputs_struct", None)


def _output_names(model: Any, count: int) -> list[str]:
    names = getattr(model, "output_names", None) or []
    return (
        list(names)
        if len(names) == count
        else [f"output_{i}" if count > 1 else "output" for i in range(count)]
    )


def _names(fallback: Sequence[str], structure: Any) -> list[str]:
    """Return distinct names for the leaves of a structure: their keys in dicts, or the fallback."""
    found: list[str] = []
    for path, name in zip(_paths(structure), fallback, strict=True):
        last = next((str(key) for key in reversed(path) if isinstance(key, str)), name)
        clean = re.sub(r"\W", "_", last) or "input"
        clean += "_" if keyword.iskeyword(clean) or clean[0].isdigit() else ""
        number, unique = 1, clean
        while unique in found:
            number, unique = number + 1, f"{clean}_{number}"
        found.append(unique)
    return found


def _paths(structure: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to each leaf, in the order of `tree.flatten`."""
    if isinstance(structure, Mapping):
        for key in sorted(structure) if type(structure) is dict else structure:
            yield from _paths(structure[key], (*path, key))
    elif isinstance(structure, list | tuple):
        for i, part in enumerate(structure):
            yield from _paths(part, (*path, i))
    else:
        yield path


def _names_in(structure: Any, names: Mapping[int, str]) -> Any:
    if isinstance(structure, Mapping):
        return {str(key): _names_in(part, names) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        return [_names_in(part, names) for part in structure]
    return names[id(structure)]


def _dtype(tensor: Any) -> str:
    from keras import backend

    return backend.standardize_dtype(tensor.dtype)


def _stored(dtype: Any, name: str) -> str:
    """Return the type that a device gives or gets for a Keras or NumPy type."""
    kind = str(np.dtype(dtype).name) if isinstance(dtype, np.dtype) else str(dtype)
    if kind == "bool":
        return "bool"
    if kind.startswith(("int", "uint")):
        return "int32"
    if "float" in kind:
        return "float32"
    raise ArgumentError(f"{name!r} is of type {kind}, which a model file cannot have: only numbers and bools")


def _padding(model: Any) -> float:
    """Return what fills up inputs: 0, or what the model's Masking layers hide."""
    values = {
        float(layer.mask_value) for layer in model._flatten_layers() if type(layer).__name__ == "Masking"
    }
    return values.pop() if len(values) == 1 else 0
