"""Settings of `train classification`, and its recipes: the default hyperparameters."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from keras_attn.training.config.encoder import EncoderConfig
from keras_attn.training.config.setting import DATA, MODEL, OPTIMIZATION, SCHEDULE, Setting, documented
from keras_attn.training.config.text import DECODERS, ENCODERS
from keras_attn.training.config.training_config import METRIC, LabelSmoothing
from keras_attn.training.errors import TrainingError


@documented
@dataclasses.dataclass(frozen=True)
class ClassificationConfig(EncoderConfig):
    """Settings of a text classifier's training.

    R-Drop is that of Liang et al., 2021 (arXiv:2106.14448), and takes twice the time. By default texts
    are pooled as the model was trained to, those of `gpt2` by the last token.
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
    label_column: Annotated[str, Setting("Label column: name, or number without a header.", DATA)] = "label"
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
    pooling: Annotated[
        Literal["pooled", "mean", "mean_sqrt_len", "max", "cls", "last"] | None,
        Setting("How a text becomes one vector.", MODEL),
    ] = None
    label_smoothing: LabelSmoothing = 0.0
    r_drop: Annotated[
        float, Setting("Weight of R-Drop, the divergence of two passes; 0: one pass.", OPTIMIZATION, min=0)
    ] = 0.0
    metric: Annotated[Literal["accuracy", "macro_f1"], dataclasses.replace(METRIC, panel=SCHEDULE)] = (
        "accuracy"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.r_drop and self.dropout == 0:
            raise TrainingError("`r_drop` compares passes under dropout: it needs a `dropout` above 0.")
        if not self.train:
            raise TrainingError("Give `train`, a CSV or TSV file.")

    @classmethod
    def recipe(cls, chosen: dict[str, Any]) -> dict[str, Any]:
        """Return the settings for a start; without dropout two passes would be the same."""
        recipe = super().recipe(chosen)
        return {**recipe, "r_drop": 0.0} if chosen.get("dropout") == 0 else recipe
