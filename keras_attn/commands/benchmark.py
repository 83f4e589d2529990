"""`keras-attn benchmark`: how fast a bundle is here, compared with the fastest this machine could be."""

from typing import Annotated

import typer

from keras_attn.commands.bundle_argument import BundleArgument
from keras_attn.commands.terminal.screen import JsonOption, console, print_json, print_title, table

EXAMPLES = """[bold]Examples[/bold]

  keras-attn benchmark runs/dates-int8

  keras-attn benchmark multi30k.zip --beam 5 --threads 2 --json

  keras-attn benchmark minilm-int8
"""


def benchmark(
    bundle: BundleArgument,
    beam: Annotated[
        int | None, typer.Option(min=1, help="Translators: beam size (default 1: greedy).")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="LANGUAGE", help="Translators of several languages: of the texts."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="LANGUAGE", help="Translators of several languages: of the translations."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Interpreter threads.")] = 1,
    sentences: Annotated[
        int, typer.Option(min=1, help="Use at most this many texts or examples of the proof.")
    ] = 32,
    repeats: Annotated[int, typer.Option(min=1, help="Measured rounds, after one warm-up round.")] = 3,
    json: JsonOption = False,
) -> None:
    """Measure latency, speed and peak memory on the proof's texts or arrays.

    The floor beside them is the time that this machine needs to read the weights once. An
    encoder, or a model of arrays, is measured at each of its lengths as well.
    """
    from keras_attn.device.benchmark import benchmark as measure
    from keras_attn.device.benchmark import named_figures

    figures = measure(
        bundle,
        threads=threads,
        beam=beam,
        repeats=repeats,
        sentences=sentences,
        source=source,
        target=target,
    )
    if json:
        print_json(figures)
        return
    shown = table("", "")
    for name, value in named_figures(figures):
        shown.add_row(name, value)
    print_title(str(bundle))
    console().print(shown)
