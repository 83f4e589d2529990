"""Examples of a Keras model's inputs: the user's, or valid ones made by what the model does with them."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.device.files.interface import Field, length_of
from keras_attn.errors import ArgumentError
from keras_attn.sources.input_readers import ids_taken, reading_layers

Example = dict[str, np.ndarray]
"""The inputs of one example by name, each with a batch axis of 1."""


def check_ids(model: Any, inputs: Sequence[Field], given: Mapping[str, np.ndarray]) -> None:
    """Raise an ArgumentError if examples have ids that a layer which reads them has no row for.

    TensorFlow fails at them, other backends and devices compute something, each another thing.
    """
    for field in inputs:
        array = given.get(field.name)
        if array is None or field.dtype != "int32" or not array.size:
            continue
        bound = min(ids_taken(reading_layers(model, field.name)), default=None)
        low, high = int(array.min()), int(array.max())
        if bound is not None and (low < 0 or high >= bound):
            raise ArgumentError(
                f"examples: input {field.name!r} has the id {low if low < 0 else high}, and the layer that "
                f"reads it takes 0 to {bound - 1}: give the ids that the model was trained with"
            )


class ExampleMaker:
    """Makes examples of any length.

    Args:
        model: the Keras model.
        interface: its inputs.
        given: the user's examples, by name; empty to make random ones.
        seed: random seed.
    """

    def __init__(
        self, model: Any, inputs: Sequence[Field], given: Mapping[str, np.ndarray], seed: int
    ) -> None:
        self._inputs, self._given = inputs, dict(given)
        self._rng = np.random.default_rng(seed)
        self._values = {field.name: _Values.of(model, field) for field in inputs}

    @property
    def count(self) -> int:
        """Number of the user's examples."""
        return len(next(iter(self._given.values()))) if self._given else 0

    def example(self, i: int, length: int) -> Example:
        """Return the user's example i, cut or repeated to a length, or a random one."""
        if not self._given:
            return {field.name: self._random(field, length)[None] for field in self._inputs}
        return {
            field.name: _of_length(self._given[field.name][i : i + 1], field, length)
            for field in self._inputs
        }

    def fixed(self, inputs: Sequence[Field], length: int) -> ExampleMaker:
        """Return one for inputs whose sizes are fixed, of examples of a length."""
        twin = copy.copy(self)
        twin._inputs = inputs
        twin._given = {
            field.name: _of_length(self._given[field.name], field, length)
            for field in self._inputs
            if field.name in self._given
        }
        return twin

    def own_length(self, i: int) -> int | None:
        """Return the length that the user's example i has before it is cut."""
        shapes = [(field, self._given[field.name].shape[1:]) for field in self._inputs]
        found = [length_of(field, shape) for field, shape in shapes]
        return next((each for each in found if each is not None), None)

    def _random(self, field: Field, length: int) -> np.ndarray:
        return self._values[field.name].draw(self._rng, field.sized(length))


def _of_length(array: np.ndarray, field: Field, length: int) -> np.ndarray:
    """Cut an array (1, ...) to a length, or repeat it."""
    for axis, size in enumerate(field.shape, start=1):
        if size is None:
            indices = np.arange(length) % array.shape[axis]
            array = np.take(array, indices, axis)
    return array


class _Values:
    """What random values of an input are drawn from: ids, or normal values around a centre."""

    def __init__(
        self, field: Field, bound: int, centre: Any, spread: Any, limits: tuple[float, float]
    ) -> None:
        self._field, self._bound = field, bound
        self._centre, self._spread, self._limits = centre, spread, limits

    @classmethod
    def of(cls, model: Any, field: Field) -> _Values:
        """Find them by the layers that read the input, or by those that the model has."""
        every = list(model._flatten_layers())
        layers = reading_layers(model, field.name) or every
        bounds = ids_taken(layers) or ids_taken(every)
        centre, spread, limits = 0.0, 1.0, (-np.inf, np.inf)
        for layer in layers:
            name = type(layer).__name__
            if name == "Normalization" and layer.built and layer.input_mean is None:
                centre, spread = np.asarray(layer.mean), np.sqrt(np.asarray(layer.variance))
            elif name == "Discretization" and layer.bin_boundaries:
                centre, spread = np.mean(layer.bin_boundaries), 1.5 * np.std(layer.bin_boundaries) or 1.0
            elif name == "Rescaling" and np.ndim(layer.scale) == 0 and abs(layer.scale) < 0.1:
                high = (1.0 if np.all(layer.offset == 0) else 2.0) / abs(float(layer.scale))
                centre, spread, limits = high / 2, high / 4, (0.0, high)
        return cls(field, min(bounds, default=0), centre, spread, limits)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw one example, without batch axis."""
        field = self._field
        if field.dtype == "bool" or "mask" in field.name:
            return np.ones(shape, field.dtype)
        if field.dtype == "int32" and (self._bound or np.isinf(self._limits[1])):
            low, bound = min(1, max(0, self._bound - 1)), self._bound or 2
            return rng.integers(low, bound, shape).astype(np.int32)
        values = _varied(rng, shape)
        with contextlib.suppress(ValueError):  # of a layer that reads another shape
            values = (self._centre + self._spread * values).reshape(shape)
        return np.clip(values, *self._limits).astype(field.dtype)


def _varied(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw normal values; features have levels of their own, in the whole and in parts.

    Pure noise is alike in every example to layers that pool.
    """
    values = rng.normal(size=shape)
    if len(shape) < 2:
        return values
    parts = rng.normal(size=(*(min(4, size) for size in shape[:-1]), shape[-1]))
    for axis, size in enumerate(shape[:-1]):
        parts = np.take(parts, np.arange(size) * parts.shape[axis] // max(1, size), axis)
    return (rng.normal(size=shape[-1]) + parts + 0.5 * values) / 1.5
