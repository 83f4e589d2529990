"""Settings that classifiers and language models share: trainings from scratch, or from a trained model."""

import dataclasses
from typing import Annotated, Any, ClassVar

from keras_attn.training.config.setting import DATA, MODEL, OPTIMIZATION, Setting, documented
from keras_attn.training.config.training_config import TrainingConfig
from keras_attn.training.errors import TrainingError

ENCODERS = {"bert": "Bert", "bigbird": "BigBird"}
DECODERS = {"gpt2": "GPT2"}
FROM_SCRATCH = ("model", "preset", "vocabulary_size")


@documented
@dataclasses.dataclass(frozen=True)
class TextConfig(TrainingConfig):
    """Settings that classifiers and language models share.

    `init` brings its tokenizer; `model`, `preset` and `vocabulary_size` are then unused. `dropout` is by
    default that of the model or of `init`.
    """

    scratch: ClassVar[dict[str, Any]] = {}
    tuning: ClassVar[dict[str, Any]] = {}

    init: Annotated[
        str | None,
        Setting(
            "Start from a Hugging Face or sentence-transformers folder or hub name, or from a run folder.",
            MODEL,
            metavar="FOLDER",
        ),
    ] = None
    keep_tokens: Annotated[
        int | None,
        Setting(
            "With init: cut its vocabulary to this many frequent tokens of the training texts, and single "
            "characters.",
            MODEL,
            min=1,
        ),
    ] = None
    vocabulary_size: int = 8000
    max_tokens: Annotated[
        int, Setting("Maximum number of tokens per text or row; longer texts are cut.", DATA, min=4)
    ] = 128
    batch_size: Annotated[
        int, Setting("Texts per optimizer step, over all devices.", OPTIMIZATION, min=1)
    ] = 32
    dropout: float | None = None
    evaluations: int = 10
    average: int = 1

    def __post_init__(self):
        super().__post_init__()
        if self.keep_tokens and not self.init:
            raise TrainingError("`keep_tokens` needs `init`, whose tokens are kept: use `vocabulary_size`.")

    @classmethod
    def recipe(cls, chosen: dict[str, Any]) -> dict[str, Any]:
        """Return the settings for a training from scratch, or from a trained model.

        Raises:
            TrainingError: if something is chosen that the trained model decides.
        """
        if "init" not in chosen:
            return cls.scratch
        decided = [name for name in FROM_SCRATCH if name in chosen]
        if decided:
            raise TrainingError(f"`{'`, `'.join(decided)}` cannot be chosen with `init`, which decides them.")
        return cls.tuning
