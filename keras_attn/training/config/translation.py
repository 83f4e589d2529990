"""What a training is made of: the settings that all tasks share, a translator's, and recipes that work."""

import dataclasses
from typing import ClassVar

from keras_attn.training.errors import TrainingError

MODELS = {"rnnsearch": "RNNSearch", "transformer": "Transformer", "seq2seq": "Seq2SeqRNN"}
SCHEDULES = ("linear", "inverse-square-root", "constant")
PRECISIONS = ("float32", "bfloat16", "float16")
LOWER_IS_BETTER = ("perplexity",)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Settings that all tasks share; two trainings with equal settings and data are the same training.

    Attributes:
        task: what run.json calls the task.
        models: names that `model` may have.
        metrics: names that `metric` may have.
        model: which model.
        preset: named size of the model.
        vocabulary_size: int, entries of a tokenizer that is trained.
        max_tokens: int, the most tokens of a text.
        epochs: int, passes over the corpus.
        steps: int, optimizer steps, instead of `epochs`.
        learning_rate: float, peak learning rate of Adam.
        warmup: int, steps of linear warm-up.
        schedule: `"linear"`, `"inverse-square-root"` or `"constant"`, after the warm-up.
        dropout: float.
        clip_norm: float, largest global norm of the gradient.
        accumulate: int, parts of a batch that come one after another, for the memory of one part.
        precision: `"float32"`, or `"bfloat16"` or `"float16"` for mixed precision.
        evaluations: int, how often the model is evaluated and saved.
        metric: what the best checkpoint is chosen by.
        patience: int, evaluations without improvement before training stops; 0 never stops early.
        average: int, checkpoints whose mean is tried at the end.
        seed: int, decides weights, dropout and the order of the batches.
        jit_compile: whether the training step is compiled by XLA.
    """

    task: ClassVar[str]
    models: ClassVar[tuple[str, ...]]
    metrics: ClassVar[tuple[str, ...]]

    model: str
    preset: str = "tiny"
    vocabulary_size: int = 6000
    max_tokens: int = 64
    epochs: int = 24
    steps: int | None = None
    learning_rate: float = 3e-3
    warmup: int = 400
    schedule: str = "linear"
    dropout: float | None = 0.2
    clip_norm: float = 1.0
    accumulate: int = 1
    precision: str = "float32"
    evaluations: int = 12
    metric: str = ""
    patience: int = 0
    average: int = 4
    seed: int = 1
    jit_compile: bool = True

    def __post_init__(self):
        self._one_of("model", self.models)
        self._one_of("schedule", SCHEDULES)
        self._one_of("precision", PRECISIONS)
        self._one_of("metric", self.metrics)
        self._positive(
            "vocabulary_size", "max_tokens", "epochs", "evaluations", "accumulate", "learning_rate"
        )
        self._share("dropout")

    def _one_of(self, name, choices):
        if getattr(self, name) not in choices:
            raise TrainingError(f"`{name}` must be one of {choices}, got {getattr(self, name)!r}.")

    def _positive(self, *names):
        for name in names:
            if getattr(self, name) <= 0:
                raise TrainingError(f"`{name}` must be positive, got {getattr(self, name)}.")

    def _share(self, *names):
        for name in names:
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise TrainingError(f"`{name}` must be at least 0 and below 1, got {value}.")

    def _ascending(self, name):
        lengths = getattr(self, name)
        if list(lengths) != sorted(set(lengths)):
            raise TrainingError(f"`{name}` must ascend, got {lengths}.")

    @classmethod
    def recipe(cls, chosen: dict) -> dict:
        """Give the settings that are known to work for what was chosen."""
        return {}

    @classmethod
    def recommended(cls, **chosen):
        """Make a configuration from the recipe for its model and data; what is given wins.

        Args:
            **chosen: attributes; those that are `None` count as not given.
        """
        chosen = {name: value for name, value in chosen.items() if value is not None}
        return cls(**{**cls.recipe(chosen), **chosen})


@dataclasses.dataclass(frozen=True)
class TranslationConfig(TrainingConfig):
    """Settings of a translator's training, beside those of `TrainingConfig`.

    Pairs with a side longer than `max_tokens`, its end included, are left out of training.

    Attributes:
        model: `"rnnsearch"`, `"transformer"` or `"seq2seq"`.
        data: name of a corpus, a folder or a TSV file; or `None` with `train` and `validation` prefixes.
        train, validation: prefixes of parallel files, or TSV files.
        source_language, target_language: endings of the files, and labels.
        batch_tokens: int, padded tokens on each side of a batch.
        boundaries: ascending lengths that batches are padded to; each is compiled once.
        label_smoothing: float.
        bpe_dropout: float; switched off for the last fifth of the steps.
        validation_sentences: int, sentences decoded greedily at each evaluation.
        metric: `"bleu"` or `"exact_match"`.
        bleu_tokenize: sacrebleu's tokenization; `"none"` for text that is tokenized already.
    """

    task: ClassVar[str] = "translation"
    models: ClassVar[tuple[str, ...]] = tuple(MODELS)
    metrics: ClassVar[tuple[str, ...]] = ("bleu", "exact_match")

    model: str = "rnnsearch"
    data: str | None = None
    train: str | None = None
    validation: str | None = None
    source_language: str | None = None
    target_language: str | None = None
    batch_tokens: int = 4096
    boundaries: tuple[int, ...] = (12, 16, 20, 24, 32, 48, 64)
    label_smoothing: float = 0.1
    bpe_dropout: float = 0.1
    validation_sentences: int = 500
    metric: str = "bleu"
    bleu_tokenize: str = "13a"

    def __post_init__(self):
        super().__post_init__()
        if (self.data is None) == (self.train is None):
            raise TrainingError("Give either `data` (a name, folder or TSV) or `train` (a prefix or TSV).")
        self._positive("batch_tokens")
        self._ascending("boundaries")
        self._share("label_smoothing", "bpe_dropout")

    @classmethod
    def recipe(cls, chosen: dict) -> dict:
        """Give the settings for the model and the data."""
        model = chosen.get("model", cls.model)
        recipe = dict(RECIPES.get(model, {}))
        if chosen.get("data") == "dates":
            recipe.update(DATES)
            recipe.update(DATES_BY_MODEL.get(model, {}))
        return recipe


# Measured on two cores; docs/translation.md has the commands and what they gave.
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
