"""`keras-attn benchmark`: how fast a bundle is here, next to the machine's floor."""

from pathlib import Path
from typing import Annotated

import typer

from keras_attn.commands.screen import JsonOption, as_bytes, console, print_json, print_title, table

EXAMPLES = """[bold]Examples[/bold]

  keras-attn benchmark runs/dates-int8

  keras-attn benchmark multi30k.zip --beam 5 --threads 2 --json
"""


def benchmark(
    bundle: Annotated[Path, typer.Argument(help="Bundle: a folder or a .zip.")],
    beam: Annotated[int, typer.Option(min=1, help="Hypotheses kept; 1 is greedy.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the interpreter.")] = 1,
    sentences: Annotated[int, typer.Option(min=1, help="Most sentences of the proof to use.")] = 32,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds, after one that does not count.")] = 3,
    json: JsonOption = False,
) -> None:
    """Measure latency, tokens per second and peak memory on the proof's sentences."""
    from keras_attn.device.benchmark import benchmark as measure

    figures = measure(bundle, threads=threads, beam=beam, repeats=repeats, sentences=sentences)
    if json:
        print_json(figures)
        return
    peak, bandwidth = figures["peak_memory_bytes"], figures["bandwidth_bytes_per_second"]
    what = f"{figures['sentences']} sentences, beam {beam}, {figures['runtime']}"
    shown = table("", "")
    shown.add_row("latency", f"{figures['latency_ms']:.2f} ms per sentence, median")
    shown.add_row("", f"{figures['latency_p90_ms']:.2f} ms for the slowest tenth")
    shown.add_row("speed", f"{figures['tokens_per_second']:,.0f} tokens/s")
    shown.add_row("a token", f"{figures['ms_per_token']:.3f} ms")
    floor = f"{figures['floor_ms_per_token']:.3f} ms, reading the model once at {bandwidth / 1e9:.1f} GB/s"
    shown.add_row("its floor", floor)
    shown.add_row("peak memory", "not known on this system" if peak is None else as_bytes(peak))
    shown.add_row("model", f"{as_bytes(figures['file_bytes'])}, loaded in {figures['load_ms']:.0f} ms")
    print_title(f"{bundle}: {what}")
    console().print(shown)
