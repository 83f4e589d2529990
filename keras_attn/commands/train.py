"""`keras-attn train`: one command per task, whose options are the settings of the task's configuration."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from keras_attn import train as doors
from keras_attn.commands.terminal.environment import choose_backend, keep_freed_memory
from keras_attn.commands.terminal.screen import JsonOption, note, paragraphs, print_json, stdout_for_json
from keras_attn.training.config import CONFIGS
from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.config.setting import DATA, DEVICES, PANELS, Field, fields_of
from keras_attn.training.config.training_config import TrainingConfig

RESULT = ("folder", "steps", "chosen", "score", "seconds")
RECIPE = """Settings that are not given come from a recipe for the model and the data. After an interruption,
the same command with --resume continues exactly where the run stopped, on other devices if need be. SIGTERM
saves a checkpoint and exits with code 75.
"""

Output = Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")]
Backend = Annotated[
    Literal["jax", "tensorflow", "torch"] | None,
    typer.Option(help="Backend of Keras.", rich_help_panel=DEVICES),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue where this run stopped.")]

EXAMPLES = {
    "translation": """[bold]Examples[/bold]

  keras-attn train translation --model rnnsearch --preset tiny --data dates --output runs/dates

  keras-attn train translation --train data/train --validation data/val \\
      --source-language en --target-language de --output runs/ende

  keras-attn train translation --model transformer --data multi30k:en-de --output runs/multi30k

  keras-attn train translation --data dates --output runs/dates --resume

  keras-attn train translation --model transformer --preset base --train data/train --validation data/val \\
      --source-language en --target-language de --output runs/ende \\
      --distribution model --mesh 4x2 --precision bfloat16
""",
    "classification": """[bold]Examples[/bold]

  keras-attn train classification --train train.csv --test test.csv --output runs/news

  keras-attn train classification --train train.csv.gz --text-column 2,3 --label-column 1 \\
      --labels World,Sports,Business,Sci/Tech --init all-MiniLM-L6-v2 --output runs/news

  keras-attn train classification --train train.csv --delimiter ";" --text-column title,body \\
      --output runs/news

  keras-attn train classification --train train.csv --init runs/pretrained --freeze-layers 1 \\
      --layer-decay 0.8 --output runs/tuned

  keras-attn train classification --train tags.csv --multi-label --init all-MiniLM-L6-v2 --output runs/tags

  keras-attn train classification --train pairs.csv --text-column query --pair-column passage \\
      --label-column score --regression --init all-MiniLM-L6-v2 --output runs/reranker

  keras-attn train classification --train train.csv --teacher runs/large --init all-MiniLM-L6-v2 \\
      --output runs/small
""",
    "token-classification": """[bold]Examples[/bold]

  keras-attn train token-classification --train train.conll --init all-MiniLM-L6-v2 --output runs/names

  keras-attn train token-classification --train train.jsonl --test test.jsonl --scheme bioes \\
      --init xlm-roberta-base --batch-size 16 --output runs/names
""",
    "question-answering": """[bold]Examples[/bold]

  keras-attn train question-answering --train train-v2.0.json --validation dev-v2.0.json \\
      --init distilbert-base-uncased --output runs/answers

  keras-attn train question-answering --train questions.jsonl.gz --max-tokens 256 \\
      --init all-MiniLM-L6-v2 --output runs/answers
""",
    "embedding": """[bold]Examples[/bold]

  keras-attn train embedding --train pairs.tsv --init all-MiniLM-L6-v2 --output runs/search

  keras-attn train embedding --train triplets.jsonl --dimensions 64,128 --batch-size 256 --accumulate 8 \\
      --init bert-base-uncased --output runs/search

  keras-attn train embedding --train translations.tsv --translations --teacher all-MiniLM-L6-v2 \\
      --init xlm-roberta-base --output runs/multilingual
""",
    "masked-lm": """[bold]Examples[/bold]

  keras-attn train masked-lm --train texts --preset tiny --whole-words --output runs/pretrained

  keras-attn train masked-lm --train news.txt.gz --init bert-base-uncased --output runs/adapted
""",
    "causal-lm": """[bold]Examples[/bold]

  keras-attn train causal-lm --train stories.txt --preset tiny --output runs/stories

  keras-attn train causal-lm --train texts --train more.txt.gz --validation held-out.txt --output runs/lm
""",
}

app = typer.Typer(help="Train a model.", no_args_is_help=True, rich_markup_mode="rich")


def command(config: type[TrainingConfig]) -> Callable[..., None]:
    """Return the command that trains a task; its signature is made from the configuration's fields."""

    def train(
        *,
        output: Output,
        backend: Backend = None,
        resume: Resume = False,
        json: JsonOption = False,
        **options: Any,
    ) -> None:
        with stdout_for_json(json) as stream:
            note(f"Keras on {choose_backend(backend)}")
            keep_freed_memory()
            from keras_attn.training.start import train_task

            result = train_task(config, output, resume=resume, **options)
            if json:
                print_json({name: getattr(result, name) for name in RESULT}, stream)
            else:
                score = f"validation score {result.score:.4g}"
                note(f"{output}: {result.steps} steps, weights of {result.chosen}, {score}")

    signature = inspect.signature(train)
    fixed = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    parameters = [*_options(config), *fixed]
    train.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    door = getattr(doors, config.task.replace("-", "_"))
    train.__doc__ = f"{(door.__doc__ or '').splitlines()[0]}\n\n{RECIPE}"
    return train


def _options(config: type[TrainingConfig]) -> Iterator[inspect.Parameter]:
    """Return the options of a task, panel by panel: its own data first, but what all models share first."""
    for panel in PANELS:
        found = [
            field
            for kind in (config, RunOptions)
            for field in fields_of(kind)
            if field.setting.panel == panel
        ]
        if panel == DATA:
            found.sort(key=lambda field: -field.depth)
        for field in found:
            yield _option(field, config)


def _option(field: Field, config: type[TrainingConfig]) -> inspect.Parameter:
    """Return an option; by default a setting is `None`, for the recipe to decide."""
    setting, choices = field.setting, field.choices(config)
    kind: Any = Literal[choices] if choices else field.type
    if field.is_tuple:
        kind = str if setting.separator else list[str]
    names = (f"--{field.name.replace('_', '-')}",) if field.type is bool else ()
    shown = f" (default: {field.default})." if isinstance(field.default, str) and field.default else "."
    option = typer.Option(
        *names,
        help=setting.help.removesuffix(".") + shown,  # of names only: numbers depend on the recipe
        rich_help_panel=setting.panel,
        metavar=setting.metavar,
        min=setting.min,
        max=setting.max,
        show_default=False,
    )
    default: Any = False if field.type is bool else None
    if setting.required:
        default = inspect.Parameter.empty
    elif field.type is not bool:
        kind = kind | None
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


for task, config in CONFIGS.items():
    made = command(config)
    app.command(task, help=paragraphs(made.__doc__), epilog=EXAMPLES[task])(made)
