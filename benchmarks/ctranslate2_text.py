"""A trained translator next to CTranslate2: text in, text out, every output as long as it gets.

    python benchmarks/ctranslate2_text.py runs/multi30k --test data/test_2016_flickr.lc.norm.tok

The run's weights are exported to bundles and written for CTranslate2, in int8 and in fp32. First all four
translate all texts, for BLEU; then the int8 ones take turns with a few texts each, tokenizers included,
and a ratio is the median over turns of ours and CTranslate2's processor time. Of a longer list both decode
16 texts at a time, ours with a bundle that has steps for that. Needs the `parity` extra.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from contestants import ct2_files
from keras_attn_export import export
from rich.console import Console
from rich.table import Table

from keras_attn import device
from keras_attn.commands.terminal.environment import quiet_logs
from keras_attn.data import load_corpus
from keras_attn.data.readers.parallel import read_pairs
from keras_attn.device.files.atomic_write import write_text
from keras_attn.device.tasks.translator import Translator, default_max_length
from keras_attn.scores.bleu import corpus_scores
from keras_attn.training.run_folder import load_run

PRECISIONS = ("int8", "fp32")
OURS, THEIRS = "keras-attn", "CTranslate2"
TOGETHER = 16


class Ours:
    """A bundle on the device's runtime, and one with steps for batches."""

    def __init__(self, single: Path, together: Path | None, threads: int):
        self.single = _translator(single, threads)
        self.together = self.single if together is None else _translator(together, threads)

    def translate(self, texts: list[str], beam: int) -> list[str]:
        """Translate texts."""
        translator = self.single if len(texts) == 1 else self.together
        return [each.text for each in translator.translate(texts, beam=beam)]


def _translator(bundle: Path, threads: int) -> Translator:
    found = device.load(bundle, threads=threads)
    assert isinstance(found, Translator)
    return found


def build(run_folder: Path, work: Path, threads: int) -> dict[str, Any]:
    """Export and convert what is missing; open all contestants."""
    run, opened = load_run(run_folder), {}

    def exported(name: str, recipe: str, batch: int | None = None) -> Path:
        if not (work / name).exists():
            export(run, work / name, recipe, batch=batch, metric_sentences=50)
        return work / name

    for precision in PRECISIONS:
        single = exported(f"bundle-{precision}", precision)
        together = exported("bundle-int8-batch", precision, TOGETHER) if precision == "int8" else None
        ours = opened[f"{OURS} {precision}"] = Ours(single, together, threads)
        compute = "int8" if precision == "int8" else "float32"
        folder = work / f"ctranslate2-{precision}"
        if not folder.exists():
            ct2_files.write(run, folder, compute)
        tokenizer = ours.single.tokenizer
        opened[f"{THEIRS} {precision}"] = ct2_files.Translator(
            folder, tokenizer, default_max_length, threads, compute, TOGETHER
        )
    return opened


def turns(opened: dict[str, Any], texts: list[str], beam: int, batch: int, repeats: int) -> dict[str, Any]:
    """Run the int8 contestants alternately on the same texts; return milliseconds per text and the ratio."""
    names = [f"{OURS} int8", f"{THEIRS} int8"]
    cpu: dict[str, list[float]] = {name: [] for name in names}
    wall: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        chosen = [texts[(turn * batch + i) % len(texts)] for i in range(batch)]
        for name in names:
            begun, worked = time.perf_counter(), time.process_time()
            opened[name].translate(chosen, beam)
            cpu[name].append(1e3 * (time.process_time() - worked) / batch)
            wall[name].append(1e3 * (time.perf_counter() - begun) / batch)
    ratio = np.array(cpu[names[0]]) / np.array(cpu[names[1]])
    return {
        "beam": beam,
        "batch": batch,
        "cpu_ms": [float(np.median(cpu[name])) for name in names],
        "wall_ms": [float(np.median(wall[name])) for name in names],
        "ratio": np.percentile(ratio, (25, 50, 75)).tolist(),
        "ratio_of_sums": sum(cpu[names[0]]) / sum(cpu[names[1]]),
    }


def main(
    run: Annotated[Path, typer.Argument(help="Run folder of a trained Transformer.")],
    test: Annotated[str | None, typer.Option(help="PREFIX of held-out text; default: the corpus'.")] = None,
    data: Annotated[str, typer.Option(help="A corpus, of which the test split is taken.")] = "multi30k:en-de",
    beams: Annotated[str, typer.Option(help="1 is greedy search.")] = "1,5",
    batches: Annotated[str, typer.Option(help="Texts that are given as a list.")] = "1,16,128",
    threads: Annotated[int, typer.Option(help="Threads of each contestant.")] = 1,
    repeats: Annotated[int, typer.Option(help="Turns of each.")] = 200,
    work: Annotated[Path, typer.Option(help="Where the models are kept.")] = Path("runs/natural"),
    output: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
) -> None:
    """Print BLEU, milliseconds and ratios."""
    quiet_logs()
    opened = build(run, work, threads)
    languages = load_run(run).config["languages"]
    pairs = read_pairs(test, languages["source"], languages["target"]) if test else load_corpus(data).test
    texts, references = [source for source, _ in pairs], [target for _, target in pairs]
    packages = ", ".join(f"{name} {version(name)}" for name in ("ai-edge-litert", "ctranslate2"))
    print(f"{packages}; {platform.machine()}, {threads} thread(s); {len(texts)} texts")
    figures: dict[str, Any] = {"bleu": {}, "turns": []}
    tokenize = load_run(run).bleu_tokenize
    for beam in map(int, beams.split(",")):
        for name, each in opened.items():
            hypotheses = [one for text in texts for one in each.translate([text], beam)]
            bleu = corpus_scores(hypotheses, references, tokenize)["bleu"]
            figures["bleu"][f"{name}, beam {beam}"] = bleu
            print(f"{name:18} beam {beam}: BLEU {bleu:.2f}", flush=True)
    table = Table()
    for column in ("beam", "texts in a list", f"{OURS} ms", f"{THEIRS} ms", "ratio (quartiles)", "of sums"):
        table.add_column(column, justify="right")
    for beam in map(int, beams.split(",")):
        for batch in map(int, batches.split(",")):
            row = turns(opened, texts, beam, batch, max(repeats // batch, 9))
            figures["turns"].append(row)
            low, middle, high = row["ratio"]
            table.add_row(
                str(beam), str(batch), *(f"{ms:.2f}" for ms in row["cpu_ms"]),
                f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{row['ratio_of_sums']:.2f}",
            )  # fmt: skip
    Console(width=110).print(table)
    if output is not None:
        write_text(output, json.dumps(figures, indent=1))


if __name__ == "__main__":
    typer.run(main)
