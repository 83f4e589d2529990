"""Time and memory of BigBird's block-sparse attention next to dense attention, on JAX.

    python benchmarks/bigbird.py --length 4096 --repeats 5

Dense attention at LENGTH, Keras' and ours, and sparse attention at half of it, at LENGTH and at twice as
much, take turns in one run, so that whatever else the machine does meets all of them. The seconds are
medians: of the clock, and in parentheses of the processor, which other programs on the same cores disturb
less.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import statistics
import time
from typing import Annotated

import jax
import keras
import numpy as np
import typer

from keras_attn.commands.terminal.environment import keep_freed_memory
from keras_attn.layers import BigBirdAttention, MultiHeadAttention


def compiled(kind: str, length: int, hidden: int, heads: int, batch: int, training: bool):
    """Compile a layer's forward pass, or the gradients of a loss: a callable and its peak bytes."""
    shape = (batch, length, hidden)
    if kind == "sparse":
        layer = BigBirdAttention(heads, hidden // heads)
        layer.build(shape)
    else:
        dense = keras.layers.MultiHeadAttention if kind == "keras" else MultiHeadAttention
        layer = dense(heads, hidden // heads)
        layer.build(shape, shape)
    weights = [v.value for v in layer.trainable_variables]
    constants = [v.value for v in layer.non_trainable_variables]

    def forward(weights, x):
        inputs = (x,) if kind == "sparse" else (x, x)
        return layer.stateless_call(weights, constants, *inputs)[0]

    def gradients(weights, x):
        return jax.grad(lambda *args: (forward(*args) ** 2).mean(), argnums=(0, 1))(weights, x)

    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    program = jax.jit(gradients if training else forward).lower(weights, x).compile()
    memory = program.memory_analysis()
    assert memory is not None, "this backend does not tell how much memory a program needs"
    return lambda: jax.block_until_ready(program(weights, x)), (
        memory.temp_size_in_bytes + memory.output_size_in_bytes
    )


def main(
    length: Annotated[int, typer.Option(help="Tokens at which dense and sparse attention meet.")] = 4096,
    hidden: Annotated[int, typer.Option(help="Size of the hidden states.")] = 768,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = 12,
    batch: Annotated[int, typer.Option(help="Sequences.")] = 1,
    repeats: Annotated[int, typer.Option(help="Turns after one to warm up.")] = 5,
) -> None:
    """Compare block-sparse with dense attention, forward and with gradients."""
    keep_freed_memory()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    typer.echo(
        f"jax {jax.__version__}, keras {keras.__version__}, {jax.default_backend()}, {threads} threads"
    )
    typer.echo(f"batch {batch}, hidden {hidden}, heads {heads}, block 64, random blocks 3, float32")
    lengths = (length, length // 2, 2 * length)
    cases = [("keras", length), ("dense", length), *(("sparse", each) for each in lengths)]
    for training in (False, True):
        runs = {case: compiled(*case, hidden, heads, batch, training) for case in cases}
        clock: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
        processor: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
        for turn in range(repeats + 1):
            for case, (run, _) in runs.items():
                start, start_processor = time.perf_counter(), time.process_time()
                run()
                if turn:
                    clock[case].append(time.perf_counter() - start)
                    processor[case].append(time.process_time() - start_processor)
        typer.echo("gradients" if training else "forward")
        took = {case: statistics.median(times) for case, times in clock.items()}
        worked = {case: statistics.median(times) for case, times in processor.items()}
        for case, (_, size) in runs.items():
            times = f"{took[case]:8.3f} s ({worked[case]:8.3f} s)"
            typer.echo(f"  {case[0]:6} {case[1]:6} tokens  {times}  {size / 2**20:6.0f} MiB")
        *denses, sparse, half, double = cases
        for dense in denses:
            typer.echo(
                f"  sparse / {dense[0]}: {took[sparse] / took[dense]:.2f} "
                f"({worked[sparse] / worked[dense]:.2f}) of the time, "
                f"{runs[sparse][1] / runs[dense][1]:.2f} of the memory"
            )
        for shorter, longer in ((half, sparse), (sparse, double)):
            typer.echo(
                f"  from {shorter[1]} to {longer[1]} tokens: {took[longer] / took[shorter]:.2f} "
                f"({worked[longer] / worked[shorter]:.2f}) times the time"
            )


if __name__ == "__main__":
    typer.run(main)
