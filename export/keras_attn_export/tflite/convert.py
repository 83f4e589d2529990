"""Lowers and converts in a subprocess, then quantizes.

The converter leaks memory with every call, and TensorFlow should not share a process with Keras' backend, so
the parent writes a job folder (configuration as JSON, weights as safetensors) and runs this module on it in a
subprocess, which writes the fp32 .tflite files and `result.json` there. A job does not depend on the recipe,
so that its files can be kept for other recipes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_attn.child_process import end_with_parent, run_python
from keras_attn.device.files.atomic_write import replaced_folder
from keras_attn.errors import ArgumentError, KerasAttnError
from keras_attn_export.buckets import Bucket
from keras_attn_export.one_call_plan import OneCall
from keras_attn_export.recipes import Recipe
from keras_attn_export.tflite.weights_file import WeightsFile, write_weights
from keras_attn_export.tracing.handover import SAVED_MODEL, Traced, traced_here

if TYPE_CHECKING:
    from keras_attn_export.tflite.matrix_store import MatrixStore
    from keras_attn_export.tflite.smoothing import Sample

LOWERINGS = {
    "Transformer": "keras_attn_export.lowering.transformer:lower",
    "T5": "keras_attn_export.lowering.t5:lower",
    "RNNSearch": "keras_attn_export.lowering.recurrent:lower_rnnsearch",
    "Seq2SeqRNN": "keras_attn_export.lowering.recurrent:lower_seq2seq",
    "CausalLM": "keras_attn_export.lowering.gpt2:lower_causal_lm",
}
"""Model class -> the function that lowers it, as "module:function"."""

_JOB_FILE, _WEIGHTS_FILE, _RESULT_FILE = "job.json", "weights.safetensors", "result.json"
_RAW_FILE, _FP32_FILE = "raw.tflite", "fp32.tflite"
_SMOOTHED_FILE, _QUANTIZED_FILE = "smoothed.tflite", "quantized.tflite"
_MATRICES = "matrices"

MOST_FLOATS = 3 * 2**29
"""The most bytes of weights that are converted inside of the graphs; see `matrix_store` for more."""


class ConversionError(KerasAttnError, RuntimeError):
    """The model could not be lowered, converted or quantized."""


@dataclass(frozen=True)
class Converted:
    """The files of a conversion.

    Attributes:
        raw: the fp32 model that is quantized, with the names that quantizers need.
        fp32: the same, compacted.
        quantized: with the recipe, compacted; for recipe fp32 the same file as `fp32`.
        seconds: time per stage.
        versions: of the packages.
    """

    raw: Path
    fp32: Path
    quantized: Path
    seconds: dict[str, float]
    versions: dict[str, str]


def has_lowering(model: Any) -> bool:
    """Return whether a model is one of those that are lowered; a subclass may compute something else."""
    parts = [model, *([model.backbone] if hasattr(model, "backbone") else [])]
    return type(model).__name__ in LOWERINGS and all(
        type(part).__module__.startswith("keras_attn.models.") for part in parts
    )


def find_lowering(class_name: str) -> str:
    """Return the "module:function" that lowers a model class.

    Raises:
        ArgumentError: when there is none.
    """
    if class_name not in LOWERINGS:
        known = ", ".join(sorted(LOWERINGS))
        raise ArgumentError(
            f"a {class_name} cannot be exported: there is no lowering for it; those there are: {known}"
        )
    return LOWERINGS[class_name]


def convert_traced(
    folder: Path,
    traced: Traced,
    recipe: Recipe,
    samples: Sequence[Sample] = (),
    in_graph: bool = False,
    conversions: Path | None = None,
) -> Converted:
    """Trace a Keras model, convert it in a subprocess, and quantize.

    Args:
        folder: an empty folder for the job's files.
        traced: the model, and how it is traced.
        recipe: how weights are stored and computed with.
        samples: inputs from which amplitudes are measured, where activations get 8 bits.
        in_graph: whether a tokenizer is part of the graphs.
        conversions: folder that keeps converted files; the same job is not run twice.

    Raises:
        ArgumentError: the model cannot be traced, or not be reopened in another process.
        ConversionError: when the process fails, with its own message, or the file cannot be quantized.
    """
    (folder / _JOB_FILE).write_text(
        json.dumps({"traced": True, "outside": False, "in_graph": in_graph}), encoding="utf-8"
    )
    kept = None
    if conversions is not None:
        kept = conversions / _digest(traced.content(), in_graph)
    if kept is None or not (kept / _RESULT_FILE).exists():
        traced.write(folder)
    return _converted(folder, recipe, kept, samples)


def convert(
    folder: Path,
    *,
    config: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    lowering: str,
    buckets: Sequence[Bucket],
    options: Mapping[str, Any],
    recipe: Recipe,
    one_call: OneCall | None = None,
    conversions: Path | None = None,
) -> Converted:
    """Lower a model and convert it in a subprocess, and quantize.

    Args:
        folder: an empty folder for the job's files.
        config: the model's `get_config()`, as JSON.
        weights: arrays by variable path below the model's name.
        lowering: "module:function" of a `keras_attn_export.lowering.base.Lowering`.
        buckets: lengths that become signatures.
        options: the lowering's further arguments, as JSON.
        recipe: how weights are stored and computed with.
        one_call: the plan of the signatures that search greedily; `None` for none.
        conversions: folder that keeps converted files; the same job is not run twice. Of large models, whose
            weights have more bytes than `MOST_FLOATS`, none are kept.

    Raises:
        ArgumentError: an option that large models do not have.
        ConversionError: when the process fails, with its own message, or the file cannot be quantized.
    """
    large = sum(4 * array.size for array in weights.values()) > MOST_FLOATS
    if large:
        _check_large(recipe, one_call)
    job = {
        "config": config,
        "outside": large,
        "lowering": lowering,
        "buckets": [dataclasses.asdict(bucket) for bucket in buckets],
        "options": dict(options),
        "traced": False,
        "in_graph": False,
        "one_call": one_call and dataclasses.asdict(one_call),
    }
    (folder / _JOB_FILE).write_text(json.dumps(job), encoding="utf-8")
    write_weights(folder / _WEIGHTS_FILE, weights)
    kept = None
    if conversions is not None and not large:
        parts = ((folder / name).read_bytes() for name in (_JOB_FILE, _WEIGHTS_FILE))
        kept = conversions / _digest(parts, in_graph=False)
    return _converted(folder, recipe, kept)


def _converted(folder: Path, recipe: Recipe, kept: Path | None, samples: Sequence[Sample] = ()) -> Converted:
    """Run the job in a folder, unless its files have been kept, and quantize."""
    from keras_attn_export.tflite.compact import compact
    from keras_attn_export.tflite.quantize import quantize
    from keras_attn_export.tflite.smoothing import smooth

    made = kept or folder
    if not (made / _RESULT_FILE).exists():
        done = run_process(folder)
        if done.returncode or not (folder / _RESULT_FILE).exists():
            raise ConversionError(_error_message(done))
        if kept is not None:
            _keep(folder, made)
    result = json.loads((made / _RESULT_FILE).read_text(encoding="utf-8"))
    raw, seconds = made / _RAW_FILE, result["seconds"]
    if (made / _MATRICES).is_dir():
        return _large_converted(folder, recipe, raw, result)
    fp32 = quantized = made / _FP32_FILE
    if samples and recipe.activations == "int8":
        clock = time.perf_counter()
        smoothed = folder / _SMOOTHED_FILE
        smoothed.write_bytes(smooth(raw.read_bytes(), samples))
        raw = smoothed
        seconds["smoothing"] = time.perf_counter() - clock
    if recipe.quantized:
        clock = time.perf_counter()
        quantized = folder / _QUANTIZED_FILE
        try:
            content = quantize(raw.read_bytes(), recipe.weights, recipe.activations)
        except ValueError as error:
            raise ConversionError(f"{type(error).__name__}: {error}") from None
        quantized.write_bytes(compact(content))
        seconds["quantization"] = time.perf_counter() - clock
    return Converted(raw, fp32, quantized, seconds, result["versions"])


def _check_large(recipe: Recipe, one_call: OneCall | None) -> None:
    """Raise an ArgumentError if there is an option that large models do not have."""
    size = f"the weights of this model have more than {MOST_FLOATS / 2**30:.1f} GiB as floats"
    if recipe.selects_int4 or (recipe.weights, recipe.activations) not in (
        ("float32", "float32"),
        ("int8", "int8"),
    ):
        raise ArgumentError(f"recipe {recipe.name!r}: {size}; use int8 or fp32")
    if one_call is not None:
        raise ArgumentError(f"one_call: {size}; leave it out")


def _large_converted(folder: Path, recipe: Recipe, raw: Path, result: Mapping[str, Any]) -> Converted:
    """Quantize and write the file of a model whose matrices are in a store."""
    from keras_attn_export.tflite.compact import write_compact
    from keras_attn_export.tflite.matrix_store import MatrixStore, quantize_matrices

    seconds, store = result["seconds"], MatrixStore(folder / _MATRICES)
    fp32 = quantized = folder / _FP32_FILE
    clock = time.perf_counter()
    write_compact(raw.read_bytes(), store, fp32)
    seconds["writing"] = time.perf_counter() - clock
    if recipe.quantized:
        clock = time.perf_counter()
        quantized = folder / _QUANTIZED_FILE
        write_compact(quantize_matrices(raw.read_bytes(), store), store, quantized)
        seconds["quantization"] = time.perf_counter() - clock
    shutil.rmtree(folder / _MATRICES)
    return Converted(raw, fp32, quantized, seconds, result["versions"])


def _digest(parts: Iterable[bytes], in_graph: bool) -> str:
    """Return a hash of what a job is made of and the versions of the packages."""
    digest = hashlib.sha256(json.dumps(_versions(in_graph)).encode())
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _keep(folder: Path, made: Path) -> None:
    with replaced_folder(made) as aside:
        for name in (_RAW_FILE, _FP32_FILE, _RESULT_FILE):
            shutil.copyfile(folder / name, aside / name)


def run_process(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the job in `folder` in a subprocess, with this process' import path."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TMPDIR": str(folder),  # TensorFlow's own temporary files outlive a process that is killed.
    }
    return run_python(["-m", "keras_attn_export.tflite.convert", str(folder)], environment)


def _error_message(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error message from a process' output."""
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    failure = [line for line in lines if line.startswith(_FAILURE)]
    if failure:
        return json.loads(failure[-1].removeprefix(_FAILURE))
    return f"the converter process ended with status {done.returncode}: " + " ".join(lines[-5:])[-1000:]


_FAILURE = "conversion failed: "


def main(folder: Path) -> int:
    """Run the job in `folder`, in the subprocess; return the exit status."""
    try:
        _work(folder)
    except Exception as error:  # any error becomes one message for the parent
        print(_FAILURE + json.dumps(f"{type(error).__name__}: {error}"), file=sys.stderr)
        return 1
    return 0


def _work(folder: Path) -> None:
    from keras_attn_export.tflite.compact import compact
    from keras_attn_export.tflite.matrix_store import MatrixStore, matrices_inside
    from keras_attn_export.tflite.number_types import in_32_bits
    from keras_attn_export.tflite.row_selection import select_rows

    job = json.loads((folder / _JOB_FILE).read_text(encoding="utf-8"))
    seconds: dict[str, float] = {}
    clock = time.perf_counter()
    store = MatrixStore(folder / _MATRICES) if job["outside"] else None
    names = traced_here(folder) if job["traced"] else _lower(job, folder, store)
    content = _from_saved_model(folder / SAVED_MODEL, names, custom=job["in_graph"])
    if job["traced"]:
        # tensorflow-text's operators count in 64 bits.
        content = select_rows(content if job["in_graph"] else in_32_bits(content))
    if store is None:
        (folder / _FP32_FILE).write_bytes(compact(content))
    else:
        content = matrices_inside(content, store)
    (folder / _RAW_FILE).write_bytes(content)
    seconds["conversion"] = time.perf_counter() - clock
    result = {"seconds": seconds, "versions": _versions(job["in_graph"])}
    (folder / _RESULT_FILE).write_text(json.dumps(result), encoding="utf-8")


def _lower(job: Mapping[str, Any], folder: Path, store: MatrixStore | None) -> list[str]:
    """Build the signatures of a job's lowering and save them; return their names."""
    from keras_attn_export.lowering.base import Weights
    from keras_attn_export.tracing.outside_matrices import OutsideMatrices
    from keras_attn_export.tracing.saved_model import save_signatures

    module_name, _, function_name = job["lowering"].partition(":")
    lower = getattr(importlib.import_module(module_name), function_name)
    outside = None if store is None else OutsideMatrices(store)
    weights = Weights(WeightsFile(folder / _WEIGHTS_FILE), outside)
    buckets = [Bucket(**bucket) for bucket in job["buckets"]]
    lowered = lower(job["config"], weights, buckets, **job["options"])
    if job["one_call"]:
        from keras_attn_export.lowering.one_call import lower_one_call

        lowered |= lower_one_call(lower, job["config"], weights, OneCall(**job["one_call"]))
    if outside is not None:
        lowered = outside.as_inputs(lowered)
    names = save_signatures(folder / SAVED_MODEL, lowered, lambda: weights.tracked)
    if weights.unread:
        raise ArgumentError(f"the lowering ignored trained weights: {', '.join(weights.unread)}")
    return names


def _from_saved_model(saved_model: Path, names: Sequence[str], custom: bool) -> bytes:
    """Convert signatures to one fp32 .tflite file; `custom` allows operators that are not built in."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=list(names))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.allow_custom_ops = custom
    converter.exclude_conversion_metadata = True  # `compact` would remove it
    return converter.convert()


def _versions(in_graph: bool) -> dict[str, str]:
    from importlib.metadata import version

    names = ["tensorflow", "ai-edge-quantizer", "ai-edge-litert", "numpy"]
    return {name: version(name) for name in [*names, *(["tensorflow-text"] if in_graph else [])]}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m keras_attn_export.tflite.convert FOLDER (export() runs this for you)")
    end_with_parent()
    sys.exit(main(Path(sys.argv[1])))
