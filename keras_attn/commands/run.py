"""`keras-attn run`: texts or arrays through a bundle, on LiteRT."""

import inspect
from typing import Annotated, Any

import typer

from keras_attn.commands.bundle_argument import BundleArgument
from keras_attn.commands.terminal.screen import note
from keras_attn.device.run_options import OPTIONS, Option

EXAMPLES = """[bold]Examples[/bold]

  keras-attn run dates "5 juin 2018" "Dienstag, 5. Juni 2018"

  keras-attn run multi30k.zip "Two dogs play in the snow." --beam 5 --json

  keras-attn run news-int8 "Stocks fell on Monday." --json

  keras-attn run follows-int8 "The cat sat down." --pair "Then it slept."

  keras-attn run names-int8 "Anna met Bob in Paris." --json

  keras-attn run squad-int8 "Where did they meet?" --pair "Anna met Bob in Paris."

  keras-attn run reranker-int8 "capital of France" --pair "Paris is the capital of France."

  keras-attn run mnli-int8 "The team won again." --candidates sport,politics,weather

  keras-attn run e5-int8 "how to bake bread" --prompt query --json

  keras-attn run nomic-int8 "search_query: how to bake bread" --dimensions 256 --json

  keras-attn run words-int8 "The capital of France is [MASK]." --top 3

  keras-attn run stories-int8 "Once upon a time" --temperature 0.8 --top-p 0.9 --stream

  keras-attn run sensor-int8 '{"signal": [[0.1, 0.3, 0.2]]}' --json

  keras-attn run pictures-int8 pictures.npz --output scores.npz

  keras-attn run runs/enja-int8 --beam 5 - < sentences.txt > translations.txt
"""


def run(
    bundle: BundleArgument,
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...",
            help="Texts, or - for the lines of standard input; for a model of arrays JSON, or .npz or .npy "
            "files.",
        ),
    ],
    **options: Any,
) -> None:
    """Answer texts, or predict from arrays, on the device runtime.

    This loads neither Keras nor TensorFlow; python -m keras_attn.device does the same on a device.
    """
    from keras_attn.device.printing import run_bundle

    raise typer.Exit(run_bundle(bundle, texts, options, lambda line: note(f"keras-attn: {line}")))


def _parameter(option: Option) -> inspect.Parameter:
    """Return an option as a parameter that Typer reads."""
    given: dict[str, Any] = {"help": option.help, "metavar": option.metavar}
    kind: Any = option.kind if option.kind is bool or option.default is not None else option.kind | None
    default = False if option.kind is bool else option.default
    annotation = Annotated[kind, typer.Option(option.flag, **given)]
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


_ARGUMENTS = list(inspect.signature(run).parameters.values())[:2]
run.__signature__ = inspect.Signature([*_ARGUMENTS, *map(_parameter, OPTIONS)])  # pyright: ignore[reportFunctionMemberAccess]
