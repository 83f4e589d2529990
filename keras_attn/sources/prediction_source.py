"""Any Keras model as a source of an export: its interface, its lengths, and examples of its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from keras_attn.device.files.interface import Interface
from keras_attn.device.preprocessing.preprocessing import Preprocessing
from keras_attn.device.task_names import PREDICTION
from keras_attn.errors import ArgumentError, shortened
from keras_attn.models.text_model import TextModel
from keras_attn.sources.example_batches import inputs_in, nested_arrays
from keras_attn.sources.example_inputs import ExampleMaker, check_ids
from keras_attn.sources.float32_model import check_not_quantized, computing_in_float32
from keras_attn.sources.lengths import read_lengths
from keras_attn.sources.model_interface import flat_outputs, input_fields, output_fields
from keras_attn.sources.raw_examples import Raw, raw_examples
from keras_attn.sources.split_preprocessing import split_preprocessing

DEFAULT_LENGTHS = (16, 32, 64, 128, 256)
MOST_EXAMPLES = 256
_MADE, _WIDTH = 32, 8  # examples that are made of vocabularies, and the length of the inputs beside them


@dataclass(frozen=True, kw_only=True)
class PredictionSource:
    """Any Keras model.

    Attributes:
        model: the Keras model.
        interface: its inputs and outputs; `padded` is what the proof will find.
        lengths: ascending, for which there will be signatures; [1] where all sizes are fixed.
        chosen: whether the user chose the lengths.
        examples: makes examples of the inputs.
        preprocessing: what makes the inputs of what the user gives; `None` where those are the inputs.
        raw: examples of what the user gives, if there is preprocessing.
        made_from: where it comes from, for manifest and report.
    """

    task: ClassVar[str] = PREDICTION
    model: Any
    interface: Interface
    lengths: Sequence[int]
    chosen: bool
    examples: ExampleMaker
    preprocessing: Preprocessing | None = None
    raw: Raw = field(default_factory=dict)
    made_from: dict[str, Any] = field(default_factory=dict)

    # What other sources have and this one lacks.
    config: ClassVar[dict[str, Any]] = {}
    special_ids: ClassVar[dict[str, int]] = {}

    @property
    def tokenizer_files(self) -> dict[str, bytes]:
        """Contents of the tokenizers of the preprocessing, by file name."""
        found = {} if self.preprocessing is None else self.preprocessing.tokenizers()
        return {name: tokenizer.to_str().encode() for name, tokenizer in found.items()}

    @property
    def class_name(self) -> str:
        """Name of the model's class."""
        return type(self.model).__name__

    def outputs(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the Keras model's outputs by name, in float32, of inputs by name."""
        try:
            found = call_model(self.model, self.interface, arrays)
        except Exception as error:  # whatever a user's layers raise
            shapes = ", ".join(f"{name!r} of shape {array.shape}" for name, array in arrays.items())
            raise ArgumentError(
                f"the model cannot be called with {shapes}: {shortened(error)}; give `examples` or `lengths` "
                "for which it can"
            ) from error
        flat = flat_outputs(self.interface.output_structure, found)
        kinds = {each.name: each.dtype for each in self.interface.outputs}
        return {name: as_numpy(value).astype(kinds[name]) for name, value in flat.items()}


def prediction_source(
    model: Any,
    *,
    examples: Any = None,
    lengths: Iterable[int] | None = None,
    made_from: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> PredictionSource:
    """Find out what any Keras model takes and returns.

    Args:
        model: a built Keras model.
        examples: what `example_batches.nested_arrays` takes; by default examples are made.
        lengths: of the axes that the model leaves open.
        made_from: where it comes from.
        seed: random seed of the examples that are made.

    Raises:
        ArgumentError: the model is not built, is stateful or quantized, cannot be called, or `lengths` does
            not make sense for it.
        ArgumentTypeError: `examples` are not arrays.
    """
    check_exportable(model)
    read = read_lengths(lengths, pairs=False)
    wanted = None if read is None else sorted(set(read))
    parameters = {"model": model.name, "parameters": int(model.count_params())}
    examples = inputs_in(examples, model)
    model, before = split_preprocessing(model)
    if isinstance(model, TextModel) and examples is None:
        examples, wanted = _texts(model), wanted or list(DEFAULT_LENGTHS[:2])
    arrays = None if examples is None or before.steps else nested_arrays(examples, MOST_EXAMPLES)
    inputs, structure = input_fields(model, arrays, wanted is not None)
    interface = Interface(inputs, (), structure, [], padded=True)
    given = {} if arrays is None else interface.arrays(arrays)
    raw: Raw = {}
    if before.steps:
        raw, given = _preprocessed(before, interface, examples, ExampleMaker(model, inputs, {}, seed), seed)
    check_ids(model, inputs, given)
    maker = ExampleMaker(model, inputs, given, seed)
    variable = interface.variable
    if not variable and wanted is not None:
        raise ArgumentError(f"lengths: all sizes of the model's inputs are fixed ({interface.described})")
    chosen = wanted or (_lengths(model, maker) if variable else [1])

    _call(model, interface, maker, chosen[-1], 1)
    tried = (chosen[0], chosen[-1]) if len(chosen) > 1 else (max(1, chosen[0] // 2), chosen[0])

    def call(length: int, count: int) -> Any:
        return _call(model, interface, maker, length, count)

    try:
        outputs, output_structure, follows = output_fields(model, call, tried)
    except ArgumentError:
        if len(chosen) > 1 or tried[0] == chosen[0]:
            raise
        outputs, output_structure, follows = (), [], False  # the model is too deep for half of its length
    if not follows:
        if len(chosen) > 1:
            raise ArgumentError(
                "an output's size changes with the inputs' length without being the length, so that the "
                f"model can be exported for one length only: give it, such as lengths=[{chosen[-1]}]"
            )
        fixed = tuple(replace(each, shape=each.sized(chosen[0])) for each in inputs)
        interface = replace(interface, inputs=fixed)
        outputs, output_structure, _ = output_fields(model, lambda _, count: call(chosen[0], count), (1, 1))
        maker, variable, chosen = maker.fixed(fixed, chosen[0]), False, [1]
        inputs = fixed
    interface = Interface(inputs, outputs, structure, output_structure, padded=variable)
    return PredictionSource(
        model=model,
        interface=interface,
        lengths=chosen,
        chosen=wanted is not None,
        examples=maker,
        preprocessing=before if before.steps else None,
        raw=raw,
        made_from={**parameters, **(made_from or {})},
    )


def _texts(model: TextModel) -> dict[str, np.ndarray]:
    """Return what a model of `keras_attn.models`, which is subclassed, is called with."""
    rng, shape = np.random.default_rng(0), (_MADE, DEFAULT_LENGTHS[0])
    backbone: Any = getattr(model, "backbone", model)
    made, words = {}, backbone.vocabulary_size
    for name in model.inputs_by_default():
        kind = model.inputs_read[name][0]
        limit = 2 if kind == "bool" or name == "segment_ids" else words
        made[name] = np.ones(shape, bool) if kind == "bool" else rng.integers(0, limit, shape, np.int32)
    return made


def _preprocessed(
    before: Preprocessing, interface: Interface, examples: Any, made: ExampleMaker, seed: int
) -> tuple[Raw, dict[str, np.ndarray]]:
    """Return examples of what the user gives, and the inputs that are made of them."""
    fields = {each.name: each for each in interface.inputs}
    computed = {step.input for step in before.steps}
    passed = {
        ours: np.concatenate([made.example(0, _WIDTH)[theirs] for _ in range(_MADE)])
        for ours, theirs in before.passed.items()
        if ours not in computed
    }
    raw = raw_examples(before, examples, passed, _MADE if examples is None else MOST_EXAMPLES, seed)
    found = before(raw)
    return raw, interface.arrays({name: found[name] for name in fields} if len(fields) > 1 else found)


def _call(model: Any, interface: Interface, maker: ExampleMaker, length: int, count: int) -> Any:
    """Call a model with examples of a length; return its nested outputs."""
    rows = [maker.example(i % max(1, maker.count), length) for i in range(count)]
    batch = {each.name: np.concatenate([row[each.name] for row in rows]) for each in interface.inputs}
    try:
        return call_model(model, interface, batch)
    except Exception as error:  # whatever a user's layers raise
        at = f" with inputs of length {length}" if interface.variable else ""
        other = " or other `lengths`" if interface.variable else ""
        remedy = f"give `examples`{other}"
        if maker.count:
            shapes = ", ".join(f"{name!r} of shape {array.shape}" for name, array in batch.items())
            remedy = (
                f"it was called with the `examples`, {shapes}: give others{other}; several inputs go into a "
                "list or a dict, since a tuple has inputs and targets"
            )
        raise ArgumentError(f"the model cannot be called{at}: {shortened(error)}; {remedy}") from error


def call_model(model: Any, interface: Interface, arrays: Mapping[str, np.ndarray]) -> Any:
    """Call a Keras model, in float32, with inputs by name; return its nested outputs."""
    from keras import ops

    tensors = {
        each.name: ops.convert_to_tensor(np.ascontiguousarray(arrays[each.name]), each.dtype)
        for each in interface.inputs
    }
    with computing_in_float32(model):
        return model(interface.nested_inputs(tensors), training=False)


def as_numpy(value: Any) -> np.ndarray:
    """Return a tensor of any backend as an array."""
    from keras import ops

    return np.asarray(ops.convert_to_numpy(value))


def check_exportable(model: Any) -> None:
    """Raise an ArgumentError for what no bundle can hold: not a model, not built, quantized or stateful."""
    import keras

    if not isinstance(model, keras.Model):
        kind = "class" if isinstance(model, type) else "layer"
        raise ArgumentError(
            f"{model.__name__ if isinstance(model, type) else type(model).__name__} is a {kind}, not a built "
            "model: give the model, or keras.Sequential([keras.Input(shape), layer])"
        )
    if not model.built:
        raise ArgumentError(
            f"{type(model).__name__} {model.name!r} is not built: call it once, or fit it, first"
        )
    check_not_quantized(model)
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            raise ArgumentError(
                f"layer {layer.path} is stateful: a bundle keeps no state between calls; rebuild the model "
                "with stateful=False, or give the state as an input and return it as an output"
            )


def _lengths(model: Any, maker: ExampleMaker) -> list[int]:
    """Return the default lengths that a model's position tables hold, up to its examples'."""
    tables = [
        size
        for layer in model._flatten_layers()
        for name in ("sequence_length", "max_sequence_length", "max_length")
        if isinstance(size := getattr(layer, name, None), int) and size > 0
    ]
    limit = min(tables, default=DEFAULT_LENGTHS[-1])
    found = [length for length in DEFAULT_LENGTHS if length <= limit] or [limit]
    own = maker.own_length(0) if maker.count else None
    if own is not None:
        found = [*(length for length in found if length < own), own]
    return found
