"""Words for the masks of a text: the mask filler and its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from keras_attn.device.errors import InputError
from keras_attn.device.tasks.encoder_task import EncoderTask
from keras_attn.device.tasks.result_views import html_table, shortened
from keras_attn.errors import ArgumentError

_SHOWN = 5  # words in a repr


@dataclass(frozen=True)
class Filling:
    """A word for the mask of a text.

    Attributes:
        text: the text with this word and, for the other masks, the best ones.
        token: the word as the vocabulary has it.
        id: its id.
        score: its probability.
        mask: index of the mask, from 0.
    """

    text: str
    token: str
    id: int
    score: float
    mask: int = 0


@dataclass(frozen=True)
class Fillings:
    """The words for each mask of a text, the best first; ``str()`` is the text with the best ones."""

    input: str
    outputs: list[Filling]

    def __str__(self) -> str:
        return self.outputs[0].text

    def __repr__(self) -> str:
        best = ", ".join(f"{output.token!r} {output.score:.3f}" for output in self.outputs[:_SHOWN])
        more = ", …" if len(self.outputs) > _SHOWN else ""
        return f"Fillings({shortened(self.input)}, [{best}{more}])"

    def _repr_html_(self) -> str:
        rows = ((str(o.mask + 1), o.token, f"{o.score:.3f}", o.text) for o in self.outputs)
        return html_table(self.input, ("mask", "token", "score", "text"), rows)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {"input": self.input, "outputs": [dict(vars(output)) for output in self.outputs]}


class MaskFiller(EncoderTask):
    """Finds words for masks: the mask token of the vocabulary, such as ``[MASK]``, written in the text."""

    @overload
    def fill_mask(self, text: str, top: int = 5) -> Fillings: ...

    @overload
    def fill_mask(self, text: Sequence[str], top: int = 5) -> list[Fillings]: ...

    def fill_mask(self, text: str | Sequence[str], top: int = 5) -> Fillings | list[Fillings]:
        """Find words for the masks of one text, or of each of a list.

        Args:
            text: one text, or several, with at least one mask each.
            top: how many words for each mask.

        Raises:
            InputError: a text has no mask, or is not valid Unicode.
            TextTooLong: a text has more tokens than the model takes.
            ArgumentError: ``top`` is below 1.
        """
        if isinstance(top, bool) or not isinstance(top, int) or top < 1:
            raise ArgumentError(f"top must be a whole number of at least 1, not {top!r}")
        return self.answer_each(text, lambda one: self._fill(one, top))

    def _fill(self, text: str, top: int) -> Fillings:
        ids = self._ids(text, truncates=False)
        positions = [i for i, token in enumerate(ids) if token == self.tokenizer.special_ids["mask"]]
        if not positions:
            raise InputError(
                f"The text has no {self.tokenizer.mask_token}; write it in position of each word to find."
            )
        scores = [np.exp(self.encoder.run(ids, position)) for position in positions]
        best = [np.argsort(-each, kind="stable")[:top] for each in scores]
        filled = list(ids)
        for position, tokens in zip(positions, best, strict=True):
            filled[position] = int(tokens[0])
        outputs = []
        for number, position in enumerate(positions):
            for token in best[number]:
                chosen = [*filled[:position], int(token), *filled[position + 1 :]]
                piece = self.tokenizer.tokenizer.id_to_token(int(token)) or f"<{token}>"
                score = float(scores[number][token])
                outputs.append(Filling(self.tokenizer.decode(chosen), piece, int(token), score, number))
        return Fillings(text, outputs)
