"""`keras-attn run`: texts through a bundle, on LiteRT."""

from pathlib import Path
from typing import Annotated

import typer

from keras_attn.commands.screen import JsonOption, note

EXAMPLES = """[bold]Examples[/bold]

  keras-attn run runs/dates-int8 "5 juin 2018" "Dienstag, 5. Juni 2018"

  keras-attn run multi30k.zip "Two dogs play in the snow." --beam 5 --json

  keras-attn run news-int8 "Stocks fell on Monday." --json

  keras-attn run follows-int8 "The cat sat down." --pair "Then it slept."

  keras-attn run e5-int8 "how to bake bread" --prompt query --json

  keras-attn run words-int8 "The capital of France is [MASK]." --top 3

  keras-attn run stories-int8 "Once upon a time" --temperature 0.8 --top-p 0.9 --stream

  keras-attn run runs/enja-int8 --beam 5 - < sentences.txt > translations.txt
"""


def run(
    bundle: Annotated[Path, typer.Argument(help="Bundle: a folder or a .zip.")],
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Texts, or - for the lines of standard input.")
    ],
    beam: Annotated[
        int | None, typer.Option(min=1, help="Hypotheses kept; 1, the default, is greedy.")
    ] = None,
    n_best: Annotated[int | None, typer.Option(min=1, help="Translations to print, at most --beam.")] = None,
    max_length: Annotated[int | None, typer.Option(min=1, help="Most tokens to produce.")] = None,
    length_penalty: Annotated[float | None, typer.Option(min=0, help="Exponent of the length.")] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Draw how a text goes on; 0, the default, takes the best.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw from so many best tokens.")] = None,
    top_p: Annotated[
        float | None, typer.Option(max=1, help="Draw from the best tokens with this much probability.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draw the same again.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print what goes on as it comes.")] = False,
    pair: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Second text, for classifiers of pairs.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="NAME", help="Prompt to write before texts to embed, by its name.")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Words to print for each mask.")] = None,
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate", help="Of texts that are too long, read the beginning; of prompts, the end."
        ),
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the interpreter.")] = 1,
    weight_cache: Annotated[
        Path | None, typer.Option(help="Folder to keep a large model's packed weights in.")
    ] = None,
    whole_vocabulary: Annotated[
        bool, typer.Option("--whole-vocabulary", help="Score all tokens, where the bundle has a shortlist.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Translate, continue, classify or embed texts, or fill their masks, on the device runtime.

    This loads neither Keras nor TensorFlow; python -m keras_attn.device does the same on a device.
    """
    if stream and json:
        raise typer.BadParameter("--stream prints text as it comes, which --json cannot")
    if (n_best or 1) > (beam or 1):
        raise typer.BadParameter(f"--n-best {n_best} needs a --beam of at least {n_best}")
    from keras_attn import device
    from keras_attn.device.errors import InputError
    from keras_attn.device.printing import print_answers

    options = {
        "beam": beam,
        "n_best": n_best,
        "max_length": max_length,
        "length_penalty": length_penalty,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
        "pair": pair,
        "prompt": prompt,
        "top": top,
        "truncate": truncate or None,
    }
    loaded = device.load(bundle, threads, weight_cache, whole_vocabulary)
    try:
        refused = print_answers(
            loaded,
            options,
            texts,
            stream=stream,
            as_json=json,
            complain=lambda line: note(f"keras-attn: {line}"),
        )
    except InputError:
        raise
    except ValueError as error:  # an option that is out of range
        raise typer.BadParameter(str(error)) from error
    if refused:
        raise typer.Exit(2)
