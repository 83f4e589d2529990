"""Settings that the trainings of encoders with a head share: of classifiers, recognizers and others."""

import dataclasses
from typing import Annotated

from keras_attn.training.config.setting import MODEL, OPTIMIZATION, Setting, documented
from keras_attn.training.config.text import TextConfig
from keras_attn.training.config.training_config import Boundaries


@documented
@dataclasses.dataclass(frozen=True)
class EncoderConfig(TextConfig):
    """Settings that the trainings of encoders with a head share.

    Learning rates that fall from layer to layer are those of Howard and Ruder, 2018 (arXiv:1801.06146),
    section 3.2.
    """

    boundaries: Boundaries = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    layer_decay: Annotated[
        float,
        Setting("Ratio of a layer's learning rate to that of the next layer.", OPTIMIZATION, min=0.01, max=1),
    ] = 1.0
    freeze_layers: Annotated[
        int, Setting("Freeze the embeddings and the first N layers (-1: nothing).", MODEL, min=-1)
    ] = -1
    learning_rate: float = 1e-4
    warmup: int = 50
    epochs: int = 3
