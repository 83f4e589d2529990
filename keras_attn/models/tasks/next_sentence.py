"""Next-sentence prediction: BERT's second task."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.models.tasks.text_classifier import TextClassifier

LABELS = ("next", "random")


@keras.saving.register_keras_serializable("keras_attn")
class NextSentence(TextClassifier):
    """Predicts whether one text follows another (Devlin et al., 2019, section 3.1, task 2).

    Args:
        backbone: `Bert` or `BigBird`, with a pooler and two segments or more.
        labels: names of the two classes, first that of texts that follow.
        dropout: float, before the output layer.
        **kwargs: further arguments of `TextClassifier`.

    Call arguments:
        inputs: as for the backbone; the second text has the `segment_ids` 1.

    Returns:
        Logits, float tensor (B, 2).

    Raises:
        ArgumentError: if there are not two labels, or the backbone has no pooler or no second segment.
    """

    def __init__(
        self, backbone: keras.Model, labels: Sequence[str] = LABELS, dropout: float = 0.0, **kwargs: Any
    ) -> None:
        if not backbone.pooler or backbone.num_segments < 2:
            raise ArgumentError("`backbone` needs a pooler and two segments, to compare two texts.")
        if len(labels) != 2:
            raise ArgumentError(f"`labels` must be two, got {labels}.")
        super().__init__(backbone, labels, dropout=dropout, **kwargs)
