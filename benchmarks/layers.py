"""Measures the transformer blocks against KerasHub's, with the same shapes and weights.

    python benchmarks/layers.py                       both backends, all sizes (a quarter of an hour)
    python benchmarks/layers.py --backends jax --sizes tiny --lengths 32,128

Both layers run in one process, in turns; a ratio below 1 means that ours took less time. Needs keras-hub.
"""

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from contestants.steps import cores, gemm_peak
from rich.console import Console
from rich.table import Table

from keras_attn.commands.terminal.environment import keep_freed_memory, quiet_logs
from keras_attn.device.files.atomic_write import write_text

SIZES = {"tiny": (128, 4, 512), "base": (768, 12, 3072)}  # depth, heads, hidden size of the feed-forward net
TOKENS = {"tiny": 4096, "base": 1024}  # in a batch
DROPOUT = 0.1


def flops(depth: int, hidden: int, tokens: int, length: int, train: bool) -> float:
    """Count what an encoder block multiplies and adds; a backward pass does it twice more."""
    forward = 2 * tokens * (4 * depth**2 + 2 * depth * hidden) + 4 * tokens * length * depth
    return forward * (3 if train else 1)


def block(package: Any, kind: str, heads: int, hidden: int) -> Any:
    """Build a block of either package."""
    make = package.TransformerEncoder if kind == "encoder" else package.TransformerDecoder
    return make(hidden, heads, dropout=DROPOUT, activation="gelu")


def jax_step(layer: Any, x: Any, masks: dict[str, Any], train: bool) -> Any:
    """Compile one step: gradients for training, outputs for inference; call the result to run it."""
    import jax

    def forward(weights, state, x):
        return layer.stateless_call(weights, state, x, training=train, **masks)

    def loss(weights, state, x):
        outputs, state = forward(weights, state, x)
        return (outputs**2).sum(), state

    step = jax.jit(jax.grad(loss, argnums=(0, 2), has_aux=True) if train else forward)
    weights = [v.value for v in layer.trainable_variables]
    held = [v.value for v in layer.non_trainable_variables]
    x = jax.numpy.asarray(x)

    def run():
        found, held[:] = step(weights, held, x)
        return jax.block_until_ready(found)

    return run


def tensorflow_step(layer: Any, x: Any, masks: dict[str, Any], train: bool) -> Any:
    """Compile one step with XLA; call the result to run it."""
    import tensorflow as tf

    tensor = tf.constant(x)
    variables = [v.value for v in layer.trainable_variables]

    @tf.function(jit_compile=True)
    def step():
        if not train:
            return layer(tensor, training=False, **masks)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            loss = tf.reduce_sum(layer(tensor, training=True, **masks) ** 2)
        return tape.gradient(loss, [tensor, *variables])

    return step  # on a CPU it returns when it is done


def clock(run: Any) -> float:
    """Time one call, in seconds."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def measure(backend: str, sizes: list[str], lengths: list[int], repeats: int) -> dict[str, Any]:
    """Measure all cases with one backend."""
    import keras
    import keras_hub  # pyright: ignore[reportMissingImports]  # the `parity` extra

    from keras_attn import layers

    compile_step = jax_step if backend == "jax" else tensorflow_step
    rows, peak = [], gemm_peak(backend, "float32")
    for size in sizes:
        depth, heads, hidden = SIZES[size]
        for length in lengths:
            batch = max(1, TOKENS[size] // length)
            x = np.random.default_rng(0).normal(size=(batch, length, depth)).astype(np.float32)
            mask = np.arange(length)[None] < length - np.arange(batch)[:, None] % (length // 4)
            for kind in ("encoder", "decoder"):
                masks = {"padding_mask" if kind == "encoder" else "decoder_padding_mask": mask}
                ours, theirs = (block(each, kind, heads, hidden) for each in (layers, keras_hub.layers))
                for layer in (ours, theirs):
                    layer.build(x.shape)
                ours.set_weights(theirs.get_weights())
                for train in (True, False):
                    runs = [compile_step(layer, x, masks, train) for layer in (ours, theirs)]
                    for run in runs:
                        clock(run)
                        clock(run)
                    times = np.array([[clock(run) for run in runs] for _ in range(repeats)])
                    ratio = times[:, 0] / times[:, 1]
                    best = float(np.median(times[:, 0]))
                    rate = flops(depth, hidden, batch * length, length, train) / best
                    rows.append(
                        {
                            "size": size,
                            "block": kind,
                            "shape": list(x.shape),
                            "what": "training" if train else "inference",
                            "ours_ms": 1000 * best,
                            "keras_hub_ms": 1000 * float(np.median(times[:, 1])),
                            "ratio": float(np.median(ratio)),
                            "quartiles": np.percentile(ratio, (25, 75)).tolist(),
                            "share_of_peak": rate / peak,
                        }
                    )
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    names = ("keras", "keras-hub", "jax" if backend == "jax" else "tensorflow")
    return {
        "backend": keras.backend.backend(),
        "versions": {name: version(name) for name in names},
        "machine": platform.machine(),
        "cores": cores(),
        "peak_gflops": peak / 1e9,
        "dropout": DROPOUT,
        "repeats": repeats,
        "rows": rows,
    }


def show(found: dict[str, Any]) -> None:
    """Print one backend's table."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    title = f"{versions}; {found['cores']} cores, {found['peak_gflops']:.0f} GFLOP/s at best; median of "
    table = Table(title=title + f"{found['repeats']} pairs, dropout {found['dropout']}", title_justify="left")
    for column in ("block", "shape", "", "ours, ms", "KerasHub, ms", "ratio (quartiles)", "of peak"):
        table.add_column(column, justify="left" if column in ("block", "shape", "") else "right")
    for row in found["rows"]:
        low, high = row["quartiles"]
        table.add_row(
            f"{row['size']} {row['block']}",
            "×".join(map(str, row["shape"])),
            row["what"],
            f"{row['ours_ms']:.1f}",
            f"{row['keras_hub_ms']:.1f}",
            f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})",
            f"{row['share_of_peak']:.0%}",
        )
    Console(width=130).print(table)
    for what in ("training", "inference"):
        ratios = [row["ratio"] for row in found["rows"] if row["what"] == what]
        print(f"{what}: median ratio {np.median(ratios):.2f}, largest {max(ratios):.2f}")


def main(
    backends: Annotated[str, typer.Option(help="Such as jax,tensorflow.")] = "jax,tensorflow",
    sizes: Annotated[str, typer.Option(help="Such as tiny,base.")] = "tiny,base",
    lengths: Annotated[str, typer.Option(help="Such as 32,128,512.")] = "32,128,512",
    repeats: Annotated[int, typer.Option(min=1)] = 9,
    output: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    child: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Compare the blocks with KerasHub's."""
    if child:
        quiet_logs()
        keep_freed_memory()
        found = measure(backends, sizes.split(","), [int(n) for n in lengths.split(",")], repeats)
        print(json.dumps(found))
        return
    every = []
    for backend in backends.split(","):
        command = [sys.executable, __file__, "--child", "--backends", backend, "--sizes", sizes]
        command += ["--lengths", lengths, "--repeats", str(repeats)]
        environment = {**os.environ, "KERAS_BACKEND": backend}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        every.append(json.loads(done.stdout.splitlines()[-1]))
        show(every[-1])
    if output is not None:
        write_text(output, json.dumps(every, indent=1))


if __name__ == "__main__":
    typer.run(main)
