"""What the commands of `keras-attn train` share: their options, and telling what came out."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from keras_attn.commands.environment import choose_backend
from keras_attn.commands.progress import TrainingBar
from keras_attn.commands.screen import note, print_json, stdout_for_json

if TYPE_CHECKING:
    from keras_attn.training import TrainingResult
    from keras_attn.training.config.run_options import RunOptions

DATA, MODEL, LENGTH, HOW, DEVICES = "Data", "Model", "How long", "How", "Devices"
RESULT = ("folder", "steps", "chosen", "score", "seconds")
CONDITIONS = ("distribution", "mesh", "shard_optimizer", "remat", "checkpoint_every")
NOT_SETTINGS = ("output", "backend", "resume", "json", *CONDITIONS)

Output = Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")]
Dropout = Annotated[
    float | None, typer.Option(min=0, max=0.99, help="Share of units.", rich_help_panel=MODEL)
]
VocabularySize = Annotated[
    int | None, typer.Option(min=1, help="Pieces in the vocabulary.", rich_help_panel=DATA)
]
Steps = Annotated[int | None, typer.Option(min=1, help="Updates.", rich_help_panel=LENGTH)]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the data.", rich_help_panel=LENGTH)]
Patience = Annotated[
    int | None,
    typer.Option(min=0, help="Stop after so many evaluations without a gain.", rich_help_panel=LENGTH),
]
Evaluations = Annotated[
    int | None, typer.Option(min=1, help="How often to evaluate and save.", rich_help_panel=LENGTH)
]
LearningRate = Annotated[float | None, typer.Option(min=0, help="Peak of the schedule.", rich_help_panel=HOW)]
Warmup = Annotated[int | None, typer.Option(min=0, help="Steps to the peak.", rich_help_panel=HOW)]
Schedule = Annotated[
    Literal["linear", "inverse-square-root", "constant"] | None,
    typer.Option(help="Decay after the peak.", rich_help_panel=HOW),
]
LabelSmoothing = Annotated[
    float | None, typer.Option(min=0, max=0.99, help="Share of the target.", rich_help_panel=HOW)
]
Precision = Annotated[
    Literal["float32", "bfloat16", "float16"] | None,
    typer.Option(help="Mixed precision, if not float32.", rich_help_panel=HOW),
]
Seed = Annotated[int | None, typer.Option(help="Decides all random choices.", rich_help_panel=HOW)]
Accumulate = Annotated[
    int | None,
    typer.Option(min=1, help="Parts of a batch, one after another, to spare memory.", rich_help_panel=HOW),
]
Distribution = Annotated[
    Literal["none", "data", "model"],
    typer.Option(help="One device; or all, sharing the batch, or the model too.", rich_help_panel=DEVICES),
]
Mesh = Annotated[
    str | None,
    typer.Option(
        metavar="4x2", help="Devices along batch and model; all along batch.", rich_help_panel=DEVICES
    ),
]
ShardOptimizer = Annotated[
    bool,
    typer.Option("--shard-optimizer", help="Share the optimizer's state out, too.", rich_help_panel=DEVICES),
]
Remat = Annotated[
    bool,
    typer.Option("--remat", help="Compute activations twice, to spare memory.", rich_help_panel=DEVICES),
]
CheckpointEvery = Annotated[
    int,
    typer.Option(min=0, help="Steps between checkpoints; at evaluations anyway.", rich_help_panel=LENGTH),
]
Backend = Annotated[
    Literal["jax", "tensorflow"] | None,
    typer.Option(help="What Keras computes with.", rich_help_panel=HOW),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where this run stopped.")]


def settings(options: dict) -> dict:
    """Give the options of a command that are settings of its training."""
    return {name: value for name, value in options.items() if name not in NOT_SETTINGS}


def run_options_of(options: dict) -> "RunOptions":
    """Give the conditions among the options of a command, once the backend is chosen."""
    from keras_attn.training.config.run_options import RunOptions

    return RunOptions(**{name: options[name] for name in CONDITIONS})


def run_and_tell(
    output: Path, backend: str | None, json: bool, run: Callable[[TrainingBar], "TrainingResult"]
) -> None:
    """Choose the backend, train with a bar on the screen, and tell what came out."""
    using = choose_backend(backend)
    with stdout_for_json(json) as stream, TrainingBar() as bar:
        bar.note(f"Keras on {using}")
        result = run(bar)
        if json:
            print_json({name: getattr(result, name) for name in RESULT}, stream)
        else:
            score = f"validation score {result.score:.4g}"
            note(f"{output}: {result.steps} steps, weights of {result.chosen}, {score}")
