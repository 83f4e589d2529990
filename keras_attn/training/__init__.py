"""Training: from a corpus to a run folder. Loaded name by name, so that scoring text needs no Keras.

`TranslationConfig`    settings, and recipes known to work
`train_translation`    the training itself
`load_run`             what a training left, for evaluation and export
`corpus_scores`        BLEU, chrF and exact matches
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_attn.training.configuration import TranslationConfig
    from keras_attn.training.errors import NonFiniteLossError, TrainingError
    from keras_attn.training.evaluation import corpus_scores
    from keras_attn.training.loop import TrainingResult
    from keras_attn.training.run import Run, load_run
    from keras_attn.training.translation import train_translation

_HOMES = {
    "NonFiniteLossError": "errors",
    "Run": "run",
    "TrainingError": "errors",
    "TrainingResult": "loop",
    "TranslationConfig": "configuration",
    "corpus_scores": "evaluation",
    "load_run": "run",
    "train_translation": "translation",
}

__all__ = [
    "NonFiniteLossError",
    "Run",
    "TrainingError",
    "TrainingResult",
    "TranslationConfig",
    "corpus_scores",
    "load_run",
    "train_translation",
]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
