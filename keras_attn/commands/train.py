"""`keras-attn train`: from text to a run folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from keras_attn.commands.environment import choose_backend, keep_freed_memory
from keras_attn.commands.progress import DownloadBar, TrainingBar
from keras_attn.commands.screen import JsonOption, note, print_json, stdout_for_json

if TYPE_CHECKING:
    from keras_attn.training import TrainingResult

app = typer.Typer(help="Train a model.", no_args_is_help=True, rich_markup_mode="rich")

EXAMPLES = """[bold]Examples[/bold]

  keras-attn train translation --model rnnsearch --preset tiny --data dates --output runs/dates

  keras-attn train translation --train data/train --validation data/val \\
      --source-language en --target-language de --output runs/ende

  keras-attn train translation --model transformer --data multi30k:en-de --output runs/multi30k

  keras-attn train translation --data dates --output runs/dates --resume
"""

DATA, MODEL, LENGTH, HOW = "Data", "Model", "How long", "How"
RESULT = ("folder", "steps", "chosen", "score", "seconds")


@app.command(epilog=EXAMPLES)
def translation(
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")],
    data: Annotated[
        str | None,
        typer.Option(help="dates, multi30k:en-de, a folder of train.*, or a .tsv.", rich_help_panel=DATA),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(help="PREFIX of PREFIX.en and PREFIX.de (or .gz), or a .tsv.", rich_help_panel=DATA),
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Prefix or .tsv of held-out pairs.", rich_help_panel=DATA)
    ] = None,
    source_language: Annotated[str | None, typer.Option(help="Such as en.", rich_help_panel=DATA)] = None,
    target_language: Annotated[str | None, typer.Option(help="Such as de.", rich_help_panel=DATA)] = None,
    vocabulary_size: Annotated[
        int | None, typer.Option(min=1, help="Pieces in the joint vocabulary.", rich_help_panel=DATA)
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=2, help="Leave longer pairs out.", rich_help_panel=DATA)
    ] = None,
    model: Annotated[
        Literal["rnnsearch", "transformer", "seq2seq"],
        typer.Option(help="Which model; seq2seq has no attention.", rich_help_panel=MODEL),
    ] = "rnnsearch",
    preset: Annotated[
        Literal["tiny", "small", "base"], typer.Option(help="Its size.", rich_help_panel=MODEL)
    ] = "tiny",
    dropout: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Share of units.", rich_help_panel=MODEL)
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates.", rich_help_panel=LENGTH)] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data.", rich_help_panel=LENGTH)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=0, help="Stop after so many evaluations without a gain.", rich_help_panel=LENGTH),
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(min=1, help="How often to evaluate and save.", rich_help_panel=LENGTH)
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Padded tokens per batch.", rich_help_panel=HOW)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="Peak of the schedule.", rich_help_panel=HOW)
    ] = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="Steps to the peak.", rich_help_panel=HOW)] = None,
    schedule: Annotated[
        Literal["linear", "inverse-square-root", "constant"] | None,
        typer.Option(help="Decay after the peak.", rich_help_panel=HOW),
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Share of the target.", rich_help_panel=HOW)
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Mixed precision, if not float32.", rich_help_panel=HOW),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides all random choices.", rich_help_panel=HOW)] = None,
    bleu_tokenize: Annotated[
        str | None,
        typer.Option(help="sacreBLEU's tokenization; none for tokenized text.", rich_help_panel=HOW),
    ] = None,
    backend: Annotated[
        Literal["jax", "tensorflow"] | None,
        typer.Option(help="What Keras computes with.", rich_help_panel=HOW),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where this run stopped.")] = False,
    json: JsonOption = False,
) -> None:
    """Train a translator and write a run folder.

    What is not given comes from a recipe for the model and the data. After an interruption the same command
    with --resume goes on exactly where the run stopped.
    """
    asked = dict(locals())
    for name in ("output", "backend", "resume", "json"):
        del asked[name]
    using = choose_backend(backend)
    with stdout_for_json(json) as stream, TrainingBar() as bar:
        bar.note(f"Keras on {using}")
        result = train_run(asked, output, bar, resume=resume)
        if json:
            print_json({name: getattr(result, name) for name in RESULT}, stream)
        else:
            score = f"validation score {result.score:.4g}"
            note(f"{output}: {result.steps} steps, weights of {result.chosen}, {score}")


def train_run(
    asked: dict[str, Any], output: Path, bar: TrainingBar, *, resume: bool = False
) -> "TrainingResult":
    """Train as asked; options that are None come from the recipe. The backend must be chosen before."""
    keep_freed_memory()
    from keras_attn.data import load_corpus
    from keras_attn.training import TranslationConfig, train_translation

    config = TranslationConfig.recommended(**asked)
    if config.data and config.data.startswith("multi30k"):
        with DownloadBar() as downloads:  # into the cache, where the training finds it
            load_corpus(config.data, progress=downloads)
    return train_translation(config, output, resume=resume, progress=bar)
