"""Settings of `train token-classification`, and its recipes: the default hyperparameters."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from keras_attn.training.config.encoder import EncoderConfig
from keras_attn.training.config.setting import DATA, MODEL, SCHEDULE, Setting, documented
from keras_attn.training.config.text import ENCODERS
from keras_attn.training.config.training_config import METRIC, LabelSmoothing
from keras_attn.training.errors import TrainingError


@documented
@dataclasses.dataclass(frozen=True)
class TokenClassificationConfig(EncoderConfig):
    """Settings of the training of a model that finds entities in texts.

    A text longer than `max_tokens` is read in windows that overlap by a fourth, as on the device.
    """

    task: ClassVar[str] = "token-classification"
    models: ClassVar[dict[str, str]] = ENCODERS
    scratch: ClassVar[dict[str, Any]] = {"learning_rate": 1e-3, "epochs": 10}
    tuning: ClassVar[dict[str, Any]] = {"learning_rate": 3e-4, "epochs": 3}

    train: Annotated[
        str,
        Setting(
            "Training texts: CoNLL's columns, or JSON lines (.jsonl) with text and entities; plain or .gz.",
            DATA,
            metavar="FILE",
            required=True,
        ),
    ] = ""
    model: str = "bert"
    validation: Annotated[
        str | None, Setting("Held-out texts, in the same form; default: a tenth.", DATA, metavar="FILE")
    ] = None
    test: Annotated[
        str | None, Setting("Test texts, in the same form, scored once at the end.", DATA, metavar="FILE")
    ] = None
    scheme: Annotated[
        Literal["bio", "bioes"], Setting("Scheme of the labels that the model learns.", MODEL)
    ] = "bio"
    pieces: Annotated[
        Literal["all", "first"],
        Setting("Which pieces of a word are labelled: all, or the first, whose label the word gets.", MODEL),
    ] = "all"
    label_smoothing: LabelSmoothing = 0.0
    metric: Annotated[Literal["f1", "precision", "recall"], dataclasses.replace(METRIC, panel=SCHEDULE)] = (
        "f1"
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.train:
            raise TrainingError("Give `train`, a file of texts with entities.")
