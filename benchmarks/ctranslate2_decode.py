"""A translator's decoding on LiteRT next to CTranslate2 and Hugging Face, with the same weights.

    python benchmarks/ctranslate2_decode.py                              tiny and bergamot, greedy and beam 4
    python benchmarks/ctranslate2_decode.py --shapes opus --beams 1 --threads 1,2 --batches 1,16
    python benchmarks/ctranslate2_decode.py --shapes bergamot,opus --shortlist
    python benchmarks/ctranslate2_decode.py --shapes t5-small --threads 1,2

Models of random weights in the shape of MarianMT or T5 are written as a Hugging Face checkpoint, converted by
CTranslate2 to int8 and lowered by keras-attn to int8. All three translate the same made-up sentences into a
fixed number of tokens, encoding included; runs take turns, and a ratio is the median over pairs of ours and
CTranslate2's processor time. Below 1 ours took less. Several sentences at a time are decoded together, with a
file that has steps for that; the encoder reads one after the other. Peak memory is that of a process that
does nothing else; our weights were packed by an earlier one (`weight_cache`). The floor is the time in which
this machine reads the weights that a token needs once. With `--shortlist` ours and CTranslate2 also choose
among the words only of a random shortlist, the same for both. Needs the `parity` extra.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import json
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from contestants.marian import (
    BATCH_FILE,
    BEAM,
    CANDIDATES,
    CONTESTANTS,
    CTRANSLATE2,
    CTRANSLATE2_SHORT,
    FP32,
    MODEL_FILE,
    OURS,
    OURS_SHORT,
    SHAPES,
    SHORT,
    SHORT_FILE,
    SOURCE,
    THEIRS,
    THEIRS_SHORT,
    build,
    sentences,
)
from contestants.t5 import GATED
from rich.console import Console
from rich.table import Table

from keras_attn.commands.terminal.environment import quiet_logs
from keras_attn.device.files.atomic_write import write_text


def compare(
    folder: Path, names: list[str], beam: int, batch: int, threads: int, length: int, repeats: int
) -> dict[str, Any]:
    """Run contestants alternately; return processor and wall milliseconds, and the agreement of outputs."""
    opened = {name: CONTESTANTS[name](folder, threads, batch) for name in names}
    batches = [sentences(folder.name, batch, seed) for seed in range(4)]
    outputs = {name: [each.decode(batch, beam, length) for batch in batches] for name, each in opened.items()}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    wall: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        for name, each in opened.items():
            begun, worked = time.perf_counter(), time.process_time()
            each.decode(batches[turn % len(batches)], beam, length)
            cpu[name].append(1e3 * (time.process_time() - worked))
            wall[name].append(1e3 * (time.perf_counter() - begun))
    tokens = {name: np.array(found)[..., :length].ravel() for name, found in outputs.items()}
    rows = []
    for name in names:
        over_both = {peer: quartiles(cpu[name], cpu[peer]) for peer in (THEIRS, THEIRS_SHORT) if peer in cpu}
        same = FP32 in tokens and name not in SHORT
        rows.append(
            {
                "shape": folder.name, "beam": beam, "batch": batch, "threads": threads, "name": name,
                "cpu_ms": float(np.median(cpu[name])), "wall_ms": float(np.median(wall[name])),
                "ms_per_token": float(np.median(cpu[name])) / batch / length,
                "over": over_both,
                "same_tokens": float(np.mean(tokens[name] == tokens[FP32])) if same else None,
            }
        )  # fmt: skip
    return {"rows": rows}


def quartiles(times: list[float], others: list[float]) -> list[float]:
    """Return the quartiles of the ratios of times that were measured in turns."""
    return np.percentile(np.array(times) / np.array(others), (25, 50, 75)).tolist()


def peak_memory(folder: Path, name: str, beam: int, batch: int, length: int) -> float:
    """Translate a few sentences; return the most memory that this process held, in MiB."""
    opened = CONTESTANTS[name](folder, 1, batch)
    for seed in range(3):
        opened.decode(sentences(folder.name, batch, seed), beam, length)
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def reading_rate() -> float:
    """Measure how fast one thread reads memory, in bytes per second."""
    block = np.ones(1 << 24, np.uint64)
    times = []
    for _ in range(6):
        begun = time.process_time()
        block.max()
        times.append(time.process_time() - begun)
    return block.nbytes / min(times)


def bytes_per_token(shape: str) -> int:
    """Count the int8 weights that one greedy step reads."""
    units, _, layers, _, hidden, vocabulary = SHAPES[shape]
    products = 3 if shape in GATED else 2
    return layers * (6 * units**2 + products * units * hidden) + units * vocabulary


def file_size(path: Path) -> int:
    """Add up a file, or the files of a folder."""
    return path.stat().st_size if path.is_file() else sum(file_size(each) for each in path.iterdir())


def show(rows: list[dict[str, Any]], length: int, rate: float, backend: str) -> None:
    """Print what was measured."""
    names = ("ai-edge-litert", "ctranslate2", "transformers", "torch")
    print(", ".join(f"{name} {version(name)}" for name in names), f"on {platform.machine()}")
    print(f"CTranslate2: {backend}")
    print(f"{SOURCE} tokens in, {length} out; one thread reads {rate / 1e9:.1f} GB/s")
    table = Table()
    right = ("beam", "batch", "threads", "", "CPU ms", "wall ms", "ms per token", "over CTranslate2")
    for column in ("shape", *right):
        table.add_column(column, justify="left" if column in ("shape", "") else "right")
    restricted = any(row["name"] in SHORT for row in rows)
    if restricted:
        table.add_column("over CTranslate2 shortlist", justify="right")
        words = f"at most {CANDIDATES:,} words of a whole vocabulary can come"
        print(f"shortlist: {words} in a sentence, an easier task than the others'")
    table.add_column("tokens as fp32", justify="right")
    table.add_column("of the floor", justify="right")
    for row in rows:
        ratios = {
            peer: f"{middle:.2f} ({low:.2f}-{high:.2f})" for peer, (low, middle, high) in row["over"].items()
        }
        shortlisted = [ratios[THEIRS_SHORT] if row["name"] in SHORT else ""] if restricted else []
        floor = 1e3 * bytes_per_token(row["shape"]) / rate
        greedy = row["beam"] == row["batch"] == 1 and row["name"] in (OURS, THEIRS)
        table.add_row(
            row["shape"], *(str(row[key]) for key in ("beam", "batch", "threads")), row["name"],
            f"{row['cpu_ms']:.1f}", f"{row['wall_ms']:.1f}", f"{row['ms_per_token']:.3f}",
            ratios[THEIRS], *shortlisted,
            "" if row["same_tokens"] is None else f"{row['same_tokens']:.0%}",
            f"{floor / row['ms_per_token']:.0%}" if greedy else "",
        )  # fmt: skip
    Console(width=160).print(table)


def ctranslate2_backend(folder: Path) -> str:
    """Return what CTranslate2 logs about its matrix products when it opens a model."""
    verbose = {**os.environ, "CT2_VERBOSE": "1"}
    program = "import sys, ctranslate2; ctranslate2.Translator(sys.argv[1], compute_type='int8')"
    command = [sys.executable, "-c", program, str(folder / CTRANSLATE2)]
    output = subprocess.run(command, capture_output=True, text=True, env=verbose, check=True).stderr
    facts = [line.partition(" - ")[2] for line in output.splitlines() if "GEMM_S8" in line or "ISA" in line]
    return "; ".join(facts) or "an unknown backend"


def in_own_process(*arguments: str) -> Any:
    """Run this file with arguments; return the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(
    shapes: Annotated[str, typer.Option(help=f"Of {', '.join(SHAPES)}.")] = "tiny,bergamot",
    beams: Annotated[str, typer.Option(help="1 is greedy search.")] = f"1,{BEAM}",
    threads: Annotated[str, typer.Option(help="Threads of each contestant.")] = "1",
    batches: Annotated[str, typer.Option(help="Sentences at a time.")] = "1",
    length: Annotated[int, typer.Option(help="Tokens of every output.")] = 32,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 20,
    shortlist: Annotated[bool, typer.Option("--shortlist", help="Also with few words.")] = False,
    without: Annotated[str, typer.Option(help="Contestants to leave out.")] = "",
    work: Annotated[Path, typer.Option(help="Where the models are kept.")] = Path("runs/decode"),
    output: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    child: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print processor time, wall time, memory and sizes."""
    quiet_logs()
    left_out = [*without.split(","), *(() if shortlist else SHORT)]
    names = [name for name in CONTESTANTS if name not in left_out]
    if child:
        folder = work / shapes
        if child == "compare":
            sizes = (int(beams), int(batches), int(threads))
            print(json.dumps(compare(folder, names, *sizes, length, repeats)))
        else:
            print(json.dumps(peak_memory(folder, child, int(beams), int(batches), length)))
        return
    needed = {file for name in names for file in CONTESTANTS[name].needs}
    rows = []
    for shape in shapes.split(","):
        build(shape, work, needed if batches == "1" else {*needed, BATCH_FILE})
        for beam in beams.split(","):
            common = ["--shapes", shape, "--beams", beam, "--work", str(work), "--length", str(length)]
            for batch in batches.split(","):
                for count in threads.split(","):
                    more = ["--batches", batch, "--threads", count, "--repeats", str(repeats)]
                    which = ["--without", without, *(["--shortlist"] if shortlist else [])]
                    found = in_own_process(*common, *more, *which, "--child", "compare")
                    rows += found["rows"]
    backend = ctranslate2_backend(work / shapes.partition(",")[0])
    show(rows, length, reading_rate(), backend)
    for shape in shapes.split(","):
        for batch in batches.split(","):
            for name, file in (
                (OURS, MODEL_FILE if batch == "1" else BATCH_FILE),
                (OURS_SHORT, SHORT_FILE),
                (THEIRS, CTRANSLATE2),
                (THEIRS_SHORT, CTRANSLATE2_SHORT),
            ):
                if name not in names:
                    continue
                size = file_size(work / shape / file) / 1e6
                common = ["--shapes", shape, "--work", str(work), "--length", str(length), "--child", name]
                peaks = [
                    in_own_process(*common, "--beams", beam, "--batches", batch) for beam in beams.split(",")
                ]
                memory = ", ".join(
                    f"beam {beam} {peak:.0f} MiB" for beam, peak in zip(beams.split(","), peaks, strict=True)
                )
                print(f"{shape}, batch {batch}, {name}: file {size:.2f} MB, peak memory {memory}", flush=True)
    if output is not None:
        write_text(output, json.dumps(rows, indent=1))


if __name__ == "__main__":
    typer.run(main)
