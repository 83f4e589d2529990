"""The proof of any Keras model: its outputs for a few dozen examples, with tolerances.

Errors are relative: an output of an example is compared in units of its largest value, or of that of half
of the examples where it is smaller, so that neither a large unit nor a value near 0 decides.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.files.arrays import read_arrays
from keras_attn.device.files.interface import Field, Interface
from keras_attn.device.proof.checks import LEAST_CHANGE, Check, judge_exchanged
from keras_attn.device.proof.decoder_proof import MOST_INPUTS

SMALLEST = 0.01
"""Outputs below this are compared in units of it, since what they are the sum of may be larger."""
Outputs = Mapping[str, np.ndarray]
"""Arrays of one example by name, (1, ...)."""
_SCALARS = ("max_error", "mean_error", "min_agreement")


@dataclass(frozen=True)
class PredictionProof:
    """References of N examples.

    Attributes:
        inputs: (N, ...) for each input, filled up behind the example's length.
        outputs: (N, ...) for each output, likewise.
        lengths: (N,) int32, of each example; 0 where all sizes are fixed.
        max_error: the largest accepted relative error.
        mean_error: the largest accepted mean of each output's.
        min_agreement: the least accepted mean cosine of each output.
        settings: ``settings_digest`` of the manifest.
        raw: examples of what the user gives and the inputs made of them, as JSON in bytes, (N,) uint8; empty
            where there is no preprocessing.
    """

    inputs: Sequence[np.ndarray]
    outputs: Sequence[np.ndarray]
    lengths: np.ndarray
    max_error: float = float("inf")
    mean_error: float = float("inf")
    min_agreement: float = 0.0
    settings: str = ""
    raw: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __len__(self) -> int:
        return len(self.lengths)

    def to_bytes(self) -> bytes:
        """Return the contents of ``proof.npz``."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: np.float64(getattr(self, name)) for name in _SCALARS}
        arrays |= {f"input_{i}": array for i, array in enumerate(self.inputs)}
        arrays |= {f"output_{i}": array for i, array in enumerate(self.outputs)}
        np.savez_compressed(
            buffer, lengths=self.lengths, settings=np.array(self.settings), raw=self.raw, **arrays
        )
        return buffer.getvalue()

    @classmethod
    def load(cls, content: bytes, interface: Interface) -> PredictionProof:
        """Read the contents of ``proof.npz``; nothing is unpickled.

        Raises:
            BundleError: it cannot be read, or an array is missing or misshapen.
        """
        names = [f"input_{i}" for i in range(len(interface.inputs))]
        names += [f"output_{i}" for i in range(len(interface.outputs))]
        arrays = read_arrays(content, "proof.npz", [*_SCALARS, "lengths", "settings", "raw", *names])
        for name in _SCALARS:
            if arrays[name].shape != () or arrays[name].dtype.kind not in "iuf":
                raise BundleError(f"proof.npz: {name} is {arrays[name].dtype} {arrays[name].shape}")
        lengths, settings = arrays["lengths"], arrays["settings"]
        if lengths.ndim != 1 or lengths.dtype.kind != "i" or not 0 < len(lengths) <= MOST_INPUTS:
            raise BundleError(f"proof.npz: lengths is {lengths.dtype} {lengths.shape}")
        if settings.shape != () or settings.dtype.kind != "U":
            raise BundleError(f"proof.npz: settings is {settings.dtype} {settings.shape}, not a text")
        if lengths.min() < (1 if interface.variable else 0):
            raise BundleError(f"proof.npz: a length is {lengths.min()}")
        for name, each in zip(names, (*interface.inputs, *interface.outputs), strict=True):
            _check(name, arrays[name], each, lengths)
        count = len(interface.inputs)
        return cls(
            [arrays[name] for name in names[:count]],
            [arrays[name] for name in names[count:]],
            lengths,
            **{name: float(arrays[name]) for name in _SCALARS},
            settings=str(settings),
            raw=arrays["raw"],
        )

    def example(self, i: int, interface: Interface) -> dict[str, np.ndarray]:
        """Return the inputs of example i by name, (1, ...), without filling."""
        return {
            each.name: each.cut(array[i : i + 1], int(self.lengths[i]))
            for each, array in zip(interface.inputs, self.inputs, strict=True)
        }

    def expected(self, i: int, interface: Interface) -> dict[str, np.ndarray]:
        """Return the outputs of example i by name, (1, ...), without filling."""
        return {
            each.name: each.cut(array[i : i + 1], int(self.lengths[i]))
            for each, array in zip(interface.outputs, self.outputs, strict=True)
        }


def _check(name: str, array: np.ndarray, wanted: Field, lengths: np.ndarray) -> None:
    longest = int(lengths.max())
    kinds = "f" if wanted.dtype == "float32" else "iub"
    shape = (len(lengths), *wanted.sized(longest))
    fits = array.ndim == len(shape) and all(map(int.__ge__, array.shape, shape))
    exact = all(
        size == given for size, given in zip(wanted.shape, array.shape[1:], strict=False) if size is not None
    )
    if not fits or not exact or len(array) != len(lengths) or array.dtype.kind not in kinds:
        raise BundleError(f"proof.npz: {name} is {array.dtype} {array.shape}, not of the model's {wanted}")
    if not np.all(np.isfinite(array)):
        raise BundleError(f"proof.npz: {name} is not finite")


def settings_digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the manifest's fields that decide how inputs and outputs are read."""
    fields = {name: manifest.get(name) for name in ("task", "buckets", "interface", "preprocessing")}
    # As a reader of the manifest sees it; to JavaScript 0.0 is 0.
    read = json.loads(json.dumps(fields), parse_float=_as_whole)
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def _as_whole(number: str) -> float:
    value = float(number)
    return int(value) if value.is_integer() else value


@dataclass
class PredictionFigures:
    """The differences between a model file and a proof's references.

    Attributes:
        max_error: largest relative error of a value.
        mean_error: the mean of the output for which it is largest.
        agreement: mean cosine of the output for which it is smallest; equal values where they are whole.
        examples: examples compared.
        worst: example, output and signature of the largest error.
        signatures: signatures that were used.
        by_output: the same figures for each output.
    """

    max_error: float
    mean_error: float
    agreement: float
    examples: int
    worst: dict[str, Any]
    signatures: list[str]
    by_output: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return dict(self.__dict__)


class Predicting(Protocol):
    """What predicts: a bundle's model, or Keras'."""

    @property
    def interface(self) -> Interface:
        """The model's inputs and outputs."""
        ...

    def outputs(self, arrays: Outputs) -> Outputs:
        """Compute the outputs of N examples by name."""
        ...

    def signature_for(self, length: int | None) -> str:
        """Return the name of what computes one example of a length."""
        ...


def measure_prediction(predictor: Predicting, proof: PredictionProof) -> tuple[PredictionFigures, Check]:
    """Compare a model file with a proof, example by example.

    Returns:
        The figures, and the check ``exchanged``.

    Raises:
        BundleError: a value is not finite, or an example does not fit.
    """
    interface, count = predictor.interface, range(len(proof))
    found = [_outputs(predictor, proof, i) for i in count]
    expected = [proof.expected(i, interface) for i in count]
    used = [predictor.signature_for(_length(proof, i)) for i in count]
    figures = compare_outputs(interface.outputs, found, expected, used)
    examples = [proof.example(i, interface) for i in count]
    return figures, judge_exchanged_examples(examples, found, expected, figures)


def compare_outputs(
    fields: Sequence[Field], found: Sequence[Outputs], expected: Sequence[Outputs], used: Sequence[str]
) -> PredictionFigures:
    """Compare the outputs of examples with their references.

    Args:
        fields: the outputs that are compared.
        found: outputs of each example by name, each (1, ...).
        expected: the references, likewise.
        used: the signature that computed each example.

    Raises:
        BundleError: a value is not finite.
    """
    by_output, worst, largest = {}, {}, -1.0
    for each in fields:
        ours = [outputs[each.name] for outputs in found]
        theirs = [outputs[each.name] for outputs in expected]
        errors = relative_errors(ours, theirs)
        i = int(np.argmax([error.max(initial=0) for error in errors]))
        top = float(errors[i].max(initial=0))
        if not np.isfinite(top):
            raise BundleError(f"example {i}, signature {used[i]}: output {each.name!r} is not finite")
        whole = each.dtype != "float32"
        agreement = _equal(ours, theirs) if whole else mean_cosine(ours, theirs)
        mean = float(np.mean([error.mean() for error in errors if error.size] or [0.0]))
        by_output[each.name] = {
            "max_error": 0.0 if whole else top,
            "mean_error": 0.0 if whole else mean,
            "agreement": agreement,
        }
        if top > largest and not whole:
            worst, largest = {"example": i, "output": each.name, "signature": used[i]}, top
    figures = by_output.values()
    return PredictionFigures(
        max_error=max(each["max_error"] for each in figures),
        mean_error=max(each["mean_error"] for each in figures),
        agreement=min(each["agreement"] for each in figures),
        examples=len(found),
        worst=worst,
        signatures=sorted(set(used)),
        by_output=by_output,
    )


def output_changes(found: Sequence[Outputs], examples: Sequence[Outputs]) -> list[float]:
    """Compute how much the outputs of each example differ, relatively, from those of the next.

    Args:
        found: outputs of each example by name.
        examples: inputs, likewise.

    Returns:
        The mean of the output that differs most, for each example that differs from the next; infinity where
        the outputs differ in length.
    """
    changes = []
    for i, one in enumerate(found):
        following = (i + 1) % len(found)
        other = found[following]
        if following == i or _same(examples[i], examples[following]):
            continue
        means = [
            float(np.mean(relative_errors([other[name]], [one[name]])[0]))
            if other[name].shape == one[name].shape
            else float("inf")
            for name in one
        ]
        changes.append(max(means))
    return changes


def judge_prediction(figures: PredictionFigures, proof: PredictionProof) -> list[Check]:
    """Compare figures with what a proof accepts.

    Returns:
        The checks ``values`` and ``answers``.
    """
    ok = figures.max_error <= proof.max_error and figures.mean_error <= proof.mean_error
    detail = (
        f"largest relative error {figures.max_error:.3g} of {proof.max_error:.3g} accepted, mean "
        f"{figures.mean_error:.3g} of {proof.mean_error:.3g}, over {figures.examples} examples"
    )
    if not ok and figures.worst:
        worst = figures.worst
        detail += f"; worst at output {worst['output']!r} of example {worst['example']}, {worst['signature']}"
    values = Check("values", ok, detail, figures.to_json())
    ok = figures.agreement >= proof.min_agreement
    detail = f"mean cosine {figures.agreement:.5f}, {proof.min_agreement:.5f} needed"
    if not ok or len(figures.by_output) > 1:
        name = min(figures.by_output, key=lambda output: figures.by_output[output]["agreement"])
        detail += f" (output {name!r})"
    return [values, Check("answers", ok, detail, {"agreement": figures.agreement})]


def judge_exchanged_examples(
    examples: Sequence[Outputs],
    found: Sequence[Outputs],
    expected: Sequence[Outputs],
    figures: PredictionFigures,
) -> Check:
    """Check that the inputs matter: most examples' outputs must differ from the next's beyond their error.

    That says nothing where the references themselves hardly differ, as those of a model before its training.
    """
    changes = [min(each, 1e30) for each in output_changes(found, examples)]
    check = judge_exchanged(changes, figures.mean_error, "examples change the outputs")
    if check.ok:
        return check
    wanted = output_changes(expected, examples)
    if 2 * sum(each > LEAST_CHANGE for each in wanted) <= len(wanted):
        check.ok = True
        check.detail = (
            f"the Keras model's own outputs change by less than {LEAST_CHANGE:.2g} with most examples, so "
            "that exchanging them shows nothing: give examples that differ"
        )
    else:
        check.detail += "; the outputs hardly depend on the inputs: give examples that differ"
    return check


def judge_settings(proof: PredictionProof, manifest: Mapping[str, Any]) -> Check:
    """Check that the manifest reads inputs and outputs as it did when the bundle was exported."""
    ok = proof.settings == settings_digest(manifest)
    detail = "inputs, outputs and lengths are those of the export"
    return Check(
        "settings", ok, detail if ok else "interface or buckets of the manifest changed; export again"
    )


def relative_errors(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Compute the errors of one output for each example, in units of its size; see the module."""
    sizes = [float(np.abs(each.astype(np.float64)).max(initial=0)) for each in expected]
    usual = float(np.median(sizes)) if sizes else 0.0
    return [
        np.abs(one.astype(np.float64) - other.astype(np.float64)) / max(SMALLEST, size, usual)
        for one, other, size in zip(found, expected, sizes, strict=True)
    ]


def mean_cosine(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Compute the mean cosine of examples; of single values, that of all examples together."""
    if all(each.size == 1 for each in expected):
        found = [np.concatenate([each.ravel() for each in found])]
        expected = [np.concatenate([each.ravel() for each in expected])]
    cosines = []
    for one, other in zip(found, expected, strict=True):
        one, other = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
        norms = float(np.linalg.norm(one) * np.linalg.norm(other))
        # Outputs that are all 0, or nearly, have no direction; their errors are counted.
        small = max(float(np.abs(one).max(initial=0)), float(np.abs(other).max(initial=0))) < SMALLEST
        cosines.append(1.0 if small else float(one @ other) / max(norms, 1e-300))
    return float(np.mean(cosines))


def _equal(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Compute the part of whole values that are equal."""
    return float(np.mean([np.mean(one == other) for one, other in zip(found, expected, strict=True)]))


def _outputs(predictor: Predicting, proof: PredictionProof, i: int) -> Outputs:
    try:
        return predictor.outputs(proof.example(i, predictor.interface))
    except InputError as error:
        raise BundleError(f"the proof's example {i} does not fit: {error}") from None


def _length(proof: PredictionProof, i: int) -> int | None:
    return int(proof.lengths[i]) or None


def _same(one: Outputs, other: Outputs) -> bool:
    return all(np.array_equal(array, other[name]) for name, array in one.items())
