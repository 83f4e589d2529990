"""Exports models of the zoo, runs them on inputs of their own, and prints what was found.

Usage: python -m zoo.export_zoo FOLDER NAME ..., which prints a line of JSON for each model and leaves the
bundles FOLDER/NAME-fp32 and FOLDER/NAME-int8; NAME,RECIPE,... chooses other recipes.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np


def main(folder: str, *asked: str) -> None:
    """Export the models and print what was found."""
    from zoo import cases

    found = cases()
    for name, *recipes in (each.split(",") for each in asked or found):
        try:
            result = exported(found[name], Path(folder, name), recipes or ["fp32", "int8"])
        except Exception as error:  # any error is this model's, and not the others'
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"name": name, **result}), flush=True)


def exported(case: Any, path: Path, recipes: list[str]) -> dict[str, Any]:
    """Export a case to PATH-RECIPE; return for each recipe the largest relative error and least cosine."""
    import keras

    import keras_attn
    from keras_attn import device

    keras.utils.set_random_seed(7)
    model = case.build()
    examples = case.inputs(np.random.default_rng(1), 12, case.lengths[-1] if case.lengths else 0)
    more = {"task": case.task, **({"lengths": case.lengths} if case.lengths else {})}
    if case.given:
        more["examples"] = examples
    result: dict[str, Any] = {}
    # Other backends than TensorFlow convert in a process of their own.
    once = converting_once if keras.backend.backend() == "tensorflow" else contextlib.nullcontext
    with tempfile.TemporaryDirectory() as folder, once(Path(folder)):
        for recipe in recipes:
            bundle = path.with_name(f"{path.name}-{recipe}")
            keras_attn.export(model, bundle, recipe, **more)
            loaded = keras.saving.load_model(model) if isinstance(model, str) else model
            predictor = device.load(bundle)
            result[recipe] = compared(case, loaded, predictor)
    return result


def compared(case: Any, model: Any, predictor: Any) -> dict[str, float]:
    """Compare what Keras and the device predict of inputs that no proof has seen."""
    from keras import tree

    from keras_attn.device.proof.prediction_proof import mean_cosine

    rng = np.random.default_rng(99)
    worst, least = 0.0, 1.0
    lengths = [*(case.lengths or [0]), *([case.lengths[-1] - 1] if case.padded else [])]
    for length in lengths:
        given = case.inputs(rng, 4, length)
        wanted, found = in_float32(model, given), predictor.predict(given)
        tree.assert_same_structure(
            tree.map_structure(np.shape, as_lists(wanted)), tree.map_structure(np.shape, found)
        )
        for one, other in zip(tree.flatten(as_lists(wanted)), tree.flatten(found), strict=True):
            assert one.shape == other.shape, (one.shape, other.shape)
            size = max(1e-3, float(np.abs(one).max()))
            worst = max(worst, float(np.abs(one.astype(float) - other).max()) / size)
            if one.dtype.kind == "f":
                least = min(least, mean_cosine([other], [one]))
    return {"error": worst, "cosine": least}


def in_float32(model: Any, given: Any) -> Any:
    """Return `model.predict` without the rounding of mixed precision, which the device does not have."""
    from keras_attn.sources.float32_model import computing_in_float32

    with computing_in_float32(model):
        model.predict_function = None
        return model.predict(given, verbose=0)


def as_lists(value: Any) -> Any:
    """Return nested outputs with lists for tuples, as a bundle has them."""
    if isinstance(value, dict):
        return {key: as_lists(each) for key, each in value.items()}
    return [as_lists(each) for each in value] if isinstance(value, list | tuple) else value


@contextlib.contextmanager
def converting_once(folder: Path) -> Iterator[None]:
    """Convert in this process, where TensorFlow is loaded already, and once for all recipes."""
    from keras_attn_export.tflite import convert

    names = (convert._RAW_FILE, convert._FP32_FILE, convert._RESULT_FILE)
    kept = folder / "kept"

    def here(job: Path) -> subprocess.CompletedProcess[str]:
        if not kept.exists():
            convert._work(job)
            kept.mkdir()
            for name in names:
                shutil.copyfile(job / name, kept / name)
        else:
            for name in names:
                shutil.copyfile(kept / name, job / name)
        return subprocess.CompletedProcess([], 0, "", "")

    with mock.patch.object(convert, "run_process", here):
        yield


if __name__ == "__main__":
    main(*sys.argv[1:])
