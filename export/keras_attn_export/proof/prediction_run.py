"""The proof run of any Keras model: every output of its files against the Keras model's."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.device.files.interface import Field
from keras_attn.device.proof.checks import LEAST_CHANGE, Check
from keras_attn.device.proof.prediction_proof import (
    PredictionProof,
    judge_prediction,
    measure_prediction,
    relative_errors,
    settings_digest,
)
from keras_attn.device.proof.preprocessing_proof import raw_examples
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.tasks.predictor import Predictor
from keras_attn.sources.example_inputs import Example
from keras_attn.sources.prediction_source import PredictionSource
from keras_attn_export.proof.proof_run import ProofRun, latency, named, operators
from keras_attn_export.recipes import FP32, LITERT_WEB, tolerance_for
from keras_attn_export.tflite.int4_selection import Measured
from keras_attn_export.tracing.lost_mask import where_mask_is_lost

_MOST_BYTES = 8 * 2**20
"""Of the inputs and outputs in `proof.npz`."""
_FEWEST, _TIMED, _RAW = 4, 20, 24


def prediction_layout(source: PredictionSource, counts: Sequence[int]) -> list[dict[str, Any]]:
    """Return the manifest's `buckets`: lengths, and the signatures for each number of examples."""

    def name(length: int, count: int) -> str:
        sized = f"predict_{length}" if source.interface.variable else "predict"
        return sized if count == 1 else f"{sized}_x{count}"

    return [
        {"source": length, "predict": {str(count): name(length, count) for count in counts}}
        for length in source.lengths
    ]


class PredictionProofRun(ProofRun):
    """Compares the files with the Keras model, example by example and output by output."""

    source: PredictionSource

    def run(self) -> PredictionProof:
        """Measure everything; return the proof for the bundle.

        Raises:
            ExportError: at the first check that fails.
        """
        for name, (file, recipe) in self.files.items():
            self.require(operators(name, file, recipe))
        proof, figures = self._proof, None
        self.require(*self._padding())
        self.require(self._together())
        for name, (file, recipe) in self.files.items():
            self.progress(f"measuring {name} against the Keras model")
            predictor = self._opened(file)
            figures, exchanged = measure_prediction(predictor, proof)
            accepting = _accepting(proof, tolerance_for(recipe, self.source.task))
            self.require(*(named(check, name) for check in judge_prediction(figures, accepting)))
            self.require(named(exchanged, name))
            self.require(*self._batches(name, predictor, figures.max_error))
            self.latency[name] = self._timed(predictor)
        assert figures is not None  # there is always the fp32 file
        limit, least = tolerance_for(self.recipe, self.source.task), FP32.tolerance.max_error
        return dataclasses.replace(
            proof,
            max_error=min(limit.max_error, max(least, 2 * figures.max_error)),
            mean_error=min(limit.mean_error, max(least, 2 * figures.mean_error)),
            # A cosine may be twice as far from 1, and by its rounding.
            min_agreement=max(0.0, figures.agreement - max(1e-6, 1 - figures.agreement)),
        )

    def measured(self, file: Path) -> Measured:
        """Measure the outputs of a quantized file."""
        figures, _ = measure_prediction(self._opened(file), self._proof)
        limit = tolerance_for(self.recipe, self.source.task)
        return Measured(
            figures.mean_error, limit.used(figures.max_error, figures.mean_error, figures.agreement)
        )

    def passes(self, file: Path) -> bool:
        """Return True: everything is in `measured`."""
        return True

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about this task only."""
        before = self.source.preprocessing
        described = {} if before is None else {"preprocessing": before.to_json()}
        return {"task": self.source.task, "interface": self._interface.to_json(), **described}

    def sealed(
        self, proof: PredictionProof, manifest: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> PredictionProof:
        """Return the proof with the digest of the manifest's settings."""
        source = self.source
        if source.preprocessing is not None:
            some = {name: values[:_RAW] for name, values in source.raw.items()}
            proof = dataclasses.replace(proof, raw=raw_examples(some, source.preprocessing, files))
        return dataclasses.replace(proof, settings=settings_digest(manifest))

    @property
    def runtimes(self) -> list[str]:
        """Runtimes that compute the file correctly; the web app has no preprocessing but tokenizers."""
        return [r for r in super().runtimes if self.source.preprocessing is None or r != LITERT_WEB]

    @functools.cached_property
    def _interface(self) -> Any:
        interface = self.source.interface
        padded = interface.variable and self._padding_error[0] <= LEAST_CHANGE
        return dataclasses.replace(interface, padded=padded)

    def _opened(self, file: Path) -> Predictor:
        return Predictor(Model(file), self.layout, self._interface)

    @functools.cached_property
    def _chosen(self) -> list[tuple[Example, int]]:
        """The examples of the proof, with their lengths.

        For each signature there is one that fills it and, where there is padding, ones that do not.
        """
        source, most = self.source, self.settings.sentences
        variable = source.interface.variable
        lengths: list[int] = []
        last = 0
        for length in source.lengths:
            inside = [last + 1, (last + 1 + length) // 2] if self.source.interface.padded else []
            lengths += [length, *(each for each in inside if last < each < length)]
            last = length
        maker = source.examples
        count = max(len(lengths), min(most, maker.count or most))
        room = max(_FEWEST, _MOST_BYTES // max(1, self._example_bytes(source.lengths[-1])))
        numbers = np.linspace(0, max(0, maker.count - 1), count).round().astype(int)
        chosen = []
        for i in range(max(len(lengths), min(count, room))):
            length = lengths[i % len(lengths)]
            chosen.append((maker.example(int(numbers[i % count]), length), length if variable else 0))
        return chosen

    def _example_bytes(self, length: int) -> int:
        fields = (*self.source.interface.inputs, *self.source.interface.outputs)
        return sum(4 * int(np.prod(each.sized(length), dtype=np.int64)) for each in fields)

    @functools.cached_property
    def _expected(self) -> list[Example]:
        """The Keras model's outputs, at the lengths of the signatures, computed for all examples together."""
        self.progress("computing the references with the Keras model")
        found: list[Example] = [{}] * len(self._chosen)
        for bucket in {self._bucket(length) for _, length in self._chosen}:
            here = [i for i, (_, length) in enumerate(self._chosen) if self._bucket(length) == bucket]
            inputs = self.source.interface.inputs
            batch = {
                each.name: np.concatenate([each.filled(self._chosen[i][0][each.name], bucket) for i in here])
                for each in inputs
            }
            outputs = self.source.outputs(batch)
            for row, i in enumerate(here):
                found[i] = {
                    each.name: each.cut(outputs[each.name][row : row + 1], self._chosen[i][1])
                    for each in self.source.interface.outputs
                }
        return found

    def _bucket(self, length: int) -> int:
        return next(each for each in self.source.lengths if each >= length)

    @functools.cached_property
    def _padding_error(self) -> tuple[float, str]:
        """The largest relative change of the Keras model's outputs by padding, and of which output."""
        worst = (0.0, "")
        for (example, length), padded in zip(self._chosen, self._expected, strict=True):
            if self._bucket(length) == length:
                continue
            alone = self.source.outputs(example)
            for name, output in alone.items():
                error = float(relative_errors([padded[name]], [output])[0].max(initial=0))
                worst = max(worst, (error if np.isfinite(error) else float("inf"), name))
        return worst

    def _together(self) -> Check:
        """Check that the references of several examples together are those of each alone, as of a device."""
        source, rows = self.source, defaultdict(list)
        for i, (_, length) in enumerate(self._chosen):
            rows[self._bucket(length)].append(i)
        worst, where = 0.0, ""
        for bucket, numbers in rows.items():
            tried = numbers[:2] if len(rows) > 1 else numbers[:4]
            for i in tried if len(numbers) > 1 else ():
                example, length = self._chosen[i]
                fields = source.interface.inputs
                alone = source.outputs(
                    {each.name: each.filled(example[each.name], bucket) for each in fields}
                )
                for each in source.interface.outputs:
                    found, expected = each.cut(alone[each.name], length), self._expected[i][each.name]
                    error = float(relative_errors([expected], [found])[0].max(initial=0))
                    if not error <= worst:
                        worst, where = error, each.name
        detail = (
            f"the Keras model's outputs for several examples together are within {worst:.2g} of one by one"
        )
        if not np.isfinite(worst):
            detail = (
                f"the Keras model's output {where!r} is not finite: give `examples` of inputs for which it is"
            )
        elif worst > LEAST_CHANGE:
            detail = (
                f"the Keras model's output {where!r} for an example changes by {worst:.2g} with the others "
                "of its batch, and a device computes examples one by one: a layer mixes them, such as by a "
                "mean over the whole batch; let it treat each alone"
            )
        return Check("together", worst <= LEAST_CHANGE, detail, {"max_error": worst})

    def _padding(self) -> list[Check]:
        """Check that more padding changes nothing, where there are inputs of several lengths."""
        source = self.source
        if not source.interface.variable:
            return []
        error, output = self._padding_error
        if error <= LEAST_CHANGE:
            detail = (
                f"padding changes the Keras model's outputs by {error:.2g} of {LEAST_CHANGE:.2g} accepted"
            )
            return [Check("padding", True, detail, {"max_error": error})]
        example, length = next(each for each in self._chosen if self._bucket(each[1]) > each[1])
        padded = {
            each.name: each.filled(example[each.name], self._bucket(length))
            for each in source.interface.inputs
        }
        where = where_mask_is_lost(source.model, lambda: source.outputs(padded))
        detail = f"padding changes the Keras model's output {output!r} by {error:.2g}: {where}"
        if not source.chosen:
            detail += "; or give `lengths`, of which each input then has to have one"
            return [Check("padding", False, detail, {"max_error": error})]
        lengths = ", ".join(map(str, source.lengths))
        detail += f". Inputs must have one of the lengths {lengths}, which were asked for"
        return [Check("padding", True, detail, {"max_error": error, "padded": False})]

    @functools.cached_property
    def _proof(self) -> PredictionProof:
        interface, kept = self.source.interface, self._kept
        longest = max(self._chosen[i][1] for i in kept)

        def stacked(fields: Sequence[Field], rows: Sequence[Example]) -> list[np.ndarray]:
            return [
                np.concatenate([each.filled(row[each.name], longest) for row in rows]).astype(
                    np.float32 if each.dtype == "float32" else np.int32
                )
                for each in fields
            ]

        return PredictionProof(
            stacked(interface.inputs, [self._chosen[i][0] for i in kept]),
            stacked(interface.outputs, [self._expected[i] for i in kept]),
            np.array([self._chosen[i][1] for i in kept], np.int32),
        )

    @functools.cached_property
    def _kept(self) -> list[int]:
        """The examples that a bundle takes: where padding matters, only those that fill a signature."""
        fills = [self._bucket(length) == length for _, length in self._chosen]
        every = self._interface.padded or not self.source.interface.variable
        return [i for i, fits in enumerate(fills) if every or fits]

    def _batches(self, name: str, predictor: Predictor, largest: float) -> list[Check]:
        """Check that signatures of several examples compute what those of one do."""
        first, length = self._chosen[self._kept[0]]
        alike = [self._chosen[i][0] for i in self._kept if self._chosen[i][1] == length] or [first]
        checks = []
        for count in (int(count) for count in self.layout[0]["predict"] if int(count) > 1):
            rows = [alike[i % len(alike)] for i in range(count)]
            together = predictor.outputs({key: np.concatenate([row[key] for row in rows]) for key in first})
            worst = 0.0
            for i, row in enumerate(rows):
                for key, output in predictor.outputs(row).items():
                    error = relative_errors([together[key][i : i + 1]], [output])[0].max(initial=0)
                    worst = max(worst, float(error))
            accepted = max(LEAST_CHANGE, largest)
            detail = (
                f"{count} examples together differ by {worst:.2g} from one by one, {accepted:.2g} accepted"
            )
            checks.append(Check(f"{name} batch of {count}", worst <= accepted, detail, {"max_error": worst}))
        return checks

    def _timed(self, predictor: Predictor) -> dict[str, Any]:
        milliseconds, tokens = [], 0
        for i in range(_TIMED):
            example, length = self._chosen[self._kept[i % len(self._kept)]]
            clock = time.perf_counter()
            predictor.outputs(example)
            milliseconds.append(1000 * (time.perf_counter() - clock))
            tokens += length or 1
        return latency(milliseconds, tokens)


def _accepting(proof: PredictionProof, limit: Any) -> PredictionProof:
    return dataclasses.replace(
        proof, max_error=limit.max_error, mean_error=limit.mean_error, min_agreement=limit.token_agreement
    )
