"""One number per text or pair of texts, such as a reranker's: the scorer and its result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.tasks.encoder_task import EncoderTask
from keras_attn.device.text.tokenizer import EncoderTokenizer


class Score(float):
    """The score of a text, or of two: a float that knows its texts."""

    input: str
    pair: str | None

    def __new__(cls, value: float, text: str, pair: str | None = None) -> Score:
        """Make the score ``value`` of a text."""
        made = super().__new__(cls, value)
        made.input, made.pair = text, pair
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.input, self.pair

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        pair = {} if self.pair is None else {"pair": self.pair}
        return {"input": self.input, **pair, "outputs": [{"score": float(self)}]}


class Scorer(EncoderTask):
    """Scores texts or pairs of texts.

    Args:
        encoder: computes one logit.
        tokenizer: the model's tokenizer.
        activation: ``"sigmoid"``, which makes a probability of it, or ``"linear"``.
    """

    def __init__(self, encoder: Encoder, tokenizer: EncoderTokenizer, activation: str = "sigmoid"):
        super().__init__(encoder, tokenizer)
        self.activation = activation

    @overload
    def score(self, text: str, pair: str | None = None, *, truncate: bool = False) -> Score: ...

    @overload
    def score(
        self, text: Sequence[str], pair: str | Sequence[str] | None = None, *, truncate: bool = False
    ) -> list[Score]: ...

    def score(
        self, text: str | Sequence[str], pair: str | Sequence[str] | None = None, *, truncate: bool = False
    ) -> Score | list[Score]:
        """Score one text, or each of a list, with or without a second text after it.

        Args:
            text: one text, or several.
            pair: the second text, such as a passage that may answer the first; or several: with one text each
                is scored with it, with several texts they belong to the texts in their order.
            truncate: whether to read only the beginning of texts that are too long; otherwise it raises.

        Raises:
            TextTooLong: the texts have more tokens than the model takes.
            InputError: a text is not valid Unicode, or there are not as many second texts as texts.
            ArgumentTypeError: a text is not a string.
        """

        def one(first: str, second: str | None) -> Score:
            logit = float(self.encoder.run(self.ids(first, truncate, second))[0])
            value = logit
            if self.activation == "sigmoid":
                value = float(np.exp(-np.logaddexp(0.0, -logit)))
            return Score(value, first, second)

        return self.answer_pairs(text, pair, one)
