"""A sentence encoder in the browser: our web app's worker beside transformers.js on onnxruntime-web.

    (cd demos/web && npm ci) && (cd benchmarks/transformers_js && npm ci --ignore-scripts)
    python benchmarks/browser_embedding.py

Both run all-MiniLM-L6-v2 in 8 bits, with one thread, in the same Chromium: our bundle, exported and proven
here, and onnxruntime's dynamic quantization, which transformers.js calls q8. Each round opens a browser with
an empty profile for each, in turns. `load` is from an empty page to the open model, `first answer` until
the first text is embedded.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import json
import operator
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from embedding import minilm, sentences
from keras_attn_export import export

from keras_attn import device
from keras_attn.device.tasks.embedder import Embedder

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "transformers_js" / "compare.mjs"
LENGTHS = (32, 128)
COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def onnx_folder(folder: Path, work: Path) -> Path:
    """Write the checkpoint as transformers.js reads it: token vectors, quantized dynamically."""
    import torch  # pyright: ignore[reportMissingImports]
    from onnxruntime.quantization import QuantType, quantize_dynamic  # pyright: ignore[reportMissingImports]
    from transformers import AutoModel  # pyright: ignore[reportMissingImports]

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.model(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            ).last_hidden_state

    made = work / "onnx-model"
    (made / "onnx").mkdir(parents=True)
    for name in COPIED:
        if (folder / name).is_file():
            shutil.copy(folder / name, made / name)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = torch.ones((1, 32), dtype=torch.int64)
    axes = {name: {0: "batch", 1: "length"} for name in [*names, "last_hidden_state"]}
    torch.onnx.export(
        Encoder(), (example,) * 3, str(work / "whole.onnx"), input_names=names,
        output_names=["last_hidden_state"], dynamic_axes=axes, opset_version=17, dynamo=False,
    )  # fmt: skip
    small = made / "onnx" / "model_quantized.onnx"
    quantize_dynamic(work / "whole.onnx", small, weight_type=QuantType.QUInt8)
    return made


def texts_of(task: Embedder, lines: list[str], count: int) -> dict[str, Any]:
    """Return texts of natural length, and of each timed length in tokens."""
    words, timed = " ".join(lines).split(), {}
    for length in LENGTHS:
        end = next(
            end for end in range(length, 0, -1) if len(task.tokenizer.encode(" ".join(words[:end]))) <= length
        )
        text = " ".join(words[:end])
        while len(task.tokenizer.encode(text)) < length:
            text += " a"
        timed[str(length)] = text
    fitting = [line for line in lines if len(task.tokenizer.encode(line)) <= task.encoder.max_tokens]
    return {"many": fitting[:count], "timed": timed}


def row(name: str, ours: list[float], theirs: list[float], unit: str) -> str:
    """Return a line of the table: medians, and the median of the ratios of the rounds."""
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    mine, other = statistics.median(ours), statistics.median(theirs)
    return f"{name:24} {mine:9.1f} {other:9.1f} {unit:3} ratio {ratio:.2f}"


def main(
    texts: Annotated[Path | None, typer.Option(help="Sentences, one per line.")] = None,
    count: Annotated[int, typer.Option(help="Texts that are embedded one after the other.")] = 100,
    rounds: Annotated[int, typer.Option(help="Cold starts of each.")] = 5,
    bundle: Annotated[Path | None, typer.Option(help="An exported bundle (default: exported now).")] = None,
) -> None:
    """Print the comparison."""
    folder, lines = minilm(), sentences(texts)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if bundle is None:
            lengths = (16, 32, 64, 128, 256)
            bundle = Path(export(folder, work / "minilm", lengths=lengths, metric_sentences=50).path)
        site, program = work / "site", ["-m", "keras_attn.cli"]
        subprocess.run([sys.executable, *program, "web", str(bundle), "--output", str(site)], check=True)
        task = device.load(bundle, task="embedding")
        given = texts_of(task, lines, count)
        model = onnx_folder(folder, work)
        done = subprocess.run(
            ["node", str(SCRIPT), str(site), str(model), str(rounds)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise typer.BadParameter(done.stdout + done.stderr)
        found = json.loads(done.stdout)
        sizes = (bundle / "model.tflite", model / "onnx" / "model_quantized.onnx")
        print(f"file: {' and '.join(f'{each.stat().st_size / 1e6:.1f} MB' for each in sizes)}")
        print(f"{'':24} {'ours':>9} {'theirs':>9}")
        sides = [[each[side] for each in found] for side in ("ours", "theirs")]

        def compared(label: str, unit: str, value: Callable[[Any], float]) -> str:
            ours, theirs = ([value(each) for each in side] for side in sides)
            return row(label, ours, theirs, unit)

        for label, key in (("load", "load"), ("first answer", "firstAnswer"), (f"{count} texts", "texts")):
            print(compared(label, "ms", operator.itemgetter(key)))
        for length in map(str, LENGTHS):
            print(compared(f"{length} tokens", "ms", lambda each, length=length: each["tokens"][length]))
        print(compared("memory of the browser", "MB", lambda each: each["memory"] / 1e6))
        vectors = [np.array(side[0]["first"]) for side in sides]
        print(
            f"cosine of the two {vectors[0] @ vectors[1] / np.prod([np.linalg.norm(v) for v in vectors]):.4f}"
        )


if __name__ == "__main__":
    typer.run(main)
