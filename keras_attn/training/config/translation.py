"""Settings of `train translation`, and its recipes: the default hyperparameters by model and data."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from keras_attn.training.config.setting import DATA, MODEL, OPTIMIZATION, TEACHER, Setting, documented
from keras_attn.training.config.text import FROM_SCRATCH
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

# Of a translator that is fine-tuned; its own dropout rate stays.
TUNING = {"epochs": 3, "learning_rate": 1e-4, "warmup": 100, "dropout": None, "bpe_dropout": 0.0}
LORA = {**TUNING, "learning_rate": 5e-4}
PARTS = ("embeddings", "encoder", "decoder")
"""What `freeze` may name."""

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
    (arXiv:2106.14448), and takes twice the time. A teacher's translations replace the targets (Kim and Rush,
    2016, arXiv:1606.07947); back-translated texts are added (Sennrich et al., 2016, arXiv:1511.06709). Both
    are made before the training and kept in the run folder. `init` brings its tokenizer; `model`, `preset`
    and `vocabulary_size` are then unused. LoRA is that of Hu et al., 2021 (arXiv:2106.09685).
    """

    task: ClassVar[str] = "translation"
    models: ClassVar[dict[str, str]] = {
        "rnnsearch": "RNNSearch",
        "transformer": "Transformer",
        "seq2seq": "Seq2SeqRNN",
    }

    model: str = "rnnsearch"
    init: Annotated[
        str | None,
        Setting(
            "Fine-tune this translator: a Hugging Face folder or hub name, or a run folder.",
            MODEL,
            metavar="FOLDER",
        ),
    ] = None
    freeze: Annotated[
        tuple[str, ...],
        Setting(
            "Parts of `init` that stay as they are: embeddings, encoder, decoder.",
            MODEL,
            separator=",",
            metavar="embeddings,encoder",
        ),
    ] = ()
    lora_rank: Annotated[
        int, Setting("Train only LoRA adapters of this rank, which are added up at the end.", MODEL, min=0)
    ] = 0
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
    directions: Annotated[
        tuple[str, ...],
        Setting(
            "Several directions of one model, as in en-de,de-en,en-fr: files of each language; or the third "
            "column of a TSV names them.",
            DATA,
            separator=",",
            metavar="en-de,de-en",
        ),
    ] = ()
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
    teacher: Annotated[
        str | None,
        Setting(
            "Train on the translations of this model (sequence-level distillation): a bundle, a run folder, "
            "or a checkpoint's folder or hub name.",
            TEACHER,
            metavar="MODEL",
        ),
    ] = None
    teacher_pick: Annotated[
        Literal["first", "best", "best-chrf"],
        Setting("Which of a beam: its first, or the best by BLEU or chrF with the reference.", TEACHER),
    ] = "first"
    teacher_keep_references: Annotated[
        bool, Setting("Train on the reference translations as well.", TEACHER)
    ] = False
    back_translate: Annotated[
        str | None,
        Setting(
            "Texts of the target language to train on, back-translated: PREFIX of PREFIX.de, or a file.",
            TEACHER,
            metavar="PREFIX",
        ),
    ] = None
    reverse_model: Annotated[
        str | None,
        Setting("Model that back-translates, as for `teacher`.", TEACHER, metavar="MODEL"),
    ] = None
    teacher_beam: Annotated[
        int, Setting("Beam size of the teacher and of the reverse model.", TEACHER, min=1)
    ] = 5
    teacher_processes: Annotated[
        int, Setting("Processes that translate at the same time.", TEACHER, min=1)
    ] = 1
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
        self._check_initial()
        if self.directions and (self.source_language or self.target_language):
            raise TrainingError(
                "`directions` name the languages: leave `source_language` and `target_language` out."
            )
        if (self.back_translate is None) != (self.reverse_model is None):
            raise TrainingError(
                "`back_translate` and `reverse_model` need each other: the texts, and what translates them."
            )
        if self.teacher is None and (self.teacher_pick != "first" or self.teacher_keep_references):
            raise TrainingError("`teacher_pick` and `teacher_keep_references` need a `teacher`.")
        if self.teacher_pick != "first" and self.teacher_beam == 1:
            raise TrainingError(
                "`teacher_pick` chooses among a beam: it needs a `teacher_beam` of at least 2."
            )

    def _check_initial(self) -> None:
        if self.init is None and (self.freeze or self.lora_rank):
            raise TrainingError("`freeze` and `lora_rank` need `init`, a translator to fine-tune.")
        if unknown := [name for name in self.freeze if name not in PARTS]:
            raise TrainingError(f"`freeze` names {', '.join(PARTS)}, not {', '.join(unknown)}.")
        if self.freeze and self.lora_rank:
            raise TrainingError("`lora_rank` freezes all parts: leave `freeze` out.")
        if self.init and self.bpe_dropout:
            raise TrainingError("`bpe_dropout` is for tokenizers that are trained: with `init` it must be 0.")

    @classmethod
    def recipe(cls, chosen: dict[str, Any]) -> dict[str, Any]:
        """Return the settings for the model and the data.

        Raises:
            TrainingError: if something is chosen that `init` decides.
        """
        if "init" in chosen:
            decided = [name for name in FROM_SCRATCH if name in chosen]
            if decided:
                raise TrainingError(
                    f"`{'`, `'.join(decided)}` cannot be chosen with `init`, which decides them."
                )
            return LORA if chosen.get("lora_rank") else TUNING
        model = chosen.get("model", cls.model)
        recipe: dict[str, Any] = dict(RECIPES.get(model, {}))
        if chosen.get("data") == "dates":
            recipe |= DATES | DATES_BY_MODEL.get(model, {})
        return recipe
