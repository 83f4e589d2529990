"""Settings of classifiers and language models, beside those of `TrainingConfig`, and recipes that work."""

import dataclasses
from typing import ClassVar

from keras_attn.training.config.translation import TrainingConfig
from keras_attn.training.errors import TrainingError

ENCODERS = {"bert": "Bert", "bigbird": "BigBird"}
DECODERS = {"gpt2": "GPT2"}
FROM_SCRATCH = ("model", "preset", "vocabulary_size")
POOLING = (None, "pooled", "mean", "mean_sqrt_len", "max", "cls", "last")


@dataclasses.dataclass(frozen=True)
class TextConfig(TrainingConfig):
    """What the trainings below have in common.

    Attributes:
        init: a folder to begin with: of Hugging Face, of sentence-transformers, or a run folder; it brings
            its tokenizer, and `model`, `preset` and `vocabulary_size` are unused.
        dropout: float; by default what the model or `init` has.
        batch_size: int, texts per step.
        average: int; one checkpoint alone is not averaged.
    """

    init: str | None = None
    vocabulary_size: int = 8000
    max_tokens: int = 128
    batch_size: int = 32
    dropout: float | None = None
    evaluations: int = 10
    average: int = 1

    def __post_init__(self):
        super().__post_init__()
        self._positive("batch_size")
        if self.max_tokens < 4:
            raise TrainingError(f"`max_tokens` must be at least 4, got {self.max_tokens}.")

    @classmethod
    def recipe(cls, chosen: dict) -> dict:
        """Give the settings for a beginning from scratch, or from a folder.

        Raises:
            TrainingError: if something is chosen that a folder decides.
        """
        if "init" not in chosen:
            return cls.scratch
        decided = [name for name in FROM_SCRATCH if name in chosen]
        if decided:
            raise TrainingError(f"`{'`, `'.join(decided)}` cannot be chosen with `init`, which decides them.")
        return cls.tuning

    scratch: ClassVar[dict] = {}
    tuning: ClassVar[dict] = {}


@dataclasses.dataclass(frozen=True)
class ClassificationConfig(TextConfig):
    """Settings of a text classifier's training; longer texts are cut to `max_tokens`.

    Attributes:
        model: `"bert"`, `"bigbird"` or `"gpt2"`, which reads forwards and pools the last token.
        train: a CSV or TSV file.
        validation: the same; by default a tenth of the training rows, 2000 at most, is held out.
        test: the same, scored once at the end.
        text_column: names or numbers (from 1 on, in a file without header) of the columns with text.
        label_column: name or number of the column with the label.
        delimiter: what is between fields, such as `";"` or `"tab"`; by default a tab in `.tsv` files and a
            comma in others.
        header: whether the first row names the columns; by default it does where a column is given by name.
        labels: names of the classes, where the file has the numbers from 0 or 1 on.
        pooling: how a text becomes one vector; by default what the backbone was trained with.
        boundaries: ascending lengths that batches are padded to, those up to `max_tokens`; each is compiled
            once.
        label_smoothing: float.
        r_drop: float, how much it costs when two passes of a text under other dropout disagree, which takes
            twice the time (Liang et al., 2021, arXiv:2106.14448); 0 for one pass.
        layer_decay: float, the learning rate of each layer by that of the next (Howard and Ruder, 2018,
            arXiv:1801.06146, section 3.2); 1 for equal rates.
        freeze_layers: int, so many layers of attention, and the embeddings below them, stay as they are; -1
            for nothing.
        metric: `"accuracy"` or `"macro_f1"`.
    """

    task: ClassVar[str] = "classification"
    models: ClassVar[tuple[str, ...]] = (*ENCODERS, *DECODERS)
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    scratch: ClassVar[dict] = {"learning_rate": 5e-4, "epochs": 6}
    # The best of what was tried with MiniLM on AG News.
    tuning: ClassVar[dict] = {
        "layer_decay": 0.9,
        "freeze_layers": 0,
        "label_smoothing": 0.1,
        "r_drop": 4.0,
        "epochs": 4,
    }

    train: str = ""
    model: str = "bert"
    validation: str | None = None
    test: str | None = None
    text_column: str = "text"
    label_column: str = "label"
    delimiter: str | None = None
    header: bool | None = None
    labels: tuple[str, ...] = ()
    pooling: str | None = None
    boundaries: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    label_smoothing: float = 0.0
    r_drop: float = 0.0
    layer_decay: float = 1.0
    freeze_layers: int = -1
    learning_rate: float = 1e-4
    warmup: int = 50
    epochs: int = 3
    metric: str = "accuracy"

    def __post_init__(self):
        super().__post_init__()
        self._one_of("pooling", POOLING)
        self._ascending("boundaries")
        self._share("label_smoothing")
        if self.r_drop < 0:
            raise TrainingError(f"`r_drop` must be at least 0, got {self.r_drop}.")
        if self.r_drop and self.dropout == 0:
            raise TrainingError("`r_drop` compares passes under other dropout: it needs a `dropout` above 0.")
        if not 0 < self.layer_decay <= 1:
            raise TrainingError(f"`layer_decay` must be above 0 and at most 1, got {self.layer_decay}.")
        if not self.train:
            raise TrainingError("Give `train`, a CSV or TSV file.")

    @classmethod
    def recipe(cls, chosen: dict) -> dict:
        """Give the settings for a beginning; without dropout two passes would be the same."""
        recipe = super().recipe(chosen)
        return {**recipe, "r_drop": 0.0} if chosen.get("dropout") == 0 else recipe


@dataclasses.dataclass(frozen=True)
class LanguageConfig(TextConfig):
    """What the trainings of language models have in common.

    Attributes:
        train: text files, or folders of them, with one paragraph per line.
        validation: the same; by default a twentieth of the paragraphs, 1000 at most, is held out.
        metric: `"perplexity"`, the exponential of the validation loss.
    """

    metrics: ClassVar[tuple[str, ...]] = ("perplexity",)
    tuning: ClassVar[dict] = {"learning_rate": 1e-4, "epochs": 3}

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    learning_rate: float = 1e-3
    warmup: int = 200
    epochs: int = 10
    metric: str = "perplexity"

    def __post_init__(self):
        super().__post_init__()
        if not self.train:
            raise TrainingError("Give `train`, text files or folders of them.")


@dataclasses.dataclass(frozen=True)
class MaskedLMConfig(LanguageConfig):
    """Settings of a masked language model's training (Devlin et al., 2019, section 3.1, task 1).

    Attributes:
        model: `"bert"` or `"bigbird"`.
        mask_rate: float, share of the tokens to predict.
        whole_words: whether words are chosen whole.
    """

    task: ClassVar[str] = "masked-lm"
    models: ClassVar[tuple[str, ...]] = tuple(ENCODERS)

    model: str = "bert"
    mask_rate: float = 0.15
    whole_words: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.mask_rate < 1:
            raise TrainingError(f"`mask_rate` must be above 0 and below 1, got {self.mask_rate}.")


@dataclasses.dataclass(frozen=True)
class CausalLMConfig(LanguageConfig):
    """Settings of a causal language model's training (Radford et al., 2019).

    Attributes:
        model: `"gpt2"`.
    """

    task: ClassVar[str] = "causal-lm"
    models: ClassVar[tuple[str, ...]] = tuple(DECODERS)

    model: str = "gpt2"
