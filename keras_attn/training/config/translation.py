"""Settings of `train translation`, and its recipes: the default hyperparameters by model and data."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from keras_attn.training.config.setting import DATA, OPTIMIZATION, Setting, documented
from keras_attn.training.config.training_config import Boundaries, LabelSmoothing, TrainingConfig
from keras_attn.training.errors import TrainingError

# Measured on two cores; docs/translation.md has the commands and their results.
RECURRENT = {
    "epochs": 18,
    "batch_tokens": 2048,
    "learning_rate": 3e-3,
    "warmup": 300,
    "dropout": 0.2,
    "bpe_dropout": 0.0,
}
RECIPES = {
    "transformer": {"epochs": 30, "learning_rate": 3e-3, "warmup": 400, "dropout": 0.2},
    "rnnsearch": RECURRENT,
    "seq2seq": RECURRENT,
}

DATES = {
    "vocabulary_size": 1000,
    "steps": 1200,
    "batch_tokens": 2048,
    "boundaries": (16, 24, 64),
    "warmup": 100,
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "bpe_dropout": 0.0,
    "evaluations": 2,
    "validation_sentences": 250,
    "metric": "exact_match",
    "average": 1,
}
DATES_BY_MODEL = {
    "rnnsearch": {"learning_rate": 3e-3},
    "seq2seq": {"learning_rate": 3e-3},
    "transformer": {"learning_rate": 2e-3, "steps": 2400, "warmup": 30},
}


@documented
@dataclasses.dataclass(frozen=True)
class TranslationConfig(TrainingConfig):
    """Settings of a translator's training; the corpus is either `data` or `train`.

    BPE-dropout is that of Provilkov et al., 2020 (arXiv:1910.13267). R-Drop is that of Liang et al., 2021
    (arXiv:2106.14448), and takes twice the time.
    """

    task: ClassVar[str] = "translation"
    models: ClassVar[dict[str, str]] = {
        "rnnsearch": "RNNSearch",
        "transformer": "Transformer",
        "seq2seq": "Seq2SeqRNN",
    }

    model: str = "rnnsearch"
    data: Annotated[
        str | None, Setting("Corpus: dates, multi30k:en-de, a folder with train.*, or a TSV file.", DATA)
    ] = None
    train: Annotated[
        str | None,
        Setting("Training pairs: PREFIX of PREFIX.en and PREFIX.de, plain or .gz, or a TSV file.", DATA),
    ] = None
    validation: Annotated[
        str | None, Setting("Held-out pairs, in the same form; default: one in fifty.", DATA)
    ] = None
    source_language: Annotated[str | None, Setting("Source language, such as en.", DATA)] = None
    target_language: Annotated[str | None, Setting("Target language, such as de.", DATA)] = None
    max_tokens: Annotated[
        int,
        Setting("Maximum number of tokens of a side, end included; longer pairs are left out.", DATA, min=2),
    ] = 64
    batch_tokens: Annotated[
        int, Setting("Padded tokens on each side of a batch, over all devices.", OPTIMIZATION, min=1)
    ] = 4096
    boundaries: Boundaries = (12, 16, 20, 24, 32, 48, 64)
    label_smoothing: LabelSmoothing = 0.1
    bpe_dropout: Annotated[
        float,
        Setting("BPE-dropout rate, except in the last fifth of the steps.", OPTIMIZATION, min=0, max=0.99),
    ] = 0.1
    r_drop: Annotated[
        float, Setting("Weight of R-Drop, the divergence of two passes; 0: one pass.", OPTIMIZATION, min=0)
    ] = 0.0
    validation_sentences: Annotated[
        int, Setting("Sentences that are translated greedily at each evaluation.", min=1)
    ] = 500
    metric: Literal["bleu", "exact_match"] = "bleu"
    bleu_tokenize: Annotated[
        str, Setting("Tokenization of sacreBLEU; none for text that is tokenized already.", OPTIMIZATION)
    ] = "13a"

    def __post_init__(self):
        super().__post_init__()
        if (self.data is None) == (self.train is None):
            raise TrainingError("Give either `data` (a name, folder or TSV) or `train` (a prefix or TSV).")
        if self.r_drop and self.dropout == 0:
            raise TrainingError("`r_drop` compares passes under dropout: it needs a `dropout` above 0.")

    @classmethod
    def recipe(cls, chosen: dict[str, Any]) -> dict[str, Any]:
        """Return the settings for the model and the data."""
        model = chosen.get("model", cls.model)
        recipe: dict[str, Any] = dict(RECIPES.get(model, {}))
        if chosen.get("data") == "dates":
            recipe |= DATES | DATES_BY_MODEL.get(model, {})
        return recipe
