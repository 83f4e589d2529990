"""Training: from a corpus to a run folder. Loaded name by name, so that scoring text needs no Keras.

`TranslationConfig`, `ClassificationConfig`, `MaskedLMConfig`, `CausalLMConfig`
                       settings, and recipes known to work
`train_translation`, `train_classification`, `train_masked_lm`, `train_causal_lm`
                       the trainings themselves, by the one loop of `loop.py`
`load_run`             what a training left, for evaluation and export
`corpus_scores`        BLEU, chrF and exact matches
`Classifier`           classes of texts, by a Keras model
"""

from typing import TYPE_CHECKING

from keras_attn.lazy_names import lazy_names

if TYPE_CHECKING:
    from keras_attn.training.config.text import CausalLMConfig, ClassificationConfig, MaskedLMConfig
    from keras_attn.training.config.translation import TranslationConfig
    from keras_attn.training.errors import NonFiniteLossError, TrainingError
    from keras_attn.training.evaluation.classifier import Classifier
    from keras_attn.training.evaluation.translation_scores import corpus_scores
    from keras_attn.training.loop import TrainingResult
    from keras_attn.training.run_folder import Run, load_run
    from keras_attn.training.tasks.causal_lm import train_causal_lm
    from keras_attn.training.tasks.classification import train_classification
    from keras_attn.training.tasks.masked_lm import train_masked_lm
    from keras_attn.training.tasks.translation import train_translation

__all__ = [
    "CausalLMConfig",
    "ClassificationConfig",
    "Classifier",
    "MaskedLMConfig",
    "NonFiniteLossError",
    "Run",
    "TrainingError",
    "TrainingResult",
    "TranslationConfig",
    "corpus_scores",
    "load_run",
    "train_causal_lm",
    "train_classification",
    "train_masked_lm",
    "train_translation",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CausalLMConfig": ".config.text",
        "ClassificationConfig": ".config.text",
        "Classifier": ".evaluation.classifier",
        "MaskedLMConfig": ".config.text",
        "NonFiniteLossError": ".errors",
        "Run": ".run_folder",
        "TrainingError": ".errors",
        "TrainingResult": ".loop",
        "TranslationConfig": ".config.translation",
        "corpus_scores": ".evaluation.translation_scores",
        "load_run": ".run_folder",
        "train_causal_lm": ".tasks.causal_lm",
        "train_classification": ".tasks.classification",
        "train_masked_lm": ".tasks.masked_lm",
        "train_translation": ".tasks.translation",
    },
)
