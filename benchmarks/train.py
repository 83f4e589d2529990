"""Measures a whole training step against KerasHub's layers and Hugging Face's models of the same shape.

    python benchmarks/train.py                        all contestants, half an hour on two cores
    python benchmarks/train.py --cases transformer-tiny --contestants ours-jax,kerashub-jax
    python benchmarks/train.py --cases bert-base --rows 64 --length 512 --precision bfloat16

A step is forward, backward and Adam, with dropout, label smoothing and the output layer tied to the word
vectors, on a GPU where there is one. Each contestant has a process of its own, and they take steps in turns;
the median of the pairs is reported. Needs keras-hub, torch and transformers (the `parity` extra), and leaves
out what is not installed.
"""

import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from contestants.steps import Case, cores, gemm_peak, keras_hub, ours, transformers
from rich.console import Console
from rich.table import Table

from keras_attn.commands.terminal.environment import keep_freed_memory, quiet_logs
from keras_attn.device.files.atomic_write import write_text

CASES = {
    "transformer-tiny": Case(128, 256, 4, 4, 10000, rows=128, length=24, dropout=0.3),
    "transformer-base": Case(512, 2048, 8, 6, 32000, rows=24, length=32),
    "bert-base": Case(768, 3072, 12, 12, 30522, rows=8, length=128, places=20, smoothing=0.0),
    "bert-large": Case(1024, 4096, 16, 24, 30522, rows=4, length=128, places=20, smoothing=0.0),
}
CONTESTANTS = {
    "ours-jax": ("keras_attn", "jax"),
    "kerashub-jax": ("keras_hub", "jax"),
    "ours-tensorflow": ("keras_attn", "tensorflow"),
    "kerashub-tensorflow": ("keras_hub", "tensorflow"),
    "huggingface-torch": ("transformers", "torch"),
}

# ---- one process per contestant ----


def serve(name: str, case: Case) -> None:
    """Build a contestant's step, then take one for each line of standard input, and print its seconds."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps what libraries print out of the answers
    quiet_logs()
    keep_freed_memory()
    package, backend = CONTESTANTS[name]
    if backend != "torch":
        import keras

        if case.precision != "float32":
            keras.mixed_precision.set_global_policy(f"mixed_{case.precision}")
    peak, before = gemm_peak(backend, case.precision), memory(backend)
    step = {"keras_attn": ours, "keras_hub": keras_hub, "transformers": transformers}[package](case)
    losses = [step(), step()]
    reported = {
        "peak": peak,
        "loss": losses[0],
        "versions": {each: version(each) for each in installed(name)},
    }
    print(json.dumps(reported), file=answers, flush=True)
    for _ in sys.stdin:
        begin, busy = time.perf_counter(), time.process_time()
        step()
        seconds, busy = time.perf_counter() - begin, time.process_time() - busy
        reported = {"seconds": seconds, "cpu_seconds": busy, "bytes": memory(backend) - before}
        print(json.dumps(reported), file=answers, flush=True)


def memory(backend: str) -> int:
    """Return the most memory that was in use so far: of the GPU, or else of the process."""
    if backend == "torch":
        import torch  # pyright: ignore[reportMissingImports]  # the `parity` extra

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    if backend == "jax":
        import jax

        found = jax.devices()[0].memory_stats()
        if found:
            return found["peak_bytes_in_use"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def installed(name: str) -> list[str]:
    """Name the packages whose versions matter."""
    package, backend = CONTESTANTS[name]
    own = {"keras_attn": ["keras"], "keras_hub": ["keras", "keras-hub"], "transformers": ["transformers"]}
    return [*own[package], backend]


# ---- the race ----


def race(names: list[str], title: str, case: Case, repeats: int) -> dict[str, Any]:
    """Run steps of the contestants alternately."""
    environment = {**os.environ, "GOMP_SPINCOUNT": "3000", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    running, reported, peaks = {}, {}, {}
    times, busy = ({name: [] for name in names} for _ in range(2))
    for name in names:
        command = [sys.executable, __file__, "--child", name, "--case", json.dumps(asdict(case))]
        environment |= {"KERAS_BACKEND": CONTESTANTS[name][1]}
        running[name] = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        reported[name] = answer(name, running[name])
        print(f"{title} {name}: {json.dumps(reported[name])}", file=sys.stderr, flush=True)
    for _ in range(repeats):
        for name, process in running.items():
            print("step", file=process.stdin, flush=True)
            found = answer(name, process)
            times[name].append(found["seconds"])
            busy[name].append(found["cpu_seconds"])
            peaks[name] = found["bytes"]
    for process in running.values():
        process.stdin.close()
        process.wait()
    flops, best = theoretical(case), max(each["peak"] for each in reported.values())
    results = [
        {
            "contestant": name,
            "ms": 1000 * float(np.median(times[name])),
            "cpu_ms": 1000 * float(np.median(busy[name])),
            "ratios": np.percentile(np.array(times[name]) / np.array(times[names[0]]), (25, 50, 75)).tolist(),
            "tokens_per_second": case.tokens / float(np.median(times[name])),
            "flops_per_second": flops / float(np.median(times[name])),
            "share_of_peak": flops / float(np.median(times[name])) / best,
            "peak_bytes": peaks[name],
            **reported[name],
        }
        for name in names
    ]
    return {
        "case": title,
        **asdict(case),
        "flops": flops,
        "peak_flops": best,
        "cores": cores(),
        "results": results,
    }


def answer(name: str, process: Any) -> dict[str, Any]:
    """Read a contestant's answer."""
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{name} ended with {process.wait()}: its output is above")
    return json.loads(line)


def theoretical(case: Case) -> float:
    """Count a step's FLOPs in theory, as `keras-attn plan` does, without making the model."""
    from types import SimpleNamespace

    from keras_attn.planning.counting import training_flops

    sizes = {"hidden_dim": case.depth, "intermediate_dim": case.hidden, "vocabulary_size": case.vocabulary}
    if not case.places:
        kind = type("Transformer", (SimpleNamespace,), {})
        model = kind(**sizes, num_encoder_layers=case.layers, num_decoder_layers=case.layers)
        return training_flops(model, case.rows, case.length)
    backbone = SimpleNamespace(**sizes, num_layers=case.layers)
    return training_flops(SimpleNamespace(backbone=backbone, head=None), case.rows, case.length, case.places)


def show(found: dict[str, Any]) -> None:
    """Print one case's table."""
    title = f"{found['case']}: {found['rows']} × {found['length']} tokens, {found['precision']}; "
    title += f"{found['cores']} cores, {found['peak_flops'] / 1e9:.0f} GFLOP/s at best"
    table = Table(title=title, title_justify="left")
    for column in ("", "ms", "ms of CPU", "time by the first's", "tokens/s", "GFLOP/s", "of peak", "memory"):
        table.add_column(column, justify="right" if column else "left")
    for row in found["results"]:
        low, ratio, high = row["ratios"]
        table.add_row(
            row["contestant"],
            f"{row['ms']:.1f}",
            f"{row['cpu_ms']:.1f}",
            f"{ratio:.2f} ({low:.2f} to {high:.2f})",
            f"{row['tokens_per_second']:.0f}",
            f"{row['flops_per_second'] / 1e9:.1f}",
            f"{row['share_of_peak']:.0%}",
            f"{row['peak_bytes'] / 1e6:.0f} MB",
        )
    Console(width=120).print(table)


def main(
    cases: Annotated[
        str, typer.Option(help="Such as transformer-tiny,bert-base.")
    ] = "transformer-tiny,bert-base",
    contestants: Annotated[str, typer.Option(help="The others are compared with the first.")] = ",".join(
        CONTESTANTS
    ),
    repeats: Annotated[int, typer.Option(min=1, help="Steps of each.")] = 9,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of a batch.")] = None,
    length: Annotated[int | None, typer.Option(min=8, help="Tokens of a row.")] = None,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    output: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    child: Annotated[str | None, typer.Option(hidden=True)] = None,
    case: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Compare whole training steps."""
    if child:
        serve(child, Case(**json.loads(case)))
        return
    names = [name for name in contestants.split(",") if importlib.util.find_spec(CONTESTANTS[name][0])]
    every = []
    for title in cases.split(","):
        asked = {"rows": rows, "length": length, "precision": precision}
        chosen = replace(CASES[title], **{name: value for name, value in asked.items() if value is not None})
        every.append(race(names, title, chosen, repeats))
        show(every[-1])
    if output is not None:
        write_text(output, json.dumps(every, indent=1))


if __name__ == "__main__":
    typer.run(main)
