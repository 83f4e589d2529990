"""Settings that all tasks share."""

import dataclasses
import difflib
from typing import Annotated, Any, ClassVar, Literal, get_args

from keras_attn.errors import ArgumentTypeError
from keras_attn.presets import PRESETS
from keras_attn.training.config.setting import (
    DATA,
    MODEL,
    OPTIMIZATION,
    SCHEDULE,
    Setting,
    documented,
    fields_of,
    violations,
)
from keras_attn.training.errors import TrainingError

Decay = Literal["linear", "inverse-square-root", "constant"]
Precision = Literal["float32", "bfloat16", "float16"]
SCHEDULES, PRECISIONS = get_args(Decay), get_args(Precision)
LOWER_IS_BETTER = ("perplexity",)

METRIC = Setting("Metric that selects the best checkpoint.")
LabelSmoothing = Annotated[float, Setting("Label smoothing.", OPTIMIZATION, min=0, max=0.99)]
Boundaries = Annotated[
    tuple[int, ...],
    Setting("Ascending lengths that batches are padded to; a step is compiled for each."),
]


def preset_names(config: Any) -> tuple[str, ...]:
    """Return the presets of a configuration's model, or those of all models of a class of configurations."""
    models: dict[str, str] = getattr(config, "models", {})
    names = models if isinstance(config, type) else (config.model,)
    found = (preset for name in names for preset in PRESETS.get(models.get(name, ""), ()))
    return tuple(dict.fromkeys(found))


@documented
@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Settings that all tasks share; two trainings with equal settings and data are the same training.

    A subclass sets `task`, the task's name in run.json, and `models`, the class of each name of `model`.

    Raises:
        TrainingError: if a setting is out of its range; each one is named.
    """

    task: ClassVar[str]
    models: ClassVar[dict[str, str]]

    model: Annotated[
        str,
        Setting(
            "Architecture of the model.", MODEL, choices=lambda config: tuple(getattr(config, "models", ()))
        ),
    ]
    preset: Annotated[str, Setting("Size of the model.", MODEL, choices=preset_names)] = "tiny"
    vocabulary_size: Annotated[
        int, Setting("Vocabulary size of the tokenizer that is trained.", DATA, min=1)
    ] = 6000
    max_tokens: Annotated[int, Setting("Maximum number of tokens per text.", DATA, min=2)] = 64
    epochs: Annotated[int, Setting("Passes over the data.", SCHEDULE, min=1)] = 24
    steps: Annotated[int | None, Setting("Optimizer steps, instead of epochs.", SCHEDULE, min=1)] = None
    learning_rate: Annotated[float, Setting("Peak learning rate of Adam.", OPTIMIZATION, min=0)] = 3e-3
    warmup: Annotated[int, Setting("Steps of linear warm-up.", OPTIMIZATION, min=0)] = 400
    schedule: Annotated[Decay, Setting("Learning rate after the warm-up.", OPTIMIZATION)] = "linear"
    dropout: Annotated[float | None, Setting("Dropout rate.", MODEL, min=0, max=0.99)] = 0.2
    clip_norm: Annotated[float, Setting("Maximum global norm of the gradients; 0 does not clip.", min=0)] = (
        1.0
    )
    accumulate: Annotated[
        int,
        Setting("Parts of a batch that are computed one after another, to save memory.", OPTIMIZATION, min=1),
    ] = 1
    precision: Annotated[Precision, Setting("Mixed precision, unless it is float32.", OPTIMIZATION)] = (
        "float32"
    )
    evaluations: Annotated[
        int, Setting("Number of evaluations, each with a checkpoint.", SCHEDULE, min=1)
    ] = 12
    metric: Annotated[str, METRIC] = ""
    patience: Annotated[
        int,
        Setting("Stop after this many evaluations without improvement; 0: never.", SCHEDULE, min=0),
    ] = 0
    average: Annotated[
        int,
        Setting("Number of last checkpoints whose average is a candidate at the end.", SCHEDULE, min=0),
    ] = 4
    seed: Annotated[
        int, Setting("Random seed of weights, dropout and the order of the batches.", OPTIMIZATION)
    ] = 1
    jit_compile: Annotated[
        bool, Setting("Compile the training step with XLA, which torch does not have.")
    ] = True

    def __post_init__(self):
        wrong = violations(self)
        if self.learning_rate == 0:
            wrong.append("`learning_rate` must be above 0.")
        boundaries = getattr(self, "boundaries", ())
        if list(boundaries) != sorted(set(boundaries)):
            wrong.append(f"`boundaries` must ascend, got {boundaries}.")
        if wrong:
            raise TrainingError(" ".join(wrong))

    @classmethod
    def recipe(cls, chosen: dict[str, Any]) -> dict[str, Any]:
        """Return the recommended settings for what was chosen."""
        return {}

    @classmethod
    def recommended(cls, **chosen: Any):
        """Make a configuration from the recipe for its model and data; chosen settings override it.

        Args:
            **chosen: settings; those that are `None` count as not chosen. A tuple may be given as a list, or
                as one text.

        Raises:
            ArgumentTypeError: if there is no such setting.
            TrainingError: if a setting is out of its range.
        """
        fields = {field.name: field for field in fields_of(cls)}
        for name in chosen.keys() - fields.keys():
            close = difflib.get_close_matches(name, fields, 1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(fields)}."
            raise ArgumentTypeError(f"`{name}` is not a setting of {cls.task}: {hint}")
        chosen = {name: fields[name].convert(value) for name, value in chosen.items() if value is not None}
        return cls(**{**cls.recipe(chosen), **chosen})
