"""Scores of trained models on held-out text: a run, a bundle or a checkpoint, whichever the task.

`evaluate`             BLEU, chrF and exact matches, accuracy and macro F1, or perplexity, as the task has it
`corpus_scores`        BLEU, chrF and exact matches of translations
`translate_corpus`     the translations of a test set
`class_scores`         accuracy and macro F1 from the counts of `confusion`
"""

from typing import TYPE_CHECKING

from keras_attn.lazy_names import lazy_names

if TYPE_CHECKING:
    from keras_attn.evaluation.api import evaluate
    from keras_attn.scores.bleu import corpus_scores, translate_corpus
    from keras_attn.scores.classes import class_scores, confusion

__all__ = ["class_scores", "confusion", "corpus_scores", "evaluate", "translate_corpus"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "class_scores": "keras_attn.scores.classes",
        "confusion": "keras_attn.scores.classes",
        "corpus_scores": "keras_attn.scores.bleu",
        "evaluate": ".api",
        "translate_corpus": "keras_attn.scores.bleu",
    },
)
