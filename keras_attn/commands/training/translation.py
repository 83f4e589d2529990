"""`keras-attn train`: from text to a run folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from keras_attn.commands.environment import keep_freed_memory
from keras_attn.commands.progress import DownloadBar, TrainingBar
from keras_attn.commands.screen import JsonOption
from keras_attn.commands.training.options import (
    DATA,
    HOW,
    MODEL,
    Accumulate,
    Backend,
    CheckpointEvery,
    Distribution,
    Dropout,
    Epochs,
    Evaluations,
    LabelSmoothing,
    LearningRate,
    Mesh,
    Output,
    Patience,
    Precision,
    Remat,
    Resume,
    Schedule,
    Seed,
    ShardOptimizer,
    Steps,
    VocabularySize,
    Warmup,
    run_and_tell,
    run_options_of,
    settings,
)

if TYPE_CHECKING:
    from keras_attn.training import TrainingResult
    from keras_attn.training.config.run_options import RunOptions

app = typer.Typer(help="Train a model.", no_args_is_help=True, rich_markup_mode="rich")

EXAMPLES = """[bold]Examples[/bold]

  keras-attn train translation --model rnnsearch --preset tiny --data dates --output runs/dates

  keras-attn train translation --train data/train --validation data/val \\
      --source-language en --target-language de --output runs/ende

  keras-attn train translation --model transformer --data multi30k:en-de --output runs/multi30k

  keras-attn train translation --data dates --output runs/dates --resume

  keras-attn train translation --model transformer --preset base --train data/train --validation data/val \\
      --source-language en --target-language de --output runs/ende \\
      --distribution model --mesh 4x2 --precision bfloat16
"""


@app.command(epilog=EXAMPLES)
def translation(
    output: Output,
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
    vocabulary_size: VocabularySize = None,
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
    dropout: Dropout = None,
    steps: Steps = None,
    epochs: Epochs = None,
    patience: Patience = None,
    evaluations: Evaluations = None,
    checkpoint_every: CheckpointEvery = 0,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Padded tokens per batch, of all devices.", rich_help_panel=HOW)
    ] = None,
    learning_rate: LearningRate = None,
    warmup: Warmup = None,
    schedule: Schedule = None,
    label_smoothing: LabelSmoothing = None,
    accumulate: Accumulate = None,
    precision: Precision = None,
    seed: Seed = None,
    bleu_tokenize: Annotated[
        str | None,
        typer.Option(help="sacreBLEU's tokenization; none for tokenized text.", rich_help_panel=HOW),
    ] = None,
    distribution: Distribution = "none",
    mesh: Mesh = None,
    shard_optimizer: ShardOptimizer = False,
    remat: Remat = False,
    backend: Backend = None,
    resume: Resume = False,
    json: JsonOption = False,
) -> None:
    """Train a translator and write a run folder.

    What is not given comes from a recipe for the model and the data. After an interruption the same command
    with --resume goes on exactly where the run stopped, on other devices if need be. SIGTERM saves, and exits
    with code 75.
    """
    options = locals()
    asked = settings(options)

    def run(bar):
        return train_run(asked, output, bar, resume=resume, run_options=run_options_of(options))

    run_and_tell(output, backend, json, run)


def train_run(
    asked: dict[str, Any],
    output: Path,
    bar: TrainingBar,
    *,
    resume: bool = False,
    run_options: "RunOptions | None" = None,
) -> "TrainingResult":
    """Train as asked; options that are None come from the recipe. The backend must be chosen before."""
    keep_freed_memory()
    from keras_attn.data import load_corpus
    from keras_attn.training import TranslationConfig, train_translation

    config = TranslationConfig.recommended(**asked)
    if config.data and config.data.startswith("multi30k"):
        with DownloadBar() as downloads:  # into the cache, where the training finds it
            load_corpus(config.data, progress=downloads)
    return train_translation(config, output, resume=resume, progress=bar, run_options=run_options)
