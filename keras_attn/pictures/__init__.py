"""Pictures of what a model does and how its training went.

Every function takes numbers and returns what a notebook shows: a Matplotlib figure or a ``Page`` of HTML.
With a path it writes that file as well; the ending chooses the format: ``.png``, ``.svg``, ``.pdf``, and for
alignments and heads ``.html``. The first figure loads Matplotlib.
"""

from keras_attn.device.tasks.alignment import Alignment
from keras_attn.pictures.alignment import alignment_matrix, alignment_page
from keras_attn.pictures.calibration import calibration_curve
from keras_attn.pictures.confusion import confusion_matrix
from keras_attn.pictures.curves import bleu_by_length, training_curves
from keras_attn.pictures.fonts import MissingGlyphWarning, can_draw
from keras_attn.pictures.head_view import head_view
from keras_attn.pictures.heads import attention_heads, position_encoding, whole_words
from keras_attn.pictures.page import Page

__all__ = [
    "Alignment",
    "MissingGlyphWarning",
    "Page",
    "alignment_matrix",
    "alignment_page",
    "attention_heads",
    "bleu_by_length",
    "calibration_curve",
    "can_draw",
    "confusion_matrix",
    "head_view",
    "position_encoding",
    "training_curves",
    "whole_words",
]


def __dir__() -> list[str]:
    return sorted(__all__)
