"""The training that a preset's name or a run folder stands for, without its data.

It is the very training of `keras_attn.training`: its model, its loss, its optimizer. What it would read or write
is left out.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_attn.planning.errors import PlanError
from keras_attn.planning.request import Request

SEQUENCE = 512  # tokens of a row, where nothing else is asked


@dataclasses.dataclass(frozen=True)
class Family:
    """Presets of one model.

    Attributes:
        task: what is trained.
        model: its name in the task's configuration.
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
    """What is planned.

    Attributes:
        name: the preset, or the run's folder.
        task: as run.json names it.
        sequence: int, tokens of a row.
        precision: "float32", "bfloat16" or "float16".
        make: makes the training for so many rows: model, task and optimizer, with whatever values.
    """

    name: str
    task: str
    sequence: int
    precision: str
    make: Callable[[int], Any]


def find_subject(request: Request) -> Subject:
    """Find out what to plan.

    Raises:
        PlanError: if there is no such preset, or something is asked that a run decides.
        TrainingError: if the run folder is damaged.
    """
    return _run(request) if request.is_run else _preset(request)


def known_presets() -> list[str]:
    """Name the presets."""
    from keras_attn.models.presets import PRESETS
    from keras_attn.training.configuration import MODELS
    from keras_attn.training.text_configuration import DECODERS, ENCODERS

    classes = MODELS | ENCODERS | DECODERS
    names = []
    for family, found in FAMILIES.items():
        presets = PRESETS[classes[found.model]]
        if family == "gpt3":
            names += [name for name in presets if name.startswith("gpt3")]
        else:
            names += [f"{family}-{name}" for name in presets if not name.startswith("gpt3")]
    return names


def _preset(request: Request) -> Subject:
    name = "gpt2-base" if request.model == "gpt2" else request.model
    if name not in known_presets():
        raise PlanError(
            f"{request.model!r} is neither a run folder nor a preset. Presets are {', '.join(known_presets())}."
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
    }

    def make(rows: int) -> Any:
        training, config = _training_and_config(family.task)
        where = {"data": "-"} if family.task == "translation" else {"train": ("-",), "batch_size": rows}
        return _new(training, config.recommended(**chosen, **where), request.attention_dropout)

    return Subject(request.model, family.task, sequence, chosen["precision"], make)


def _run(request: Request) -> Subject:
    from keras_attn.training.run import read_config

    run = read_config(Path(request.model))
    given = [
        name for name in ("vocabulary_size", "dropout", "attention_dropout") if getattr(request, name) is not None
    ]
    if given:
        raise PlanError(f"`{'`, `'.join(given)}` cannot be chosen for the run {request.model}, which decides it.")
    settings = {
        name: tuple(value) if isinstance(value, list) else value for name, value in run["training"].items()
    }
    sequence = request.sequence or settings["max_tokens"]
    precision = request.precision or settings["precision"]
    settings |= {"precision": precision, "max_tokens": sequence}

    def make(rows: int) -> Any:
        training, config = _training_and_config(run["task"])
        return _again(training, config(**settings), Path(request.model))

    return Subject(request.model, run["task"], sequence, precision, make)


def _training_and_config(task: str) -> tuple[type, type]:
    from keras_attn.training import configuration, text_configuration
    from keras_attn.training.causal_lm import CausalLMTraining
    from keras_attn.training.classification import ClassificationTraining
    from keras_attn.training.masked_lm import MaskedLMTraining
    from keras_attn.training.translation import TranslationTraining

    return {
        "translation": (TranslationTraining, configuration.TranslationConfig),
        "classification": (ClassificationTraining, text_configuration.ClassificationConfig),
        "masked-lm": (MaskedLMTraining, text_configuration.MaskedLMConfig),
        "causal-lm": (CausalLMTraining, text_configuration.CausalLMConfig),
    }[task]


def _new(training: type, config: Any, attention_dropout: float | None) -> Any:
    """Make a training with a model of a preset's sizes."""
    from keras_attn import models
    from keras_attn.training.beginning import begin
    from keras_attn.training.configuration import MODELS

    options = {} if attention_dropout is None else {"attention_dropout": attention_dropout}

    class FromPreset(training):
        def prepare(self):
            self.batches_per_epoch, self.special_ids = 1, {"pad": 0}

        def make_model(self):
            if config.task == "translation":
                make = getattr(models, MODELS[config.model])
                return make.from_preset(
                    config.preset,
                    vocabulary_size=config.vocabulary_size,
                    dropout=config.dropout,
                    name=config.model,
                    **options,
                )
            options.update(self.backbone_options)
            return self.around(begin(config, config.vocabulary_size, self.special_ids, **options))

        def _write_run(self):
            """Write nothing: there is no folder."""

    return _started(FromPreset, config, Path("nowhere"))


def _again(training: type, config: Any, folder: Path) -> Any:
    """Make the training of a run folder, with the model that run.json describes."""
    from keras_attn.data.tokenizer import load_tokenizer
    from keras_attn.training import run as run_folder

    class FromRun(training):
        def prepare(self):
            self.batches_per_epoch = 1
            self.tokenizer = load_tokenizer(folder / run_folder.TOKENIZER)
            self.special_ids = run_folder.read_config(folder)["special_ids"]

    return _started(FromRun, config, folder)


def _started(training: type, config: Any, folder: Path) -> Any:
    import keras

    from keras_attn.training.progress import Silent

    if config.precision != "float32":
        keras.mixed_precision.set_global_policy(f"mixed_{config.precision}")
    return training(config, folder, Silent())
