"""Train in one call: what `keras-attn train` does, with the same option names.

    run = keras_attn.train.translation("runs/dates", data="dates")
    run = keras_attn.train.classification("runs/news", train="train.csv", init="all-MiniLM-L6-v2")

Each function returns the finished run: its model, tokenizer and held-out examples. Keras computes with the
backend of the process.
"""

import inspect
import os
from typing import TYPE_CHECKING, Any, Protocol

from keras_attn.training.config import CONFIGS
from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.config.setting import describe, fields_of

if TYPE_CHECKING:
    from keras_attn.training import Run
    from keras_attn.training.progress import Progress

__all__ = [
    "causal_lm",
    "classification",
    "embedding",
    "masked_lm",
    "question_answering",
    "token_classification",
    "translation",
]

SHARED = """
Settings that are not given come from a recipe for the model and the data.

Args:
    output: run folder to write.
    resume: whether to continue an interrupted training of the same settings and data.
    progress: receives the progress (`keras_attn.training.progress.Progress`); by default a bar in a terminal,
        and plain lines elsewhere.
"""

RETURNS = """

Returns:
    The run, with the best weights.

Raises:
    ArgumentTypeError: if there is no such setting.
    PretrainedError: if `init` cannot be read.
    TrainingError: if a setting is out of its range, `output` exists, or the loss is not finite.
    DataError: if the data cannot be used.
"""


class Door(Protocol):
    """The function that trains a task."""

    def __call__(
        self,
        output: str | os.PathLike[str],
        *,
        resume: bool = False,
        progress: "Progress | None" = None,
        **settings: Any,
    ) -> "Run": ...


def _door(task: str, summary: str) -> Door:
    """Return the function of a task, with all settings in its signature and docstring."""
    kinds = (CONFIGS[task], RunOptions)

    def train(output: str | os.PathLike[str], **options: Any) -> "Run":
        from keras_attn.training.run_folder import load_run
        from keras_attn.training.start import train_task

        return load_run(train_task(CONFIGS[task], output, **options).folder)

    signature = inspect.signature(Door.__call__)
    _, *fixed, _ = signature.parameters.values()
    settings = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=field.type | None
        )
        for kind in kinds
        for field in fields_of(kind)
    ]
    train.__name__ = train.__qualname__ = task.replace("-", "_")
    train.__signature__ = signature.replace(parameters=[*fixed, *settings])  # type: ignore[attr-defined]
    train.__doc__ = f"{summary}\n{SHARED}" + "\n".join(map(describe, kinds)) + RETURNS
    return train


translation = _door("translation", "Train a translator and write a run folder.")
classification = _door("classification", "Train a text classifier and write a run folder.")
token_classification = _door(
    "token-classification", "Train a model that finds entities in texts, and write a run folder."
)
question_answering = _door(
    "question-answering", "Train a model that finds answers in texts, and write a run folder."
)
embedding = _door("embedding", "Train a sentence encoder and write a run folder.")
masked_lm = _door(
    "masked-lm", "Train a masked language model and write a run folder, from which a classifier can start."
)
causal_lm = _door(
    "causal-lm",
    "Train a causal language model and write a run folder; each evaluation shows a sample of its text.",
)


def __dir__() -> list[str]:
    return __all__
