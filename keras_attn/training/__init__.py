"""Training: from a corpus to a run folder.

`TranslationConfig`    settings, and recipes known to work
`train_translation`    the training itself
`load_run`             what a training left, for evaluation and export
`corpus_scores`        BLEU, chrF and exact matches
"""

from keras_attn.training.configuration import TranslationConfig
from keras_attn.training.errors import NonFiniteLossError, TrainingError
from keras_attn.training.evaluation import corpus_scores
from keras_attn.training.run import Run, load_run
from keras_attn.training.translation import TrainingResult, train_translation

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
