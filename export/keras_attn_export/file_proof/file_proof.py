"""Compares a .tflite file that something else made with the Keras model that it should be.

The checks are those of an export's proof: operators, values, answers, exchanged inputs, for each signature.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.files.interface import Field, Interface
from keras_attn.device.proof.checks import Check
from keras_attn.device.proof.prediction_proof import (
    Outputs,
    PredictionFigures,
    PredictionProof,
    compare_outputs,
    judge_exchanged_examples,
    judge_prediction,
    mean_cosine,
)
from keras_attn.device.proof.verify import Report
from keras_attn.errors import ArgumentError
from keras_attn.sources.example_batches import inputs_in, nested_arrays
from keras_attn.sources.find_source import load_keras
from keras_attn.sources.model_interface import input_fields
from keras_attn.sources.prediction_source import MOST_EXAMPLES, PredictionSource, prediction_source
from keras_attn_export.file_proof.described_file import FileSignature, FileTensor, read_signatures
from keras_attn_export.file_proof.interpreter_process import RUNTIME, Call, FileFailed, run_calls
from keras_attn_export.file_proof.matching import Match, NoMatch, described, match
from keras_attn_export.recipes import FP16, FP32, INT4_MIXED, INT8, Recipe, tolerance_for
from keras_attn_export.tflite.inspection import ModelInfo, inspect_model

_EXAMPLES, _FEWEST = 32, 4
_MOST_BYTES = 64 * 2**20
"""Of inputs and outputs of a signature."""
_GARBAGE, _SAME = 0.5, 0.99
"""Cosines below which an output has nothing of the model's, and from which on it is the model's."""


@dataclass
class FileReport(Report):
    """The checks of a file; `bundle` is its path.

    Attributes:
        against: what it was compared with.
        signatures: for each, its `inputs` and `outputs` by the model's names: the file's `tensor`, how it was
            matched (`by`), and for outputs the figures; and `length`, `batch` and `examples`.
    """

    against: str = ""
    signatures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        found = super().to_json()
        return {
            "ok": found["ok"],
            "file": found["bundle"],
            "against": self.against,
            "runtime": found["runtime"],
            "rungs": found["rungs"],
            "signatures": self.signatures,
        }


def prove_file(
    file: str | os.PathLike[str],
    against: Any,
    *,
    examples: Any,
    lengths: Iterable[int] | None,
    seed: int,
    progress: Callable[[str], None] | None,
) -> FileReport:
    """Prove as `keras_attn_export.api.prove` documents."""
    path, progress = Path(file), progress or (lambda line: None)
    if not path.is_file():
        raise ArgumentError(f"there is no file {path}")
    content = path.read_bytes()
    signatures, info = _described(path, content)
    model, name = against, getattr(against, "name", type(against).__name__)
    if isinstance(against, str | os.PathLike):
        if Path(against).suffix != ".keras":
            raise ArgumentError(f"against must be a Keras model or the path of a .keras file, not {against}")
        model, name = load_keras(Path(against)), os.fspath(against)
    if not hasattr(model, "get_config") or not hasattr(model, "variables"):
        raise ArgumentError(
            f"against must be a Keras model or the path of a .keras file, not {type(model).__name__}"
        )
    report = FileReport(os.fspath(file), f"{RUNTIME} {version(RUNTIME)}", against=name)
    report.checks.append(_operators(info))
    if not report.ok:
        return report
    recipe = _recipe(info, signatures)
    source = _Sources(model, examples, lengths, seed)
    for signature in signatures:
        prefix = f"{signature.title} " if len(signatures) > 1 else ""
        progress(f"comparing signature {signature.title} with the Keras model")
        checks = _SignatureProof(path, signature, source, recipe, report).run()
        report.checks += [
            Check(f"{prefix}{each.name}", each.ok, each.detail, each.figures) for each in checks
        ]
    return report


def _described(path: Path, content: bytes) -> tuple[list[FileSignature], ModelInfo]:
    try:
        return read_signatures(content), inspect_model(content)
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from None
    except Exception as error:  # whatever the reader of a damaged file raises
        raise ArgumentError(
            f"{path} is damaged: {type(error).__name__}: {error}; convert it again"
        ) from error


def _operators(info: ModelInfo) -> Check:
    custom = {name.partition(":")[2]: n for name, n in info.operators.items() if name.startswith("CUSTOM")}
    flex = sorted(name for name in custom if name.startswith("Flex"))
    if flex:
        named = ", ".join(f"{custom[name]} {name}" for name in flex)
        detail = (
            f"{named}: operators of TensorFlow (Flex), which LiteRT lacks; try keras_attn.export, or change "
            "the layers that need them"
        )
        return Check("operators", False, detail, info.as_json())
    if custom:
        named = ", ".join(f"{count} {name}" for name, count in sorted(custom.items()))
        detail = f"{named}: custom operators, which no interpreter has built in"
        return Check("operators", False, detail, info.as_json())
    return Check("operators", True, f"{sum(info.operators.values())} operators, all built in", info.as_json())


def _recipe(info: ModelInfo, signatures: Sequence[FileSignature]) -> Recipe:
    """Return the recipe whose errors a file may have, by the types in it."""
    tensors = [tensor for each in signatures for tensor in (*each.inputs, *each.outputs)]
    types = {*info.constant_bytes, *(tensor.dtype for tensor in tensors if tensor.scale is not None)}
    if types & {"INT4", "INT2"}:
        return INT4_MIXED
    if types & {"INT8", "UINT8", "INT16"}:
        return INT8
    return FP16 if "FLOAT16" in types | {tensor.dtype for tensor in tensors} else FP32


class _Sources:
    """The Keras model with the lengths that a signature has."""

    def __init__(self, model: Any, examples: Any, lengths: Iterable[int] | None, seed: int) -> None:
        self._model, self._seed = model, seed
        self._examples = (
            None if examples is None else nested_arrays(inputs_in(examples, model), MOST_EXAMPLES)
        )
        self._lengths = None if lengths is None else sorted(set(lengths))
        self._made: dict[tuple[int, ...] | None, PredictionSource] = {}

    def inputs(self) -> tuple[Field, ...]:
        """Return the model's inputs, whose lengths may be open."""
        return input_fields(self._model, self._examples, self._lengths is not None)[0]

    def of(self, length: int | None) -> PredictionSource:
        """Return the source for a length of a signature; None where the file leaves it open."""
        lengths = self._lengths if length is None else [length]
        if not any(None in each.shape for each in self.inputs()):
            lengths = None
        key = None if lengths is None else tuple(lengths)
        if key not in self._made:
            self._made[key] = prediction_source(
                self._model, examples=self._examples, lengths=lengths, seed=self._seed
            )
        return self._made[key]


class _SignatureProof:
    """The checks of one signature."""

    def __init__(
        self, path: Path, signature: FileSignature, sources: _Sources, recipe: Recipe, report: FileReport
    ) -> None:
        self._path, self._signature, self._sources = path, signature, sources
        self._recipe, self._limit = recipe, tolerance_for(recipe, "prediction")
        self._facts: dict[str, Any] = {}
        report.signatures[signature.title] = self._facts

    def run(self) -> list[Check]:
        """Return the checks; the last one fails if one does."""
        signature = self._signature
        try:
            fields = self._sources.inputs()
            inputs = match("input", fields, signature.inputs)
            length = _static_length(fields, inputs)
            source = self._sources.of(length)
            outputs = match("output", source.interface.outputs, signature.outputs)
        except NoMatch as error:
            return [Check("tensors", False, str(error))]
        self._facts |= {"inputs": _matched(inputs), "outputs": _matched(outputs), "length": length}
        matched = f"inputs: {described(inputs)}; outputs: {described(outputs)}"
        checks = [Check("tensors", True, matched, {"inputs": _matched(inputs), "outputs": _matched(outputs)})]
        batch = _static_batch([*inputs.values(), *outputs.values()])
        examples = _examples(source, length)
        stacked = _batches(examples, batch)
        self._facts |= {"batch": batch, "examples": len(stacked) * batch}
        expected = [source.outputs(arrays) for arrays in stacked]
        try:
            read = run_calls(self._path, [self._call(inputs, arrays) for arrays in stacked])
        except FileFailed as error:
            return [*checks, Check("runs", False, str(error))]
        every = [
            {tensor.name: tensor.read(answer[self._key(tensor)]) for tensor in signature.outputs}
            for answer in read
        ]
        found = [{name: answer[matched.tensor.name] for name, matched in outputs.items()} for answer in every]
        return [*checks, *self._compared(source.interface, stacked, found, expected, every)]

    def _compared(
        self,
        interface: Interface,
        inputs: Sequence[Outputs],
        found: Sequence[Outputs],
        expected: Sequence[Outputs],
        every: Sequence[Outputs],
    ) -> list[Check]:
        for one, other in zip(found, expected, strict=True):
            for name, array in one.items():
                if array.shape != other[name].shape:
                    detail = f"output {name!r} is {array.shape}, and the Keras model's {other[name].shape}"
                    return [Check("values", False, detail)]
        rows = [_rows(each) for each in (inputs, found, expected, every)]
        inputs, found, expected, every = rows
        try:
            used = [self._signature.title] * len(found)
            figures = compare_outputs(interface.outputs, found, expected, used)
        except BundleError as error:
            return [Check("values", False, f"{error}: {_not_finite(found, expected)}")]
        for name, each in figures.by_output.items():
            self._facts["outputs"][name] |= each
        limit = self._limit
        accepting = PredictionProof(
            [], [], np.zeros(0, np.int32), limit.max_error, limit.mean_error, limit.token_agreement
        )
        checks = judge_prediction(figures, accepting)
        exchanged = judge_exchanged_examples(inputs, found, expected, figures)
        if all(check.ok for check in checks):
            return [*checks, exchanged]
        why = self._why(figures, expected, every, blind=not exchanged.ok)
        for check in checks:
            check.detail += "" if check.ok else f": {why}"
        return checks

    def _why(
        self, figures: PredictionFigures, expected: Sequence[Outputs], every: Sequence[Outputs], blind: bool
    ) -> str:
        """Return a sentence about the output that is worst."""
        name = min(figures.by_output, key=lambda each: figures.by_output[each]["agreement"])
        agreement = figures.by_output[name]["agreement"]
        wanted = [each[name] for each in expected]
        for other in every[0]:
            theirs = [each[other] for each in every]
            alike = all(one.shape == two.shape for one, two in zip(theirs, wanted, strict=True))
            if other == self._facts["outputs"][name]["tensor"] or not alike:
                continue
            if mean_cosine(theirs, wanted) >= max(_SAME, agreement):
                return f"output {name!r} is the file's {other!r}: its outputs are exchanged"
        if blind:
            return f"output {name!r} hardly depends on the inputs: this file answers garbage"
        if agreement < _GARBAGE:
            return f"output {name!r} has cosine {agreement:.2f}: this file answers garbage"
        if self._recipe is FP32:
            return f"output {name!r} is not what the Keras model computes: other weights, or another model"
        return f"output {name!r} has cosine {agreement:.4f}: quantization lost too much"

    def _call(self, inputs: Mapping[str, Match], arrays: Mapping[str, np.ndarray]) -> Call:
        stored = {self._key(each.tensor): each.tensor.stored(arrays[name]) for name, each in inputs.items()}
        return Call(self._signature.name, stored, [self._key(each) for each in self._signature.outputs])

    def _key(self, tensor: FileTensor) -> str:
        return tensor.name if self._signature.name is not None else str(tensor.index)


def _not_finite(found: Sequence[Outputs], expected: Sequence[Outputs]) -> str:
    """Return a sentence about outputs of which some are infinite or no numbers."""
    theirs, ours = (
        [all(np.isfinite(array).all() for array in each.values()) for each in outputs]
        for outputs in (expected, found)
    )
    if not all(theirs):
        return (
            f"nor is the Keras model's, for {theirs.count(False)} of {len(theirs)} examples: give `examples` "
            "for which it is"
        )
    if not any(ours):
        return "this file answers garbage"
    return (
        f"the file fails for {ours.count(False)} of {len(ours)} examples, and the Keras model for none; such "
        "as where a row of zeros is normalized, whose RSQRT LiteRT computes as NaN: try keras_attn.export"
    )


def _matched(matches: Mapping[str, Match]) -> dict[str, dict[str, Any]]:
    return {name: {"tensor": each.tensor.name, "by": each.by} for name, each in matches.items()}


def _static_length(fields: Sequence[Field], inputs: Mapping[str, Match]) -> int | None:
    """Return the size that a signature has where the model leaves it open; None if it does as well.

    Raises:
        NoMatch: there are several.
    """
    found = {
        size
        for each in fields
        for wanted, size in zip(each.shape, inputs[each.name].tensor.shape[1:], strict=True)
        if wanted is None and size is not None
    }
    if len(found) > 1:
        raise NoMatch(f"the inputs have the lengths {sorted(found)}: there may be only one")
    return found.pop() if found else None


def _static_batch(matches: Sequence[Match]) -> int:
    return max((each.tensor.shape[0] or 1 for each in matches), default=1)


def _examples(source: PredictionSource, length: int | None) -> list[dict[str, np.ndarray]]:
    """Return valid inputs; where the model has a length, some of them with padding behind the first half."""
    interface, maker = source.interface, source.examples
    lengths = [length] if length is not None else list(source.lengths[:2])
    fields = (*interface.inputs, *interface.outputs)
    size = sum(4 * int(np.prod(each.sized(lengths[-1]), dtype=np.int64)) for each in fields)
    count = min(maker.count or _EXAMPLES, _EXAMPLES, max(_FEWEST, _MOST_BYTES // max(1, size)))
    found = []
    for i in range(max(count, len(lengths))):
        whole = lengths[i % len(lengths)]
        example = maker.example(i % max(1, maker.count), whole)
        if interface.variable and i % 3 == 2 and whole > 1:
            example = {
                each.name: each.filled(each.cut(example[each.name], (whole + 1) // 2), whole)
                for each in interface.inputs
            }
        found.append(example)
    return found


def _batches(examples: Sequence[Outputs], batch: int) -> list[dict[str, np.ndarray]]:
    """Return all examples in batches of one shape; the last of each shape repeats its first ones."""
    by_shape: dict[tuple[tuple[int, ...], ...], list[Outputs]] = {}
    for each in examples:
        by_shape.setdefault(tuple(array.shape for array in each.values()), []).append(each)
    return [
        {name: np.concatenate([rows[(i + j) % len(rows)][name] for j in range(batch)]) for name in rows[0]}
        for rows in by_shape.values()
        for i in range(0, len(rows), batch)
    ]


def _rows(batches: Sequence[Outputs]) -> list[Outputs]:
    """Return the examples of batches one by one, (1, ...)."""
    return [
        {name: array[i : i + 1] for name, array in batch.items()}
        for batch in batches
        for i in range(len(next(iter(batch.values()))))
    ]
