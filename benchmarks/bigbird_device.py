"""BigBird's int8 file on LiteRT: block-sparse attention next to the same model with dense attention.

    python benchmarks/bigbird_device.py --lengths 512,1024,4096 --layers 4

The weights are random, which changes neither time nor memory. Both models are converted and quantized as an
export does it; each is then measured in a process of its own, which loads the file and runs the longest
length alone. The milliseconds are medians, of the clock and (in parentheses) of the processor.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

RUN_ONE = "--run-one"


def convert_int8(folder: Path, lengths: list[int], layers: int, dense: bool) -> Path:
    """Convert a sentence encoder of BigBird-base's sizes; return the int8 file."""
    from keras_attn_export.buckets import choose_buckets
    from keras_attn_export.pipeline import ENCODER_TRACE
    from keras_attn_export.recipes import INT8
    from keras_attn_export.tflite.convert import convert_traced
    from keras_attn_export.tracing.handover import Traced

    from keras_attn.models import BigBird, TextEmbedder

    # With this many random blocks no text is long enough for the sparse pattern.
    blocks = {"num_random_blocks": lengths[-1]} if dense else {}
    model = TextEmbedder(
        BigBird.from_preset("base", vocabulary_size=50358, num_layers=layers, pooler=False, **blocks)
    )
    folder.mkdir()
    buckets = [asdict(each) for each in choose_buckets(lengths, model.backbone.max_sequence_length)]
    # Random weights have no large channels: there is nothing to smooth.
    return convert_traced(folder, Traced(model, ENCODER_TRACE, {"buckets": buckets}), INT8).quantized


def run_one(file: str, length: int, repeats: int, threads: int) -> str:
    """Run one signature; give the milliseconds and the most memory this process held, as a line."""
    from keras_attn.device.runtime.interpreter import Model

    signature = Model(file, threads=threads).signature(f"encode_{length}")
    signature.inputs["padding_mask"][...] = 1
    clock, processor = [], []
    for _ in range(repeats + 1):
        begun, worked = time.perf_counter(), time.process_time()
        signature.run()
        clock.append(1e3 * (time.perf_counter() - begun))
        processor.append(1e3 * (time.process_time() - worked))
    times = f"{statistics.median(clock[1:]):8.0f} ({statistics.median(processor[1:]):8.0f}) ms"
    # Not getrusage: a child's peak starts with what its parent had when it forked.
    status = Path("/proc/self/status").read_text()
    return f"{times}, peak memory {int(status.partition('VmHWM:')[2].split()[0]) / 1024:6.0f} MiB"


def main(
    lengths: Annotated[
        str, typer.Option(help="Signatures of the file; the longest is run.")
    ] = "512,1024,4096",
    layers: Annotated[int, typer.Option(help="BigBird-base has 12.")] = 12,
    repeats: Annotated[int, typer.Option(help="Runs after one to warm up.")] = 3,
    threads: Annotated[int, typer.Option(help="Of the interpreter.")] = 1,
) -> None:
    """Print both models' milliseconds and peak memory."""
    chosen = sorted(int(length) for length in lengths.split(","))
    print(f"ai-edge-litert {version('ai-edge-litert')}; {platform.machine()}, {threads} thread(s)")
    print(f"{layers} layers of 768, block 64, random blocks 3, int8, {chosen[-1]} tokens")
    with tempfile.TemporaryDirectory() as work:
        for name in ("sparse", "dense"):
            file = convert_int8(Path(work) / name, chosen, layers, dense=name == "dense")
            command = [
                sys.executable,
                __file__,
                RUN_ONE,
                str(file),
                *map(str, (chosen[-1], repeats, threads)),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            size = file.stat().st_size / 1e6
            print(f"{name:6} {size:6.1f} MB, {len(chosen)} lengths: {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [RUN_ONE]:
        print(run_one(sys.argv[2], *map(int, sys.argv[3:])))
    else:
        typer.run(main)
