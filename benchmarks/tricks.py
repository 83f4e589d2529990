"""Measures each optimization of the lowered decoder: steps without it, alternating with the shipped step.

    python benchmarks/tricks.py --shapes tiny,bergamot,opus

Transformers of random weights, which change no time, in the shapes of `ctranslate2_decode.py`, as int8. Each
trick is undone by itself, by lowering the decoder with a plain version of what it replaces; a ratio is the
median over turns of the processor time of a step with the trick and of one without it. Below 1 it pays.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import contextlib
import io
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import numpy as np
import typer
from contestants.marian import BEAM, SHAPES, lower
from keras_attn_export.buckets import Bucket
from keras_attn_export.lowering import base as lowering
from keras_attn_export.lowering import transformer as lowering_transformer
from keras_attn_export.lowering import transformer_blocks as lowering_blocks
from keras_attn_export.tflite import convert
from rich.console import Console
from rich.table import Table

from keras_attn.commands.terminal.environment import quiet_logs
from keras_attn.device.runtime.interpreter import Model, Signature
from keras_attn.models import Transformer

SOURCE, TARGET, LONG = 24, 16, 64
SHIPPED = "as it ships"


def separate_projections(self: Any, x: Any, path: str, parts: Any) -> Any:
    """Project to queries, keys and values in a product each."""
    import tensorflow as tf

    return tf.concat([_PROJECT_FUSED(self, x, path, (part,)) for part in parts], -1)


def compare_as_product(query: Any, keys: Any) -> Any:
    """Score the rows of a step (H, R, dh), or (H, dh, 1) for one, against keys (H, dh, S) by a product."""
    import tensorflow as tf

    upright = query.shape[2] == 1
    return tf.matmul(tf.transpose(query, [0, 2, 1]) if upright else query, keys)  # (H, R, S)


def mix_as_product(shares: Any, values: Any) -> Any:
    """Sum values (H, dh, S) by shares (H, R, S) by a product: (H, R, dh), or (H, dh, 1) for one row."""
    import tensorflow as tf

    if shares.shape[1] == 1:
        return tf.matmul(values, shares, transpose_b=True)
    return tf.matmul(shares, values, transpose_b=True)


def attend_to_joined(query: Any, key: Any, value: Any, memories: Any) -> Any:
    """Attend to memories with the rows' own keys and values put at their end, which copies them."""
    import tensorflow as tf

    [(keys, values, bias)] = memories
    rows = bias.shape[0]
    if query.shape[2] != 1:
        key, value = (tf.transpose(each, [0, 2, 1]) for each in (key, value))  # (H, dh, R)
    itself = tf.constant((np.eye(rows, dtype=np.float32) - 1) * -lowering.MASKED)
    shares = tf.nn.softmax(
        lowering_blocks._compare_step(query, tf.concat([keys, key], -1)) + tf.concat([bias, itself], -1)
    )
    return lowering_blocks._mix_step(shares, tf.concat([values, value], -1))


def sort_all(logits: Any, count: int) -> tuple[Any, Any, Any]:
    """Find the best of logits (R, V) by one partial sort."""
    import tensorflow as tf

    values, tokens = tf.math.top_k(logits, count)
    return values, tokens, values[:, :1]


def all_log_probabilities(logits: Any, beams: int) -> dict[str, Any]:
    """Return the whole vocabulary's log-probabilities instead of its logits and one number."""
    import tensorflow as tf

    found = _SCORED(logits, beams)
    del found["normalizer"]
    return {**found, "scores": tf.nn.log_softmax(logits)}


def returned_caches(self: Any, source: int, target: int, attention: Any, shortlist: int = 0) -> Any:
    """Make the step of one row return its caches, with the new keys and values written."""
    import tensorflow as tf

    step = _STEP(self, source, target, attention, shortlist)
    if attention.beams > 1:
        return step

    def function(**inputs: Any) -> dict[str, Any]:
        outputs, place = step.function(**inputs), tf.one_hot(inputs["position"], target)  # (1, T)
        for name in [name for name in inputs if "_cache_" in name]:
            heads, size, _ = inputs[name].shape
            key, value = tf.split(outputs[f"row_{name[-2:]}"], 2, 1)
            added = tf.reshape(key if name.startswith("key") else value, [heads, size, 1])
            outputs[f"next_{name}"] = inputs[name] * (1 - place) + added * place
        return outputs

    return lowering.Signature(function, step.inputs)


_PROJECT_FUSED = lowering_blocks.Blocks.project_fused
_STEP = lowering_transformer.TransformerGraphs.step
_SCORED = lowering.scored
# What a trick is -> what is replaced to do without it, and the numbers of beams that it is for.
TRICKS: dict[str, tuple[list[tuple[Any, str, Any]], tuple[int, ...]]] = {
    "the host writes the caches in place; a step returns a row": (
        [(lowering_transformer.TransformerGraphs, "step", returned_caches)], (1,)),
    "past and present are attended apart": (
        [(lowering_transformer, "attend_to_memories", attend_to_joined)], (1, BEAM)),
    "one query's attention is products and sums": (
        [(lowering_blocks, "_compare_step", compare_as_product),
         (lowering_blocks, "_mix_step", mix_as_product)], (1,)),
    "query, key and value are one product": (
        [(lowering_blocks.Blocks, "project_fused", separate_projections)], (1, BEAM)),
    "logits and their log-sum-exp, not log-probabilities": (
        [(lowering, "scored", all_log_probabilities)], (1, BEAM)),
    "the best tokens in two stages": ([(lowering, "_top", sort_all)], (BEAM,)),
}  # fmt: skip


def file_of(folder: Path, what: str) -> Path:
    """Name the file of a recipe and a trick."""
    return folder / f"{what.replace(' ', '-').replace(',', '').replace(';', '')}.tflite"


def built(work: Path, shape: str, what: str) -> Path:
    """Convert, in a process of its own, what is missing; the converter does not give memory back."""
    file = file_of(work / shape, what)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        print(f"{shape}: converting {what}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--shapes", shape, "--work", str(work), "--child", what]
        subprocess.run(command, check=True)
    return file


def convert_without(shape: str, replaced: list[tuple[Any, str, Any]], file: Path, recipe: str) -> None:
    """Convert a translator of a shape with parts of its lowering replaced."""
    units, encoders, decoders, heads, hidden, vocabulary = SHAPES[shape]
    model = Transformer(
        vocabulary_size=vocabulary, hidden_dim=units, intermediate_dim=hidden, num_heads=heads,
        num_encoder_layers=encoders, num_decoder_layers=decoders, max_sequence_length=256, activation="swish",
    )  # fmt: skip

    def here(folder: Path) -> subprocess.CompletedProcess[str]:
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            status = convert.main(folder)
        return subprocess.CompletedProcess(["in this process"], status, "", errors.getvalue())

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(convert, "run_process", here))
        for owner, name, plain in replaced:
            stack.enter_context(mock.patch.object(owner, name, plain))
        lower(model, file, recipe, [Bucket(SOURCE, LONG, targets=(TARGET, LONG))], {"rows": [1, BEAM]})


def runner(file: Path, name: str) -> Callable[[], None]:
    """Open a step, with numbers in its inputs; return what runs it as a host does."""
    signature, rng = Model(file).signature(name), np.random.default_rng(0)
    for tensor, view in signature.inputs.items():
        if view.dtype == np.float32 and not tensor.endswith("_bias"):
            view[...] = rng.standard_normal(view.shape)

    def run(step: Signature = signature) -> None:
        step.run()
        for tensor in step.outputs:
            if tensor.startswith("next_"):
                step.inputs[tensor.removeprefix("next_")][...] = step.outputs[tensor]

    return run


def in_turns(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, np.ndarray]:
    """Run steps alternately; return the microseconds of each run."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            run()  # Its weights come back into the processor's caches, as they are after a step.
            worked = time.process_time()
            for _ in range(4):
                run()
            times[name].append(1e6 * (time.process_time() - worked) / 4)
    return {name: np.array(taken) for name, taken in times.items()}


def main(
    shapes: Annotated[str, typer.Option(help=f"Of {', '.join(SHAPES)}.")] = "tiny,bergamot",
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each step.")] = 60,
    work: Annotated[Path, typer.Option(help="Where the models are kept.")] = Path("runs/tricks"),
    child: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print what each trick is worth."""
    quiet_logs()
    if child:
        recipe, _, trick = child.partition(" ")
        convert_without(shapes, TRICKS.get(trick, ([], ()))[0], file_of(work / shapes, child), recipe)
        return
    packages = ", ".join(f"{name} {version(name)}" for name in ("ai-edge-litert", "tensorflow", "keras"))
    print(f"{packages}; {platform.machine()}, one thread; {SOURCE} source and {TARGET} target tokens")
    table = Table("trick")
    columns: list[dict[str, str]] = []
    for shape in shapes.split(","):
        files = {trick: built(work, shape, f"int8 {trick}") for trick in (SHIPPED, *TRICKS)}
        floats = built(work, shape, f"fp32 {SHIPPED}")
        for beam in (1, BEAM):
            table.add_column(f"{shape}, beam {beam}", justify="right")
            name = f"step_{SOURCE}_{TARGET}_{beam}"
            runs = {trick: runner(file, name) for trick, file in files.items() if _is_for(trick, beam)}
            runs["few cache slots first"] = runner(files[SHIPPED], f"step_{SOURCE}_{LONG}_{beam}")
            runs["8 bits"] = runner(floats, name)
            times = in_turns(runs, repeats)
            shipped = times.pop(SHIPPED)
            columns.append(
                {trick: f"{np.median(shipped / taken):.2f}" for trick, taken in times.items()}
                | {SHIPPED: f"{np.median(shipped):.0f} us"}
            )
    for trick in (SHIPPED, *TRICKS, "few cache slots first", "8 bits"):
        table.add_row(trick, *(column.get(trick, "") for column in columns))
    Console(width=130).print(table)


def _is_for(trick: str, beam: int) -> bool:
    return trick == SHIPPED or beam in TRICKS[trick][1]


if __name__ == "__main__":
    typer.run(main)
