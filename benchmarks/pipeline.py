"""Measures the speed of batches without a model, and what a Transformer-tiny consumes.

    python benchmarks/pipeline.py                      all kinds, and the tiny model's own speed
    python benchmarks/pipeline.py --without-model      only batches

The text is made up: sentences of 4 to 30 words. Tokens are read from disk, mapped into memory, laid out and
handed over by the background thread, as in training.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from keras_attn.cli import run_script
from keras_attn.commands.terminal.environment import keep_freed_memory, quiet_logs
from keras_attn.data.batching.prefetch import prefetched

TIMES_THE_MODEL = 20  # what the pipeline must exceed
WORDS = 3000
KINDS = ("translation", "classification", "masked-lm", "causal-lm")


def sentences(count: int) -> list[str]:
    """Build sentences of made-up words, common ones more often."""
    rng = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(rng.choice(syllables, rng.integers(1, 5))) for _ in range(WORDS)]
    chances = 1 / np.arange(1, WORDS + 1)
    drawn = rng.choice(words, (count, 30), p=chances / chances.sum())
    return [" ".join(row[:length]) for row, length in zip(drawn, rng.integers(4, 31, count), strict=True)]


def write(folder: Path, count: int) -> None:
    """Write a parallel corpus, the same text as running text, and a labelled table."""
    texts = sentences(count)
    for split, lines in (("train", texts[100:]), ("validation", texts[:100])):
        for ending in ("en", "de", "txt"):
            (folder / f"{split}.{ending}").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        rows = [f"{line},{'long' if len(line) > 80 else 'short'}\n" for line in lines]
        (folder / f"{split}.csv").write_text("text,label\n" + "".join(rows), "utf-8")


def training(kind: str, folder: Path) -> Any:
    """Prepare a training as the command line would, up to its first step."""
    from keras_attn.training.config import CONFIGS
    from keras_attn.training.config.run_options import RunOptions
    from keras_attn.training.parallelism.devices import Devices
    from keras_attn.training.progress import Silent
    from keras_attn.training.tasks import training_class

    endings: dict[str, Any] = {"translation": "", "classification": ".csv"}
    files = {split: f"{folder / split}{endings.get(kind, '.txt')}" for split in ("train", "validation")}
    more: dict[str, Any] = {}
    if kind == "translation":
        more = {"model": "transformer", "source_language": "en", "target_language": "de", "bpe_dropout": 0.0}
    config = CONFIGS[kind].recommended(**files, **more)
    return training_class(kind)(config, folder / kind, Silent(), RunOptions(), Devices())


def epochs(made: Any) -> Iterator[Any]:
    """Yield batches forever, epoch by epoch."""
    while True:
        yield from made.batches()
        made.epoch += 1


def rate(made: Any, seconds: float, step: Any = None) -> dict[str, float]:
    """Count what comes in some seconds, after a first epoch; `step` eats each batch."""
    batches = prefetched(epochs(made))
    for _ in range(made.batches_per_epoch):
        batch = next(batches)
        if step is not None:
            step(batch)
    begin, examples, tokens = time.perf_counter(), 0, 0
    while time.perf_counter() - begin < seconds:
        batch = next(batches)
        if step is not None:
            step(batch)
        weights = batch.weights.reshape(batch.rows, -1)
        examples, tokens = examples + int(weights.any(axis=1).sum()), tokens + batch.tokens
    taken = time.perf_counter() - begin
    batches.close()
    return {"examples_per_second": round(examples / taken), "tokens_per_second": round(tokens / taken)}


def main(
    kinds: Annotated[
        str, typer.Option(help="Of trainings.")
    ] = "translation,classification,masked-lm,causal-lm",
    count: Annotated[int, typer.Option(min=1000, help="Sentences.")] = 5000,
    seconds: Annotated[float, typer.Option(help="To measure each.")] = 4.0,
    without_model: Annotated[bool, typer.Option("--without-model", help="Do not train.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure, and tell whether the pipeline keeps up with the tiny models."""
    quiet_logs()
    keep_freed_memory()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), count)
        for kind in kinds.split(","):
            made = training(kind, Path(name))
            found[kind] = {"pipeline": rate(made, seconds)}
            if not without_model:

                def step(batch, made=made):
                    made.task.train_on_batch(batch.inputs, batch.targets, sample_weight=batch.weights)

                found[kind]["model"] = rate(made, seconds, step)
                speeds = [found[kind][of]["examples_per_second"] for of in ("pipeline", "model")]
                found[kind]["times_the_model"] = round(speeds[0] / speeds[1], 1)
    if as_json:
        print(json.dumps(found))
        return
    shown = Table(
        "", "examples/s", "tokens/s", "tiny model, examples/s", "times", title="Batches without a model"
    )
    for kind, figures in found.items():
        model = figures.get("model", {}).get("examples_per_second", "")
        row = figures["pipeline"]["examples_per_second"], figures["pipeline"]["tokens_per_second"], model
        shown.add_row(kind, *map(str, row), str(figures.get("times_the_model", "")))
    Console().print(shown)
    if any(figures.get("times_the_model", TIMES_THE_MODEL) < TIMES_THE_MODEL for figures in found.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    run_script(main)
