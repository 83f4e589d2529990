"""Settings of `train question-answering`, and its recipes: the default hyperparameters."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from keras_attn.training.config.encoder import EncoderConfig
from keras_attn.training.config.setting import DATA, SCHEDULE, Setting, documented
from keras_attn.training.config.text import ENCODERS
from keras_attn.training.config.training_config import METRIC, LabelSmoothing
from keras_attn.training.errors import TrainingError


@documented
@dataclasses.dataclass(frozen=True)
class QuestionAnsweringConfig(EncoderConfig):
    """Settings of the training of a model that finds answers in texts (Devlin et al., 2019, section 4.2).

    A question and its context are read in windows of at most `max_tokens` tokens, of which two share 128,
    at most half; where a window lacks the answer, its first token is the answer, as it is of a question
    without any.
    """

    task: ClassVar[str] = "question-answering"
    models: ClassVar[dict[str, str]] = ENCODERS
    scratch: ClassVar[dict[str, Any]] = {"learning_rate": 5e-4, "epochs": 10}
    tuning: ClassVar[dict[str, Any]] = {"learning_rate": 1e-4, "epochs": 3}

    train: Annotated[
        str,
        Setting(
            "Training questions: SQuAD's JSON, version 1.1 or 2.0, or JSON lines; plain or .gz.",
            DATA,
            metavar="FILE",
            required=True,
        ),
    ] = ""
    model: str = "bert"
    validation: Annotated[
        str | None, Setting("Held-out questions, in the same form; default: a tenth.", DATA, metavar="FILE")
    ] = None
    test: Annotated[
        str | None, Setting("Test questions, in the same form, scored once at the end.", DATA, metavar="FILE")
    ] = None
    max_tokens: Annotated[
        int, Setting("Maximum number of tokens of a window of question and context.", DATA, min=16)
    ] = 384
    batch_size: int = 16
    label_smoothing: LabelSmoothing = 0.0
    metric: Annotated[Literal["f1", "exact_match"], dataclasses.replace(METRIC, panel=SCHEDULE)] = "f1"

    def __post_init__(self):
        super().__post_init__()
        if not self.train:
            raise TrainingError("Give `train`, a file of questions with contexts and answers.")
