"""Settings of `train classification`, and its recipes: the default hyperparameters."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from keras_attn.training.config.encoder import EncoderConfig
from keras_attn.training.config.setting import DATA, MODEL, OPTIMIZATION, SCHEDULE, Setting, documented
from keras_attn.training.config.text import DECODERS, ENCODERS
from keras_attn.training.config.training_config import METRIC, LabelSmoothing
from keras_attn.training.errors import TrainingError

Distillation = Annotated[
    float, Setting("Weight of the teacher in the loss; the rest is the labels'.", OPTIMIZATION, min=0, max=1)
]
Teacher = Annotated[
    str | None,
    Setting(
        "Learn also from a trained model: a Hugging Face folder or hub name, or a run folder.",
        OPTIMIZATION,
        metavar="FOLDER",
    ),
]
METRICS = {
    "classes": ("accuracy", "macro_f1"),
    "labels": ("micro_f1", "macro_f1", "accuracy"),
    "score": ("spearman", "pearson"),
}


@documented
@dataclasses.dataclass(frozen=True)
class ClassificationConfig(EncoderConfig):
    """Settings of the training of a text classifier, or with `regression` of a model that scores texts.

    R-Drop is that of Liang et al., 2021 (arXiv:2106.14448), and takes twice the time. Distillation is that
    of Hinton et al., 2015 (arXiv:1503.02531). By default texts are pooled as the model was trained to, those
    of `gpt2` by the last token.
    """

    task: ClassVar[str] = "classification"
    models: ClassVar[dict[str, str]] = ENCODERS | DECODERS
    scratch: ClassVar[dict[str, Any]] = {"learning_rate": 5e-4, "epochs": 6}
    # The best of those tried with MiniLM on AG News.
    tuning: ClassVar[dict[str, Any]] = {
        "layer_decay": 0.9,
        "freeze_layers": 0,
        "label_smoothing": 0.1,
        "r_drop": 4.0,
        "epochs": 4,
    }

    train: Annotated[
        str, Setting("Training rows: a CSV or TSV file, plain or .gz.", DATA, metavar="FILE", required=True)
    ] = ""
    model: str = "bert"
    validation: Annotated[
        str | None,
        Setting("Held-out rows, in the same form; default: a tenth.", DATA, metavar="FILE"),
    ] = None
    test: Annotated[
        str | None, Setting("Test rows, in the same form, scored once at the end.", DATA, metavar="FILE")
    ] = None
    text_column: Annotated[
        str, Setting("Text columns: names, or numbers from 1 without a header, as in 2,3.", DATA)
    ] = "text"
    pair_column: Annotated[
        str | None, Setting("Column of a second text, such as a passage that may answer the first.", DATA)
    ] = None
    label_column: Annotated[
        str, Setting("Column of the label, or score: name, or number without a header.", DATA)
    ] = "label"
    delimiter: Annotated[
        str | None,
        Setting("Field delimiter, such as ';', '|' or tab; default: by the file's name.", DATA),
    ] = None
    header: Annotated[
        bool | None,
        Setting("Whether row 1 names the columns; default: if a column is given by name.", DATA),
    ] = None
    labels: Annotated[
        tuple[str, ...],
        Setting("Names of the labels 1, 2 ... or 0, 1 ..., as in A,B.", DATA, separator=","),
    ] = ()
    multi_label: Annotated[bool, Setting("A row may have several labels, or none.", DATA)] = False
    label_separator: Annotated[str, Setting("What parts several labels of a row.", DATA)] = ";"
    regression: Annotated[
        bool, Setting("The label is a score; the model has one output, as rerankers have.", DATA)
    ] = False
    activation: Annotated[
        Literal["sigmoid", "linear"] | None,
        Setting("Of a score; default: sigmoid if all scores are from 0 to 1, else linear.", MODEL),
    ] = None
    pooling: Annotated[
        Literal["pooled", "mean", "mean_sqrt_len", "max", "cls", "last"] | None,
        Setting("How a text becomes one vector.", MODEL),
    ] = None
    label_smoothing: LabelSmoothing = 0.0
    r_drop: Annotated[
        float, Setting("Weight of R-Drop, the divergence of two passes; 0: one pass.", OPTIMIZATION, min=0)
    ] = 0.0
    teacher: Teacher = None
    distillation: Distillation = 0.5
    temperature: Annotated[
        float, Setting("Temperature of the teacher's answers.", OPTIMIZATION, min=0.01)
    ] = 2.0
    metric: Annotated[
        Literal["accuracy", "macro_f1", "micro_f1", "spearman", "pearson"],
        dataclasses.replace(METRIC, panel=SCHEDULE),
    ] = "accuracy"

    def __post_init__(self):
        super().__post_init__()
        wrong = []
        if self.r_drop and self.dropout == 0:
            wrong.append("`r_drop` compares passes under dropout: it needs a `dropout` above 0.")
        if not self.train:
            wrong.append("Give `train`, a CSV or TSV file.")
        if self.multi_label and self.regression:
            wrong.append("`multi_label` and `regression` contradict each other: choose one.")
        if self.kind != "classes" and (self.r_drop or self.label_smoothing):
            wrong.append("`r_drop` and `label_smoothing` are for texts of one class: choose 0.")
        if self.regression and self.labels:
            wrong.append("`labels` are names of classes, and `regression` has none: leave them out.")
        if self.activation is not None and not self.regression:
            wrong.append("`activation` is for `regression` only: leave it out.")
        if not self.label_separator:
            wrong.append("`label_separator` must not be empty.")
        if self.metric not in METRICS[self.kind]:
            wrong.append(
                f"`metric` must be one of {', '.join(METRICS[self.kind])} here, got {self.metric!r}."
            )
        if wrong:
            raise TrainingError(" ".join(wrong))

    @property
    def kind(self) -> str:
        """What a row has: one of `"classes"`, several of `"labels"`, or a `"score"`."""
        return "score" if self.regression else "labels" if self.multi_label else "classes"

    @classmethod
    def recipe(cls, chosen: dict[str, Any]) -> dict[str, Any]:
        """Return the settings for a start; without dropout two passes would be the same."""
        recipe = super().recipe(chosen)
        if chosen.get("regression") or chosen.get("multi_label"):
            kind = "score" if chosen.get("regression") else "labels"
            return {**recipe, "r_drop": 0.0, "label_smoothing": 0.0, "metric": METRICS[kind][0]}
        return {**recipe, "r_drop": 0.0} if chosen.get("dropout") == 0 or chosen.get("teacher") else recipe
