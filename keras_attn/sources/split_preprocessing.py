"""A model cut in two: the layers that read strings or look values up, and the rest, which takes numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_attn.data.text_vectorization import named
from keras_attn.device.preprocessing.bags import Bag
from keras_attn.device.preprocessing.lookups import Lookup
from keras_attn.device.preprocessing.preprocessing import Preprocessing, Step
from keras_attn.device.preprocessing.text_vectors import TextVectors
from keras_attn.errors import ArgumentError
from keras_attn.sources.preprocessing_layers import (
    ENCODINGS,
    LOOKUPS,
    check_examples,
    check_known,
    read_layer,
)

Shape = tuple[int | None, ...]


def split_preprocessing(model: Any) -> tuple[Any, Preprocessing]:
    """Return the model on numbers, with the same weights, and what makes the numbers of its inputs.

    `TextVectorization`, `StringLookup` and `IntegerLookup` layers that read the model's inputs, also in
    models within it, go to the device, with a `CategoryEncoding` that encodes their ids. Where a
    `CategoryEncoding` or `Discretization` counts other ids, it is written with operators that a .tflite file
    has.

    Args:
        model: a built `keras.Model`. It is returned as it is where it has no such layer, with no steps.

    Returns:
        A functional model of one input, or of a dict of inputs by name, with the outputs' structure; and the
        `Preprocessing` whose outputs are these inputs.

    Raises:
        ArgumentError: a layer or an option has no counterpart on a device, or strings go where none can.
    """
    found = [layer for layer in model._flatten_layers() if _is_moved(layer)]
    strings = any(tensor.dtype == "string" for tensor in getattr(model, "inputs", None) or ())
    if not found and not strings:
        return model, Preprocessing()
    graph = _graph_of(model)
    if graph is None and found:
        raise ArgumentError(
            f"{type(model).__name__} is a subclass of keras.Model with {named(found[0])} in it: put the "
            "layer in front of it in a functional model, keras.Model(inputs, model(layer(inputs))), or leave "
            "it out and give it as `tokenizer`"
        )
    return (model, Preprocessing()) if graph is None else _Splitter().split(model, graph)


def _is_moved(layer: Any) -> bool:
    check_known(layer)
    counts = isinstance(layer, ENCODINGS) and layer.output_mode in ("multi_hot", "count")
    return counts or isinstance(layer, LOOKUPS)


def _graph_of(model: Any) -> Any:
    """Return the functional model that computes a model; `None` for one with a `call` of its own."""
    if isinstance(model, keras.Sequential) and type(model).call is keras.Sequential.call:
        if not model.built:
            raise ArgumentError(
                f"{named(model)} is not built: begin it with keras.Input(...), or call it once"
            )
        return model._functional
    functional = next((each for each in type(model).__mro__ if each.__name__ == "Functional"), None)
    return model if functional is not None and type(model).call is functional.call else None


@dataclass(eq=False)
class _Given:
    """An input of the model's, of which nothing is known yet but who reads it."""

    name: str
    tensor: Any

    @property
    def shape(self) -> Shape:
        return tuple(self.tensor.shape[1:])


@dataclass(eq=False)
class _Found:
    """Ids that the device looks up; `shape` is that of the layer's output, without the batch axis."""

    given: _Given
    layer: Any
    reads: TextVectors | Lookup
    shape: Shape


class _Splitter:
    """Runs a model's graph on new inputs, which it makes where numbers begin."""

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.steps: list[Step] = []
        self.passed: dict[str, str] = {}
        # Of each layer and shape of its input, so that inputs share a layer's tokenizer.
        self.read: dict[Any, Any] = {}
        # Of what was read once, so that each has one input: those that stay, ids and vectors.
        self.made: dict[Any, Any] = {}

    def split(self, model: Any, graph: Any) -> tuple[Any, Preprocessing]:
        names = _names_of(graph)
        given = [_Given(name, tensor) for name, tensor in zip(names, graph.inputs, strict=True)]
        outputs = keras.tree.map_structure(
            lambda value: self._number(value, model), graph._run_through_graph(given, call_fn=self._call)
        )
        inputs = dict(self.inputs)
        single = next(iter(inputs.values())) if len(inputs) == 1 else inputs
        order = names if isinstance(graph._inputs_struct, list | tuple) else []
        return keras.Model(single, outputs, name=model.name), Preprocessing(self.steps, self.passed, order)

    def _call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        values = [each for each in keras.tree.flatten((args, kwargs)) if isinstance(each, (_Given, _Found))]
        if isinstance(layer, LOOKUPS):
            return self._look_up(layer, args[0])
        if isinstance(layer, ENCODINGS) and layer.output_mode in ("multi_hot", "count") and len(args) == 1:
            return self._encode(layer, args[0], kwargs.get("count_weights"))
        if isinstance(layer, ENCODINGS) and args and isinstance(args[0], _Found):
            return self._vectors(args[0], _bag_of(layer), layer)
        graph = _graph_of(layer) if isinstance(layer, keras.Model) else None
        if graph is not None and (values or _holds_moved(layer)):
            return graph._run_through_graph(_inputs_for(graph, args[0]), call_fn=self._call)
        if isinstance(layer, keras.Layer) and (inner := _holds_moved(layer)):
            raise ArgumentError(
                f"{named(layer)} has {named(inner)} in it: put that layer in front, in a functional model"
            )
        args, kwargs = keras.tree.map_structure(lambda value: self._number(value, layer), (args, kwargs))
        return layer(*args, **kwargs)

    def _look_up(self, layer: Any, given: Any) -> Any:
        if not isinstance(given, _Given):
            raise ArgumentError(
                f"{named(layer)} reads what other layers computed: look the model's inputs up, or leave the "
                "layer out and compute its ids before"
            )
        key = (given.tensor, layer)
        if key not in self.made:
            if (layer, given.shape) not in self.read:
                self.read[layer, given.shape] = read_layer(layer, given.shape)
            reads, bag = self.read[layer, given.shape]
            shape = (reads.length,) if isinstance(reads, TextVectors) else given.shape
            self.made[key] = _Found(given, layer, reads, shape), bag
        found, bag = self.made[key]
        return found if bag is None else self._vectors(found, bag, layer)

    def _encode(self, layer: Any, ids: Any, weights: Any) -> Any:
        """Return multi-hot vectors or counts; the layer uses an operator that no .tflite file has."""
        if isinstance(ids, _Found) and weights is None:
            return self._vectors(ids, _bag_of(layer), layer)
        ids = self._number(ids, layer)
        check_examples(layer, layer.output_mode, tuple(ids.shape[1:]))
        if isinstance(layer, keras.layers.Discretization):
            ids = keras.layers.Discretization(layer.bin_boundaries)(ids)
        vectors = ops.one_hot(
            ops.cast(ids, "int32"), _depth_of(layer), dtype=layer.compute_dtype
        )  # (B, N, depth)
        if layer.output_mode == "multi_hot":
            return ops.max(vectors, axis=1)
        if weights is not None:
            weights = ops.expand_dims(ops.cast(self._number(weights, layer), layer.compute_dtype), -1)
            vectors = ops.multiply(vectors, weights)
        return ops.sum(vectors, axis=1)

    def _vectors(self, found: _Found, bag: Bag, layer: Any) -> Any:
        check_examples(layer, bag.mode, found.shape)
        key = (found, layer)
        if key not in self.made:
            if bag.mode != "one_hot":
                shape: Shape = (bag.depth,)
            else:
                shape = (*(found.shape[:-1] if found.shape == (1,) else found.shape), bag.depth)
            self.made[key] = self._step(found, bag, shape, "float32")
        return self.made[key]

    def _number(self, value: Any, layer: Any) -> Any:
        """Return the tensor of a value that a layer reads as numbers."""
        if isinstance(value, _Found):
            if value not in self.made:
                self.made[value] = self._step(value, None, value.shape, "int32")
            return self.made[value]
        if not isinstance(value, _Given):
            return value
        tensor = value.tensor
        if tensor.dtype == "string":
            raise ArgumentError(
                f"{named(layer)} reads the strings of input {value.name!r}, which no .tflite file can: give "
                "them to a TextVectorization or StringLookup, and change them before they reach the model"
            )
        if value.name not in self.passed:
            name = self.passed[value.name] = self._free(value.name)
            self.inputs[name] = keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
        return self.inputs[self.passed[value.name]]

    def _step(self, found: _Found, bag: Bag | None, shape: Shape, dtype: str) -> Any:
        given = found.given
        name = self._free(given.name)
        self.steps.append(Step(given.name, name, given.shape, found.reads, bag))
        batch = given.tensor.shape[0]
        self.inputs[name] = keras.Input(batch_shape=(batch, *shape), dtype=dtype, name=name)
        return self.inputs[name]

    def _free(self, name: str) -> str:
        names = [name, *(f"{name}_{number}" for number in range(2, len(self.inputs) + 2))]
        return next(each for each in names if each not in self.inputs)


def _names_of(graph: Any) -> list[str]:
    """Return the inputs' names: a dict's keys, or those that they were made with."""
    structure = graph._inputs_struct
    if isinstance(structure, dict) and len(structure) == len(graph.inputs):
        keys = {id(tensor): key for key, tensor in structure.items()}
        return [keys.get(id(tensor), tensor.name) for tensor in graph.inputs]
    return [tensor.name for tensor in graph.inputs]


def _inputs_for(graph: Any, given: Any) -> list[Any]:
    """Return what a model within the model is given, in the order of its own inputs."""
    names = _names_of(graph)
    values = (
        [given[name] for name in names] if isinstance(given, dict) and given.keys() >= set(names) else None
    )
    values = keras.tree.flatten(given) if values is None else values
    for name, value, tensor in zip(names, values, graph.inputs, strict=True):
        shape = tuple(value.shape) if isinstance(value, (_Given, _Found)) else tuple(value.shape[1:])
        if len(shape) != len(tensor.shape) - 1:
            raise ArgumentError(
                f"{named(graph)}: its input {name!r} has the shape {tuple(tensor.shape[1:])} an example, and "
                f"is given {shape}: give both the same number of axes"
            )
    return values


def _holds_moved(layer: Any) -> Any:
    inner: Callable[[], Any] = layer._flatten_layers
    return next((each for each in inner() if each is not layer and _is_moved(each)), None)


def _depth_of(layer: Any) -> int:
    if isinstance(layer, keras.layers.CategoryEncoding):
        return layer.num_tokens
    return len(layer.bin_boundaries) + 1


def _bag_of(layer: Any) -> Bag:
    return Bag(layer.output_mode, _depth_of(layer))
