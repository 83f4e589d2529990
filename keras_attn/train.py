"""Train in one call: what `keras-attn train` does, with the same option names.

    run = keras_attn.train.translation("runs/dates", data="dates")
    run = keras_attn.train.classification("runs/news", train="train.csv", init="all-MiniLM-L6-v2")

Each function returns the finished run: its model, tokenizer and held-out examples. Keras computes with the
backend of the process.
"""

import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_attn.training.config import CONFIGS
from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.config.setting import describe, fields_of

if TYPE_CHECKING:
    from keras_attn.training import Run
    from keras_attn.training.progress import Progress

__all__ = ["causal_lm", "classification", "masked_lm", "translation"]

SHARED = """
Settings that are not given come from a recipe for the model and the data.

Args:
    output: run folder to write.
    resume: whether to continue an interrupted training of the same settings and data.
    progress: is told what happens (`keras_attn.training.progress.Progress`); by default a bar in a terminal,
        and plain lines elsewhere.
"""

RETURNS = """

Returns:
    The run, with the best weights.

Raises:
    ArgumentTypeError: if there is no such setting.
    TrainingError: if a setting is out of its range, `output` exists, or the loss is not finite.
    DataError: if the data cannot be used.
"""


def _with_settings(door: "Callable[..., Run]") -> "Callable[..., Run]":
    """Show the settings of a task in the signature and the docstring of its function."""
    kinds = (CONFIGS[door.__name__.replace("_", "-")], RunOptions)
    signature = inspect.signature(door)
    fixed = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    settings = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=field.type | None
        )
        for kind in kinds
        for field in fields_of(kind)
    ]
    door.__signature__ = signature.replace(parameters=[*fixed, *settings])  # type: ignore[attr-defined]
    door.__doc__ = f"{door.__doc__}\n{SHARED}" + "\n".join(map(describe, kinds)) + RETURNS
    return door


@_with_settings
def translation(
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    progress: "Progress | None" = None,
    **settings: Any,
) -> "Run":
    """Train a translator and write a run folder."""
    return _train("translation", output, resume=resume, progress=progress, **settings)


@_with_settings
def classification(
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    progress: "Progress | None" = None,
    **settings: Any,
) -> "Run":
    """Train a text classifier and write a run folder."""
    return _train("classification", output, resume=resume, progress=progress, **settings)


@_with_settings
def masked_lm(
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    progress: "Progress | None" = None,
    **settings: Any,
) -> "Run":
    """Train a masked language model and write a run folder, from which a classifier can start."""
    return _train("masked-lm", output, resume=resume, progress=progress, **settings)


@_with_settings
def causal_lm(
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    progress: "Progress | None" = None,
    **settings: Any,
) -> "Run":
    """Train a causal language model and write a run folder; each evaluation shows a sample of its text."""
    return _train("causal-lm", output, resume=resume, progress=progress, **settings)


def _train(task: str, output: str | os.PathLike[str], **options: Any) -> "Run":
    from keras_attn.training.run_folder import load_run
    from keras_attn.training.start import train_task

    return load_run(train_task(CONFIGS[task], output, **options).folder)


def __dir__() -> list[str]:
    return __all__
