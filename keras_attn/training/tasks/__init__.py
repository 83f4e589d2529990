"""One training per task: what is read, which model is made, how it is evaluated."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_attn.training.loop import Training

TRAININGS = {
    "translation": "translation.TranslationTraining",
    "classification": "classification.ClassificationTraining",
    "token-classification": "token_classification.TokenClassificationTraining",
    "question-answering": "question_answering.QuestionAnsweringTraining",
    "embedding": "embedding.EmbeddingTraining",
    "masked-lm": "masked_lm.MaskedLMTraining",
    "causal-lm": "causal_lm.CausalLMTraining",
}


def training_class(task: str) -> "type[Training]":
    """Return the training of a task, which loads Keras."""
    module, name = TRAININGS[task].split(".")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
