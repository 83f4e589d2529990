"""Exports models of the zoo with one thing changed, and prints by what it was found, or an empty text.

Usage: python -m zoo.sabotage_zoo
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from zoo.export_zoo import converting_once

HANDOVER, TRACE = "keras_attn_export.tracing.handover.trace_to", "keras_attn_export.tracing.prediction"


def main() -> None:
    """Print a line of JSON for each sabotage."""
    for name, change in (
        ("masked_lstm", masks_dropped),
        ("towers", masks_dropped),
        ("residual", weight_changed),
        ("keras_transformer", weight_changed),
        ("fitted", weight_changed),
        ("chosen_label", outputs_exchanged),
        ("states", outputs_exchanged),
        ("masked_series", lambda: in_manifest(pad_changed)),
        ("nested_outputs", lambda: in_manifest(interface_shuffled)),
        ("adapted", lambda: other_proof()),
    ):
        print(json.dumps({"name": name, "found": found_by(name, change())}), flush=True)


def found_by(name: str, change: Any) -> str:
    """Export a model below a change; return the error, or the first check that fails."""
    import keras
    from keras_attn_export.proof.proof_run import ExportError

    import keras_attn
    from keras_attn.device.errors import BundleError
    from keras_attn.device.proof.verify import verify
    from zoo import cases

    keras.utils.set_random_seed(7)
    case = cases()[name]
    model = case.build()
    more = {"lengths": case.lengths} if case.lengths else {}
    with tempfile.TemporaryDirectory() as folder, converting_once(Path(folder)):
        if isinstance(change, contextlib.AbstractContextManager):
            try:
                with change:
                    keras_attn.export(model, Path(folder, "bundle"), "fp32", **more)
            except ExportError as error:
                assert not Path(folder, "bundle").exists()
                return f"export: {error}"
            return ""
        bundle = keras_attn.export(model, Path(folder, "bundle"), "fp32", **more)
        try:
            report = verify(change(bundle, Path(folder, "changed")).path)
        except BundleError as error:
            return f"verify: {error}"
        return "; ".join(f"verify: {check.name}" for check in report.checks if not check.ok)


def masks_dropped() -> Any:
    """Trace recurrent layers without their masks."""
    from keras_attn_export.tracing import static_loop

    original = static_loop.rnn
    return mock.patch.object(static_loop, "rnn", lambda *a, **named: original(*a, **{**named, "mask": None}))


def weight_changed() -> Any:
    """Trace the model with a matrix whose columns were exchanged."""
    from keras_attn_export.tracing import handover

    original = handover.trace_to

    def trace_to(saved_model: Path, model: Any, *arguments: Any) -> Any:
        matrix = next(each for each in reversed(model.weights) if len(each.shape) > 1)
        kept = np.array(matrix)
        matrix.assign(kept[::-1])
        try:
            return original(saved_model, model, *arguments)
        finally:
            matrix.assign(kept)

    return mock.patch(HANDOVER, trace_to)


def outputs_exchanged() -> Any:
    """Trace outputs of one shape under each other's names."""
    from keras_attn_export.tracing import prediction

    original = prediction.flat_outputs

    def flat_outputs(structure: Any, outputs: Any) -> dict[str, Any]:
        found = original(structure, outputs)
        names = list(found)
        for one in names:
            for other in names:
                alike = found[one].shape == found[other].shape and found[one].dtype == found[other].dtype
                if one < other and alike:
                    return {**found, one: found[other], other: found[one]}
        raise AssertionError("no outputs are alike")

    return mock.patch(f"{TRACE}.flat_outputs", flat_outputs)


def in_manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[Any, Path], Any]:
    """Return what writes a bundle again with another interface in its manifest."""

    def written(bundle: Any, path: Path) -> Any:
        manifest = json.loads(json.dumps(bundle.manifest))
        change(manifest["interface"])
        return rewritten(bundle, path, manifest, {})

    return written


def pad_changed(interface: dict[str, Any]) -> None:
    """Fill up with another value."""
    interface["inputs"][0]["pad"] = 0.5


def interface_shuffled(interface: dict[str, Any]) -> None:
    """Nest the outputs the other way round."""
    structure = interface["output_structure"]
    structure["first"], structure["rest"][0] = structure["rest"][0], structure["first"]


def other_proof() -> Callable[[Any, Path], Any]:
    """Return what writes a bundle with the proof of a model of other weights."""

    def written(bundle: Any, path: Path) -> Any:
        import keras

        import keras_attn
        from zoo import cases

        keras.utils.set_random_seed(8)
        with tempfile.TemporaryDirectory() as folder, converting_once(Path(folder)):
            other = keras_attn.export(cases()["adapted"].build(), Path(folder, "other"), "fp32")
            proof = other.read("proof.npz")
        return rewritten(bundle, path, bundle.manifest, {"proof.npz": proof})

    return written


def rewritten(bundle: Any, path: Path, manifest: dict[str, Any], changed: dict[str, bytes]) -> Any:
    """Write a bundle with right hashes and other contents."""
    from keras_attn.device.files.bundle import write_bundle

    files = {name: bundle.read(name) for name in manifest["files"]}
    return write_bundle(path, {**manifest}, {**files, **changed})


if __name__ == "__main__":
    main()
