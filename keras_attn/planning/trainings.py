"""The training of a preset or of a run folder, without its data.

It is the training of `keras_attn.training`, with its model, loss and optimizer, but it reads and writes no
files.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_attn.planning.errors import PlanError
from keras_attn.planning.request import Request
from keras_attn.presets import PRESETS
from keras_attn.training.config import CONFIGS
from keras_attn.training.tasks import training_class

if TYPE_CHECKING:
    from keras_attn.training.parallelism.devices import Devices

SEQUENCE = 512  # tokens of a row, by default
NOWHERE = Path("no run folder")  # of a preset


@dataclasses.dataclass(frozen=True)
class Family:
    """Presets of one model.

    Attributes:
        task: name of the task.
        model: name of the model in the task's configuration.
        vocabulary_size: int, as published.
    """

    task: str
    model: str
    vocabulary_size: int


FAMILIES = {
    "bert": Family("masked-lm", "bert", 30522),
    "bigbird": Family("masked-lm", "bigbird", 50358),
    "gpt2": Family("causal-lm", "gpt2", 50257),
    "gpt3": Family("causal-lm", "gpt2", 50257),
    "transformer": Family("translation", "transformer", 37000),
    "rnnsearch": Family("translation", "rnnsearch", 30000),
    "seq2seq": Family("translation", "seq2seq", 30000),
}


@dataclasses.dataclass(frozen=True)
class Subject:
    """The training that is planned.

    Attributes:
        name: the preset, or the run's folder.
        task: as run.json names it.
        sequence: int, tokens of a row.
        precision: "float32", "bfloat16" or "float16".
        make: makes the training for a number of rows on some devices: model, task and optimizer.
    """

    name: str
    task: str
    sequence: int
    precision: str
    make: "Callable[[int, Devices], Any]"


def find_subject(request: Request) -> Subject:
    """Return the training to plan.

    Raises:
        PlanError: if there is no such preset, or something is chosen that a run decides.
        TrainingError: if the run folder is damaged.
    """
    return _run(request) if request.is_run else _preset(request)


def known_presets() -> list[str]:
    """Return the names of all presets."""
    names = []
    for family, found in FAMILIES.items():
        presets = PRESETS[CONFIGS[found.task].models[found.model]]
        if family == "gpt3":
            names += [name for name in presets if name.startswith("gpt3")]
        else:
            names += [f"{family}-{name}" for name in presets if not name.startswith("gpt3")]
    return names


def _preset(request: Request) -> Subject:
    name = "gpt2-base" if request.model == "gpt2" else request.model
    if name not in known_presets():
        raise PlanError(
            f"{request.model!r} is neither a run folder nor a preset. Presets are "
            f"{', '.join(known_presets())}."
        )
    word, _, preset = name.partition("-")
    family = FAMILIES[word]
    sequence = request.sequence or SEQUENCE
    chosen = {
        "model": family.model,
        "preset": name if word == "gpt3" else preset,
        "precision": request.precision or "bfloat16",
        "dropout": request.dropout,
        "vocabulary_size": request.vocabulary_size or family.vocabulary_size,
        "max_tokens": sequence,
        "accumulate": request.accumulate,
    }

    def make(rows: int, devices: "Devices") -> Any:
        where = {"data": "-"} if family.task == "translation" else {"train": ("-",), "batch_size": rows}
        settings = CONFIGS[family.task].recommended(**chosen, **where)
        training = _from_preset(training_class(family.task), settings, rows, request.attention_dropout)
        return _make(training, settings, NOWHERE, request, devices)

    return Subject(request.model, family.task, sequence, chosen["precision"], make)


def _run(request: Request) -> Subject:
    from keras_attn.training.run_folder import read_config

    run = read_config(Path(request.model))
    given = [
        name
        for name in ("vocabulary_size", "dropout", "attention_dropout")
        if getattr(request, name) is not None
    ]
    if given:
        raise PlanError(
            f"`{'`, `'.join(given)}` cannot be chosen for the run {request.model}, which decides it."
        )
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in run["training"].items()
    }
    sequence: int = request.sequence or settings["max_tokens"]
    precision: str = request.precision or settings["precision"]
    settings |= {"precision": precision, "max_tokens": sequence, "accumulate": request.accumulate}

    def make(rows: int, devices: "Devices") -> Any:
        folder, config = Path(request.model), CONFIGS[run["task"]](**settings)
        training = _from_run(training_class(run["task"]), folder, rows)
        return _make(training, config, folder, request, devices)

    return Subject(request.model, run["task"], sequence, precision, make)


def _from_preset(training: type, settings: Any, rows: int, attention_dropout: float | None) -> type:
    """Return the training of a preset's model."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    from keras_attn import models
    from keras_attn.training.initialization import new_backbone

    options = {} if attention_dropout is None else {"attention_dropout": attention_dropout}

    class FromPreset(training):
        def read(self):
            """Read nothing: a plan needs no data."""

        def prepare(self):
            self.batches_per_epoch, self.batch_rows, self.special_ids = 1, (rows,), {"pad": 0}
            self.tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))  # it is not used

        def make_model(self):
            if settings.task == "translation":
                make = getattr(models, settings.models[settings.model])
                sizes = {"vocabulary_size": settings.vocabulary_size, "dropout": settings.dropout, **options}
                return make.from_preset(settings.preset, name=settings.model, **sizes)
            arguments = {**self.backbone_options, **options}
            return self.around(
                new_backbone(settings, settings.vocabulary_size, self.special_ids, **arguments)
            )

        def _write_run(self):
            """Write nothing: there is no folder."""

    return FromPreset


def _from_run(training: type, folder: Path, rows: int) -> type:
    """Return the training of a run folder, with the model that run.json describes."""
    from keras_attn.data.tokenizer import load_tokenizer
    from keras_attn.training import run_folder

    class FromRun(training):
        def read(self):
            """Read nothing: a plan needs no data."""

        def prepare(self):
            self.batches_per_epoch, self.batch_rows = 1, (rows,)
            self.tokenizer = load_tokenizer(folder / run_folder.TOKENIZER)
            self.special_ids = run_folder.read_config(folder)["special_ids"]

    return FromRun


def _make(training: type, settings: Any, folder: Path, request: Request, devices: "Devices") -> Any:
    import keras

    from keras_attn.training.progress import Silent

    if settings.precision != "float32":
        keras.mixed_precision.set_global_policy(f"mixed_{settings.precision}")
    return training(settings, folder, Silent(), request.run_options, devices)
