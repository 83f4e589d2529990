"""Training: from a corpus to a run folder. Loaded name by name, so that scoring text needs no Keras.

`TranslationConfig`, `ClassificationConfig`, `TokenClassificationConfig`, `QuestionAnsweringConfig`,
`EmbeddingConfig`, `MaskedLMConfig`, `CausalLMConfig`
                       settings, with recipes as defaults
`train`                the training of a configuration; `keras_attn.train` does it in one call
`load_run`             the model of a run folder, for evaluation and export
`corpus_scores`        BLEU, chrF and exact matches
`ClassPredictor`       classes of texts, by a Keras model
"""

from typing import TYPE_CHECKING

from keras_attn.lazy_names import lazy_names

if TYPE_CHECKING:
    from keras_attn.scores.bleu import corpus_scores
    from keras_attn.scores.classes import ClassPredictor
    from keras_attn.training.config.classification import ClassificationConfig
    from keras_attn.training.config.embedding import EmbeddingConfig
    from keras_attn.training.config.language import CausalLMConfig, MaskedLMConfig
    from keras_attn.training.config.question_answering import QuestionAnsweringConfig
    from keras_attn.training.config.token_classification import TokenClassificationConfig
    from keras_attn.training.config.translation import TranslationConfig
    from keras_attn.training.errors import NonFiniteLossError, TrainingError
    from keras_attn.training.loop import TrainingResult
    from keras_attn.training.run_folder import Run, load_run
    from keras_attn.training.start import train

__all__ = [
    "CausalLMConfig",
    "ClassPredictor",
    "ClassificationConfig",
    "EmbeddingConfig",
    "MaskedLMConfig",
    "NonFiniteLossError",
    "QuestionAnsweringConfig",
    "Run",
    "TokenClassificationConfig",
    "TrainingError",
    "TrainingResult",
    "TranslationConfig",
    "corpus_scores",
    "load_run",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CausalLMConfig": ".config.language",
        "ClassificationConfig": ".config.classification",
        "ClassPredictor": "keras_attn.scores.classes",
        "EmbeddingConfig": ".config.embedding",
        "MaskedLMConfig": ".config.language",
        "NonFiniteLossError": ".errors",
        "QuestionAnsweringConfig": ".config.question_answering",
        "Run": ".run_folder",
        "TokenClassificationConfig": ".config.token_classification",
        "TrainingError": ".errors",
        "TrainingResult": ".loop",
        "TranslationConfig": ".config.translation",
        "corpus_scores": "keras_attn.scores.bleu",
        "load_run": ".run_folder",
        "train": ".start",
    },
)
