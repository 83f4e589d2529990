"""Settings of `train embedding`, and its recipes: the default hyperparameters."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from keras_attn.training.config.classification import Teacher
from keras_attn.training.config.encoder import EncoderConfig
from keras_attn.training.config.setting import DATA, MODEL, OPTIMIZATION, SCHEDULE, Setting, documented
from keras_attn.training.config.text import DECODERS, ENCODERS
from keras_attn.training.config.training_config import METRIC
from keras_attn.training.errors import TrainingError


@documented
@dataclasses.dataclass(frozen=True)
class EmbeddingConfig(EncoderConfig):
    """Settings of a sentence encoder's training.

    Of pairs and triplets, a text's positive is to be closer to it than all other positives and negatives of
    the batch (Henderson et al., 2017, arXiv:1705.00652, section 4). With `accumulate` the gradients of the
    vectors are cached (Gao et al., 2021, arXiv:2101.06983), so that the step is that of the whole batch.
    Pairs with a score are trained to have cosines in the order of their scores (CoSENT, Su, 2022). With a
    teacher, vectors are trained to be the teacher's (Reimers and Gurevych, 2020, arXiv:2004.09813); plain
    texts then suffice. `dimensions` are those of Matryoshka representations (Kusupati et al., 2022,
    arXiv:2205.13147). Texts are read as they are: prompts belong into the data.
    """

    task: ClassVar[str] = "embedding"
    models: ClassVar[dict[str, str]] = ENCODERS | DECODERS
    scratch: ClassVar[dict[str, Any]] = {"learning_rate": 5e-4, "epochs": 10}
    tuning: ClassVar[dict[str, Any]] = {"learning_rate": 5e-5, "epochs": 2}

    train: Annotated[
        str,
        Setting(
            "Training rows: TSV or CSV of 2 texts, 3 with a negative, or 2 and a score; JSON lines; with a "
            "teacher also a text file.",
            DATA,
            metavar="FILE",
            required=True,
        ),
    ] = ""
    model: str = "bert"
    validation: Annotated[
        str | None, Setting("Held-out rows, in the same form; default: a tenth.", DATA, metavar="FILE")
    ] = None
    test: Annotated[
        str | None, Setting("Test rows, in the same form, scored once at the end.", DATA, metavar="FILE")
    ] = None
    pooling: Annotated[
        Literal["mean", "mean_sqrt_len", "weighted_mean", "max", "cls", "last"] | None,
        Setting("How a text becomes one vector.", MODEL),
    ] = None
    dimensions: Annotated[
        tuple[int, ...],
        Setting(
            "Numbers of first values that are also trained to be vectors, as in 64,128.", MODEL, separator=","
        ),
    ] = ()
    similarity_scale: Annotated[
        float, Setting("Factor of cosines in the softmax over the batch.", OPTIMIZATION, min=0.01)
    ] = 20.0
    teacher: Teacher = None
    distillation: Annotated[
        float,
        Setting("Weight of the teacher in the loss; the rest is the pairs'.", OPTIMIZATION, min=0, max=1),
    ] = 1.0
    translations: Annotated[
        bool,
        Setting("The texts of a row are translations: all learn the teacher's vector of the first.", DATA),
    ] = False
    batch_size: int = 64
    metric: Annotated[
        Literal["mrr", "recall_at_1", "spearman", "cosine"] | None,
        dataclasses.replace(METRIC, panel=SCHEDULE),
    ] = None

    def __post_init__(self):
        super().__post_init__()
        wrong = []
        if not self.train:
            wrong.append("Give `train`, a file of pairs.")
        if self.translations and self.teacher is None:
            wrong.append("`translations` learn a teacher's vectors: give `teacher`.")
        if any(each < 1 for each in self.dimensions):
            wrong.append(f"`dimensions` must be at least 1, got {self.dimensions}.")
        if self.batch_size < 2:
            wrong.append("`batch_size` must be at least 2: the other rows of a batch are the negatives.")
        if wrong:
            raise TrainingError(" ".join(wrong))
