"""The inputs that a user gives, turned into those that the model file takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tokenizers

from keras_attn.device.errors import InputError
from keras_attn.device.files.interface import only_array
from keras_attn.device.preprocessing import fields
from keras_attn.device.preprocessing.bags import Bag
from keras_attn.device.preprocessing.lookups import Lookup, texts_of
from keras_attn.device.preprocessing.text_vectors import TextVectors, check_shape

_LARGEST_RANK = 8


@dataclass(frozen=True)
class Step:
    """What makes one input of the model file of one input of the user's.

    Attributes:
        input: the user's name of it.
        output: the model file's name of it.
        shape: of the user's input, without the batch axis; `None` for an axis of any length.
        reads: what makes ids of it.
        bag: what makes vectors of the ids; `None` where the model takes ids.
    """

    input: str
    output: str
    shape: tuple[int | None, ...]
    reads: TextVectors | Lookup
    bag: Bag | None = None

    def __call__(self, values: Any) -> np.ndarray:
        """Return the model file's input: ids, int32, or vectors, float32, with a batch axis.

        Raises:
            InputError: the values are of another shape or kind.
        """
        of_texts = isinstance(self.reads, TextVectors) or self.reads.strings
        given = check_shape(self.input, texts_of(values) if of_texts else np.asarray(values), self.shape)
        ids = self.reads.ids(given)
        return ids if self.bag is None else self.bag(ids)


@dataclass(frozen=True)
class Preprocessing:
    """All steps in front of a model.

    Attributes:
        steps: one for each input of the model file that is computed.
        passed: the model file's name of each input that is taken as it is, by the user's name.
        order: the user's names in the order of a model that takes a list of inputs; empty for others.
    """

    steps: Sequence[Step] = ()
    passed: Mapping[str, str] = field(default_factory=dict)
    order: Sequence[str] = ()

    @property
    def inputs(self) -> list[str]:
        """The user's names of the inputs."""
        return list(dict.fromkeys([*(step.input for step in self.steps), *self.passed]))

    def by_name(self, inputs: Any) -> dict[str, Any]:
        """Return the user's inputs by name.

        Args:
            inputs: those by name, those of a model of one input, or a list of them in the model's order.

        Raises:
            InputError: an input is missing or not known.
        """
        names = self.inputs
        if not isinstance(inputs, Mapping):
            if isinstance(inputs, str | bytes):
                raise InputError(
                    "The model takes a list of texts, and one text was given: put it into a list."
                )
            if len(names) == 1:
                inputs = {names[0]: only_array(inputs, len(self.steps[0].shape) + 1)}
            elif self.order and isinstance(inputs, list | tuple) and len(inputs) == len(self.order):
                inputs = dict(zip(self.order, inputs, strict=True))
            else:
                listed = f", or a list of {len(self.order)}" if self.order else ""
                raise InputError(
                    f"The model takes a dict with the inputs {', '.join(map(repr, names))}{listed}."
                )
        if inputs.keys() != set(names):
            raise InputError(f"The model takes the inputs {names}, not {list(inputs)}.")
        return dict(inputs)

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the model file's inputs by name.

        Raises:
            InputError: an input is missing, not known, or of another shape or kind.
        """
        if inputs.keys() != set(self.inputs):
            raise InputError(f"The model takes the inputs {self.inputs}, not {list(inputs)}.")
        computed = {step.output: step(inputs[step.input]) for step in self.steps}
        return computed | {theirs: np.asarray(inputs[ours]) for ours, theirs in self.passed.items()}

    def tokenizers(self) -> dict[str, tokenizers.Tokenizer]:
        """Return each tokenizer by the name of its file: ``tokenizer.json``, or one for each of several."""
        found: list[tuple[tokenizers.Tokenizer, str]] = []
        for step in self.steps:
            if isinstance(step.reads, TextVectors) and all(
                each is not step.reads.tokenizer for each, _ in found
            ):
                found.append((step.reads.tokenizer, step.output))
        if len(found) == 1:
            return {"tokenizer.json": found[0][0]}
        return {f"tokenizer-{number}.json": each for number, (each, _) in enumerate(found, 1)}

    def to_json(self) -> dict[str, Any]:
        """Return the steps as plain values; texts' steps name the files of ``tokenizers()``."""
        files = self.tokenizers()
        return {
            "steps": [_described(step, files) for step in self.steps],
            "passed": dict(self.passed),
            "order": list(self.order),
        }

    @classmethod
    def from_json(
        cls, described: Mapping[str, Any], tokenizer: Callable[[str], tokenizers.Tokenizer]
    ) -> Preprocessing:
        """Read what ``to_json`` returned.

        Args:
            described: the plain values.
            tokenizer: returns the tokenizer of a file of ``tokenizers()``.

        Raises:
            BundleError: a field is missing or damaged.
        """
        steps = fields.field(described, "steps", lambda value: isinstance(value, list))
        passed = fields.field(described, "passed", _is_names)
        order = described.get("order", [])  # bundles of earlier versions have none
        found = cls([_read(step, tokenizer) for step in steps], dict(passed), order)
        if not isinstance(order, list) or (order and sorted(map(str, order)) != sorted(found.inputs)):
            raise fields.damaged("order")
        return found


def _described(step: Step, files: Mapping[str, tokenizers.Tokenizer]) -> dict[str, Any]:
    bag = None if step.bag is None else step.bag.to_json()
    described = {"input": step.input, "output": step.output, "shape": list(step.shape), "bag": bag}
    if isinstance(step.reads, TextVectors):
        tokenizer = step.reads.tokenizer
        described["tokenizer"] = next(name for name, each in files.items() if each is tokenizer)
    return described | step.reads.to_json()


def _read(described: Mapping[str, Any], tokenizer: Callable[[str], tokenizers.Tokenizer]) -> Step:
    kind = fields.field(described, "kind", lambda value: value in ("text", "lookup"))
    shape = fields.field(described, "shape", fields.list_of(fields.optional(fields.is_size)))
    bag = fields.field(described, "bag", fields.optional(lambda value: isinstance(value, Mapping)))
    reads: TextVectors | Lookup
    if kind == "text":
        reads = TextVectors.from_json(
            described, tokenizer(fields.field(described, "tokenizer", fields.is_text))
        )
    else:
        reads = Lookup.from_json(described)
    return Step(
        fields.field(described, "input", fields.is_text),
        fields.field(described, "output", fields.is_text),
        tuple(shape[:_LARGEST_RANK]),
        reads,
        None if bag is None else Bag.from_json(bag),
    )


def _is_names(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(fields.is_text, value.values()))
