"""Settings of `train masked-lm` and `train causal-lm`, and their recipes: the default hyperparameters."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from keras_attn.training.config.setting import DATA, OPTIMIZATION, Setting, documented
from keras_attn.training.config.text import DECODERS, ENCODERS, TextConfig
from keras_attn.training.errors import TrainingError


@documented
@dataclasses.dataclass(frozen=True)
class LanguageConfig(TextConfig):
    """Settings that the trainings of language models share; perplexity is the exponential of the loss."""

    tuning: ClassVar[dict[str, Any]] = {"learning_rate": 1e-4, "epochs": 3}

    train: Annotated[
        tuple[str, ...],
        Setting(
            "Text file or folder, one paragraph per line; several are allowed.",
            DATA,
            metavar="FOLDER|FILE",
            required=True,
        ),
    ] = ()
    validation: Annotated[
        tuple[str, ...],
        Setting(
            "Held-out text, in the same form; default: a twentieth of the paragraphs.",
            DATA,
            metavar="FOLDER|FILE",
        ),
    ] = ()
    learning_rate: float = 1e-3
    warmup: int = 200
    epochs: int = 10
    metric: Literal["perplexity"] = "perplexity"

    def __post_init__(self):
        super().__post_init__()
        if not self.train:
            raise TrainingError("Give `train`, text files or folders of them.")


@documented
@dataclasses.dataclass(frozen=True)
class MaskedLMConfig(LanguageConfig):
    """Settings of a masked language model's training (Devlin et al., 2019, section 3.1, task 1)."""

    task: ClassVar[str] = "masked-lm"
    models: ClassVar[dict[str, str]] = ENCODERS

    model: str = "bert"
    mask_rate: Annotated[
        float, Setting("Fraction of the tokens to predict.", OPTIMIZATION, min=0.01, max=0.99)
    ] = 0.15
    whole_words: Annotated[bool, Setting("Mask whole words.", OPTIMIZATION)] = False


@documented
@dataclasses.dataclass(frozen=True)
class CausalLMConfig(LanguageConfig):
    """Settings of a causal language model's training (Radford et al., 2019)."""

    task: ClassVar[str] = "causal-lm"
    models: ClassVar[dict[str, str]] = DECODERS

    model: str = "gpt2"
