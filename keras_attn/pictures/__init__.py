"""Pictures of what a model does and how its training went.

Every function takes numbers and a path and writes one file, aside and then renamed. The ending of the path
chooses the format: ``.png``, ``.svg``, ``.pdf``, and for alignments and heads ``.html``. The first picture
loads Matplotlib.
"""

from keras_attn.pictures.alignment import Alignment, alignment_matrix, alignment_page
from keras_attn.pictures.confusion import confusion_matrix
from keras_attn.pictures.curves import bleu_by_length, training_curves
from keras_attn.pictures.fonts import MissingGlyphWarning, can_draw
from keras_attn.pictures.heads import attention_heads, position_encoding, whole_words

__all__ = [
    "Alignment",
    "MissingGlyphWarning",
    "alignment_matrix",
    "alignment_page",
    "attention_heads",
    "bleu_by_length",
    "can_draw",
    "confusion_matrix",
    "position_encoding",
    "training_curves",
    "whole_words",
]


def __dir__() -> list[str]:
    return sorted(__all__)
