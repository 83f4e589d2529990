"""Ten Keras models on LiteRT by three ways: ours, Keras' own export, and litert-torch; each in int8.

    python benchmarks/other_ways.py [--folder FOLDER] [--turns 15]

Keras' way is `model.export(format="litert")` and ai-edge-quantizer by hand. litert-torch converts the same
model reopened with torch below Keras, whose models are torch modules there, and the same quantizer follows;
it has to be installed beside this package. Each way is a process of its own. Printed are a table of what
works, the largest relative difference from Keras in float32, the file's size, and processor time over
that of our file in the same bare interpreter: the median of turns in which the ways follow each other,
with one thread. For ours the ratio is that of `predict`, which also checks its inputs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WORDS, LENGTH, EXAMPLES = 1000, 32, 8
WAYS = {"ours": "tensorflow", "keras": "tensorflow", "torch": "torch"}
TITLES = {"ours": "keras_attn", "keras": "Keras' export", "torch": "litert-torch"}


def models() -> dict[str, Callable[[], Any]]:
    """Return what builds each model; one input, or a list of them, of fixed or open length."""
    import keras
    from keras import layers, ops

    def tokens(name: str = "tokens") -> Any:
        return keras.Input((None,), dtype="int32", name=name)

    def embedded(x: Any, width: int = 64) -> Any:
        return layers.Embedding(WORDS, width, mask_zero=True)(x)

    def block(x: Any) -> Any:
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 16)(x, x))
        return layers.LayerNormalization()(x + layers.Dense(64)(layers.Dense(256, activation="gelu")(x)))

    def table() -> Any:
        x = inputs = keras.Input((20,))
        for _ in range(3):
            x = layers.BatchNormalization()(layers.Dense(128, activation="relu")(x))
        return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))

    def residual() -> Any:
        x = inputs = keras.Input((32, 32, 3))
        x = layers.Conv2D(32, 3, padding="same")(x)
        for stride in (1, 2, 2):
            y = layers.ReLU()(
                layers.BatchNormalization()(layers.Conv2D(32, 3, strides=stride, padding="same")(x))
            )
            x = layers.add([layers.MaxPooling2D(stride)(x), layers.Conv2D(32, 3, padding="same")(y)])
        return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))

    def mobile() -> Any:
        return keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None, classes=10)

    def patches() -> Any:
        x = inputs = keras.Input((32, 32, 3))
        x = layers.Reshape((16, 64))(layers.Conv2D(64, 8, strides=8)(x))
        return keras.Model(inputs, layers.Dense(10)(ops.mean(block(block(x)), axis=1)))

    def forecast() -> Any:
        x = inputs = keras.Input((48, 4))
        x = layers.Conv1D(32, 3, padding="causal", activation="relu")(x)
        return keras.Model(inputs, layers.Dense(12)(layers.LSTM(64)(x)))

    def masked_lstm() -> Any:
        x = inputs = tokens()
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.LSTM(64)(embedded(x))))

    def tagger() -> Any:
        x = inputs = tokens()
        x = layers.Bidirectional(layers.GRU(64, return_sequences=True))(embedded(x))
        return keras.Model(inputs, layers.Dense(9)(x))

    def transformer() -> Any:
        x = inputs = tokens()
        x = layers.GlobalAveragePooling1D()(block(block(embedded(x))))
        return keras.Model(inputs, layers.Dense(3)(x))

    def causal() -> Any:
        x = inputs = tokens()
        x = layers.Embedding(WORDS, 64)(x)
        x = x + layers.MultiHeadAttention(4, 16)(x, x, use_causal_mask=True)
        return keras.Model(inputs, layers.Dense(WORDS)(x))

    def towers() -> Any:
        tower = keras.Sequential([layers.Embedding(WORDS, 64, mask_zero=True), layers.GRU(64)])
        one, two = tokens("query"), tokens("answer")
        return keras.Model([one, two], layers.Dot(axes=1, normalize=True)([tower(one), tower(two)]))

    made = (table, residual, mobile, patches, forecast, masked_lstm, tagger, transformer, causal, towers)
    return {build.__name__: build for build in made}


def prepare(folder: Path) -> None:
    """Write the models, inputs and Keras' outputs in float32."""
    import keras

    rng = np.random.default_rng(0)
    for name, build in models().items():
        keras.utils.set_random_seed(7)
        model = build()
        for weight in model.weights:  # as trained ones differ from the first
            if len(weight.shape) > 1:
                weight.assign(1.5 * weight)
        model.save(folder / f"{name}.keras")
        inputs = []
        for each in model.inputs:
            shape = (EXAMPLES, *(size or LENGTH for size in each.shape[1:]))
            drawn = rng.integers(1, WORDS, shape).astype("int32")
            if None in each.shape[1:]:
                drawn[EXAMPLES // 2 :, LENGTH - 12 :] = 0  # padding
            inputs.append(drawn if each.dtype == "int32" else rng.normal(size=shape).astype("float32"))
        one = [[x[i : i + 1] for x in inputs] for i in range(EXAMPLES)]
        outputs = [np.asarray(model(each if len(inputs) > 1 else each[0])) for each in one]
        named = {f"input_{i}": array for i, array in enumerate(inputs)}
        np.savez(folder / f"{name}.npz", outputs=np.concatenate(outputs), **named)


def convert(way: str, folder: Path) -> None:
    """Write the files of one way, and the reasons for those that cannot be had."""
    import keras

    reasons = {}
    for path in sorted(folder.glob("*.keras")):
        target = folder / f"{path.stem}-{way}"
        try:
            model = keras.saving.load_model(path, compile=False)
            if way == "ours":
                import keras_attn

                is_open = any(None in each.shape[1:] for each in model.inputs)
                keras_attn.export(model, target, "int8", lengths=[LENGTH] if is_open else None)
            else:
                raw = target.with_suffix(".raw.tflite")
                (_by_keras if way == "keras" else _by_torch)(model, raw)
                _quantize(raw, target.with_suffix(".tflite"))
        except Exception as error:  # it is the measurement
            reasons[path.stem] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    (folder / f"{way}.json").write_text(json.dumps(reasons), "utf-8")


def _by_keras(model: Any, path: Path) -> None:
    model.export(str(path), format="litert", verbose=False)


def _by_torch(model: Any, path: Path) -> None:
    import litert_torch  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    def sample(each: Any) -> Any:
        shape = (1, *(size or LENGTH for size in each.shape[1:]))
        return torch.ones(shape, dtype=torch.int32) if each.dtype == "int32" else torch.randn(shape)

    arguments = [sample(each) for each in model.inputs]

    class Twin(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            return self.model(list(inputs)) if len(inputs) > 1 else self.model(*inputs)

    litert_torch.convert(Twin().eval(), tuple(arguments)).export(str(path))


def _quantize(raw: Path, path: Path) -> None:
    from ai_edge_quantizer import quantizer, recipe

    tool = quantizer.Quantizer(str(raw))
    tool.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    path.write_bytes(bytes(tool.quantize().quantized_model))


def opened(way: str, name: str, folder: Path) -> tuple[Callable[[list[np.ndarray]], np.ndarray], int]:
    """Return what computes a model's output of one example, and the file's size."""
    if way == "ours":
        from keras_attn import device

        bundle = folder / f"{name}-ours"
        predictor = device.load(bundle)
        size = (bundle / "model.tflite").stat().st_size
        return lambda inputs: predictor.predict(inputs if len(inputs) > 1 else inputs[0]), size
    path = folder / f"{name}-{way}.tflite"
    return bare(path), path.stat().st_size


def bare(path: Path) -> Callable[[list[np.ndarray]], np.ndarray]:
    """Return what runs a file of one signature, and nothing else."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    details: list[Any] = sorted(interpreter.get_input_details(), key=lambda detail: detail["name"])
    places = [int(detail["index"]) for detail in details]
    shaped: list[Any] = []

    def run(inputs: list[np.ndarray]) -> np.ndarray:
        shapes = [each.shape for each in inputs]
        if shaped != shapes:
            shaped[:] = shapes
            for place, shape in zip(places, shapes, strict=True):
                interpreter.resize_tensor_input(place, shape)
            interpreter.allocate_tensors()
        for place, each, detail in zip(places, inputs, details, strict=True):
            interpreter.set_tensor(place, each.astype(detail["dtype"]))
        interpreter.invoke()
        output: Any = interpreter.get_output_details()
        return interpreter.get_tensor(output[0]["index"])

    return run


def compare(folder: Path, turns: int) -> list[list[str]]:
    """Return the rows of the table."""
    reasons = {way: json.loads((folder / f"{way}.json").read_text("utf-8")) for way in WAYS}
    rows = []
    for name in (path.stem for path in sorted(folder.glob("*.keras"))):
        with np.load(folder / f"{name}.npz") as arrays:
            inputs = [arrays[f"input_{i}"] for i in range(len(arrays.files) - 1)]
            wanted = arrays["outputs"]
        running, cells = {}, {}
        for way in WAYS:
            try:
                if name in reasons[way]:
                    raise RuntimeError(reasons[way][name])
                run, size = opened(way, name, folder)
                found = np.concatenate([run([x[i : i + 1] for x in inputs]) for i in range(EXAMPLES)])
                error = float(np.abs(found - wanted).max() / np.abs(wanted).max())
                running[way], cells[way] = run, (error, size)
            except Exception as error:  # it is the measurement
                cells[way] = " ".join(str(error).split())[:120]
        running["file"] = bare(folder / f"{name}-ours" / "model.tflite")
        times: dict[str, list[float]] = {way: [] for way in running}
        for turn in range(turns):
            one = [x[turn % EXAMPLES][None] for x in inputs]
            for way, run in running.items():
                clock = time.process_time()
                for _ in range(5):
                    run(one)
                times[way].append(time.process_time() - clock)
        row = [name]
        for way in WAYS:
            if way not in running:
                row.append(f"fails: {cells[way]}")
                continue
            error, size = cells[way]
            ratios = [a / b for a, b in zip(times[way], times["file"], strict=True)]
            row.append(f"{error:.2%}, {size / 1e3:.0f} kB, {statistics.median(ratios):.2f}")
        rows.append(row)
        print(" | ".join(row), flush=True)
    return rows


def main() -> None:
    """Prepare, convert by each way, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="keeps models and files (default: a temporary one)")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--stage", choices=["prepare", *WAYS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage == "prepare":
        return prepare(arguments.folder)
    if arguments.stage:
        return convert(arguments.stage, arguments.folder)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for stage, backend in {"prepare": "tensorflow", **WAYS}.items():
            command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
            done = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": backend}, check=False)
            if done.returncode and not (folder / f"{stage}.json").exists() and stage != "prepare":
                names = [path.stem for path in folder.glob("*.keras")]
                says = dict.fromkeys(names, f"the process ended with {done.returncode}")
                (folder / f"{stage}.json").write_text(json.dumps(says), "utf-8")
        compare(folder, arguments.turns)
    return None


if __name__ == "__main__":
    main()
