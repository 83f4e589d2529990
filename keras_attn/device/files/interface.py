"""The inputs and outputs of a Keras model as arrays: what ``predict`` takes and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from keras_attn.device.errors import InputError

Structure: TypeAlias = "str | list[Structure] | dict[str, Structure]"
"""How a model's arrays are nested: the name of a field, or a list or dict of structures."""

DTYPES = ("float32", "int32", "bool")
"""The types of fields. In the model's file a bool is an int32 of 0 or 1."""


@dataclass(frozen=True)
class Field:
    """One input or output.

    Attributes:
        name: its name in signatures.
        shape: sizes without the batch axis; None is the length, of which there is one for all fields.
        dtype: one of ``DTYPES``.
        pad: of inputs, what fills up shorter ones.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    pad: float = 0

    def sized(self, length: int | None) -> tuple[int, ...]:
        """Return the shape for a length."""
        return tuple(size if size is not None else length or 0 for size in self.shape)

    def filled(self, array: np.ndarray, length: int) -> np.ndarray:
        """Return an array (N, ...), filled up behind its own length to another."""
        whole = np.full((len(array), *self.sized(length)), self.pad, array.dtype)
        whole[tuple(map(slice, array.shape))] = array
        return whole

    def cut(self, array: np.ndarray, length: int | None) -> np.ndarray:
        """Return an array (N, ...), cut to a length."""
        kept = tuple(slice(length) if size is None else slice(None) for size in self.shape)
        return array[(slice(None), *kept)]

    def __str__(self) -> str:
        sizes = ["batch", *("length" if size is None else str(size) for size in self.shape)]
        return f"{self.name!r} of shape ({', '.join(sizes)}) and type {self.dtype}"


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of a model.

    Attributes:
        inputs, outputs: the fields, in the order of the structures.
        input_structure, output_structure: how they are nested.
        padded: whether more padding changes nothing, so that inputs may be shorter than a signature.
    """

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    input_structure: Any
    output_structure: Any
    padded: bool = False

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> Interface:
        """Read what ``to_json`` returned."""
        fields = {
            side: tuple(Field(**{**each, "shape": tuple(each["shape"])}) for each in read[side])
            for side in ("inputs", "outputs")
        }
        return cls(**{**read, **fields})

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, for the manifest."""
        return asdict(self)

    @property
    def variable(self) -> bool:
        """Whether there is a length that is not fixed."""
        return any(None in field.shape for field in self.inputs)

    def arrays(self, inputs: Any) -> dict[str, np.ndarray]:
        """Return inputs by name, each with a leading batch axis, of the types of their fields.

        Raises:
            InputError: names the input that is missing or not known, or whose shape or type does not fit.
        """
        given: dict[str, Any] = {}
        self._flatten(self.input_structure, inputs, given)
        arrays = {field.name: _as_array(field, given[field.name]) for field in self.inputs}
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"The inputs have different numbers of examples: {_listed(counts)}.")
        lengths = {field.name: length_of(field, arrays[field.name].shape[1:]) for field in self.inputs}
        lengths = {name: length for name, length in lengths.items() if length is not None}
        # An output that has a length would need to know whose.
        alike = not self.padded or any(None in field.shape for field in self.outputs)
        if len(set(lengths.values())) > 1 and alike:
            fill = ", filling up the shorter ones" if self.padded else ""
            raise InputError(
                f"The inputs have different lengths: {_listed(lengths)}; give them the same{fill}."
            )
        return arrays

    def length(self, arrays: Mapping[str, np.ndarray]) -> int | None:
        """Return the largest length of inputs; ``None`` if all sizes are fixed."""
        found = [length_of(field, arrays[field.name].shape[1:]) for field in self.inputs]
        return max((length for length in found if length is not None), default=None)

    def nested_inputs(self, arrays: Mapping[str, Any]) -> Any:
        """Return inputs by name as the model nests them."""
        return _nest(self.input_structure, arrays)

    def structured(self, outputs: Mapping[str, np.ndarray]) -> Any:
        """Return outputs as the model nests them."""
        return _nest(self.output_structure, outputs)

    def _flatten(self, structure: Any, value: Any, into: dict[str, Any]) -> None:
        if isinstance(structure, str):
            if isinstance(value, Mapping):  # one array, given by its name
                self._check_names([structure], value)
                value = value[structure]
            elif len(self.inputs) == 1:
                value = only_array(value, len(self.inputs[0].shape) + 1)
            into[structure] = value
        elif isinstance(structure, list):
            if isinstance(value, Mapping) and all(isinstance(each, str) for each in structure):
                self._check_names(structure, value)
                value = [value[name] for name in structure]
            if not isinstance(value, Sequence) or len(value) != len(structure):
                raise InputError(
                    f"The model takes {len(structure)} arrays, as a list or as a dict: {self.described}."
                )
            for part, each in zip(structure, value, strict=True):
                self._flatten(part, each, into)
        else:
            if not isinstance(value, Mapping):
                raise InputError(f"The model takes a dict of arrays: {self.described}.")
            self._check_names(list(structure), value)
            for name, part in structure.items():
                self._flatten(part, value[name], into)

    def _check_names(self, wanted: Sequence[str], given: Mapping[str, Any]) -> None:
        missing, unknown = [n for n in wanted if n not in given], [n for n in given if n not in wanted]
        if missing or unknown:
            problems = [f"lack {', '.join(map(repr, missing))}"] if missing else []
            problems += [f"have {', '.join(map(repr, unknown))}"] if unknown else []
            raise InputError(f"The inputs {' and '.join(problems)}; the model takes {self.described}.")

    @property
    def described(self) -> str:
        """The inputs, for errors."""
        return ", ".join(map(str, self.inputs))


def only_array(value: Any, rank: int) -> Any:
    """Return the array in a list of one, which ``keras.Model.predict`` takes too, or the value as it is."""
    alone = isinstance(value, list | tuple) and len(value) == 1 and getattr(value[0], "ndim", None) == rank
    return value[0] if alone else value


def length_of(field: Field, shape: Sequence[int]) -> int | None:
    """Return the length of an array of a field; ``None`` if all its sizes are fixed."""
    return next((size for size, wanted in zip(shape, field.shape, strict=True) if wanted is None), None)


def _as_array(field: Field, value: Any) -> np.ndarray:
    """Return a value as an array of a field's type, after checking its shape."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"Input {field.name!r} is not an array: {error}.") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"Input {field.name!r} holds {array.dtype}, not numbers; the model takes {field}.")
    array = _with_rank(array, field)
    fits = array.ndim == len(field.shape) + 1 and all(
        wanted in (size, None) for size, wanted in zip(array.shape[1:], field.shape, strict=True)
    )
    if not fits:
        hint = ""
        if array.ndim == len(field.shape):
            hint = "; a single example needs a leading batch axis, x[None]"
        raise InputError(f"Input {field.name!r} has shape {array.shape}; the model takes {field}{hint}.")
    sizes = {size for size, wanted in zip(array.shape[1:], field.shape, strict=True) if wanted is None}
    if len(sizes) > 1:
        raise InputError(f"Input {field.name!r} has shape {array.shape}, with more than one length.")
    if field.dtype == "int32" and array.size:
        whole = array.dtype.kind != "f" or bool(
            np.all(np.isfinite(array)) and np.all(array == np.trunc(array))
        )
        if not whole or array.min() < -(2**31) or array.max() >= 2**31:
            raise InputError(
                f"Input {field.name!r} takes whole numbers of 32 bits, and other values were given."
            )
    return array.astype(field.dtype)


def _with_rank(array: np.ndarray, field: Field) -> np.ndarray:
    """Return an array with or without a last axis of 1, as ``keras.Model.predict`` adds or removes it."""
    rank = len(field.shape) + 1
    if field.shape[-1:] == (1,) and array.ndim == rank - 1:
        return array[..., None]
    return array[..., 0] if array.ndim == rank + 1 and array.shape[-1] == 1 else array


def _nest(structure: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(structure, str):
        return values[structure]
    if isinstance(structure, list):
        return [_nest(part, values) for part in structure]
    return {name: _nest(part, values) for name, part in structure.items()}


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r} {number}" for name, number in numbers.items())
