"""Results of decoding: translations, their scores, and what each token attended to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from textwrap import shorten
from typing import Any

import numpy as np

from keras_attn.device.errors import InputError
from keras_attn.device.search.beam_search import Hypothesis
from keras_attn.device.tasks.alignment import WORD_START, Alignment
from keras_attn.device.tasks.alignment_html import alignments_html
from keras_attn.device.text.tokenizer import Tokenizer
from keras_attn.errors import ArgumentError, ArgumentTypeError

_LARGEST_ALIGNMENTS = 2**27
"""Numbers in the alignments of texts that are translated with one call, 512 MB."""


@dataclass(frozen=True)
class Output:
    """One translation of a text.

    Attributes:
        text: the translation.
        score: log-probability divided by length to the power of the length penalty, the length counting the
            end token. For a text that was cut into parts, log-probabilities and lengths are added up first.
        ids: the target tokens, without start and end.
        tokenizer: of the target.
        alignment: (len(ids), S) float32, the attention with which each id was produced, or None.
    """

    text: str
    score: float
    ids: list[int] = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)
    alignment: np.ndarray | None = field(default=None, repr=False)

    @cached_property
    def pieces(self) -> list[str]:
        """A string to show for each id; see ``Tokenizer.pieces``."""
        return self.tokenizer.pieces(self.ids)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {"text": self.text, "score": self.score, "ids": self.ids}


@dataclass(frozen=True)
class Decoded:
    """The result of decoding a text.

    Attributes:
        input: the text as it was given.
        outputs: what it produced, the best first.
        source_ids: the S tokens of the text.
    """

    input: str
    outputs: list[Output]
    source_ids: list[int] = field(repr=False)

    @property
    def text(self) -> str:
        """The best output."""
        return self.outputs[0].text

    @property
    def score(self) -> float:
        """The best output's score."""
        return self.outputs[0].score

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {"input": self.input, "outputs": [output.to_json() for output in self.outputs]}


@dataclass(frozen=True, repr=False)
class Translation(Decoded):
    """A text's translations; ``str()`` is the best one, and a notebook shows it with its alignment.

    Each part of the text closes ``source_ids`` with an end token.

    Attributes:
        tokenizer: of the source.
    """

    tokenizer: Tokenizer = field(repr=False)

    @cached_property
    def source_pieces(self) -> list[str]:
        """A string to show for each source token; see ``Tokenizer.pieces``."""
        return self.tokenizer.pieces(self.source_ids)

    @property
    def alignment(self) -> np.ndarray | None:
        """The best translation's attention over the source tokens, (T, S) float32, or None."""
        return self.outputs[0].alignment

    def to_alignment(self) -> Alignment:
        """Return the best translation's alignment as it is drawn: pieces with their marks of words' starts.

        Raises:
            ArgumentError: the model has no attention, the alignment was not asked for, or the text is empty.
        """
        best = self.outputs[0]
        if best.alignment is None:
            raise ArgumentError(
                "there is no alignment to draw: translate with `alignments=True`, by a model "
                "that has attention"
            )
        return Alignment(
            marked_pieces(self.source_pieces, self.source_ids, self.tokenizer),
            marked_pieces(best.pieces, best.ids, best.tokenizer),
            best.alignment,
            f"{self.input.strip()} → {best.text}",
        )

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        more = f", {len(self.outputs)} outputs" if len(self.outputs) > 1 else ""
        return f"Translation({shorten(self.text, 80, placeholder='…')!r}, score={self.score:.3f}{more})"

    def _repr_html_(self) -> str:
        """Return the alignment as a table of shaded cells where there is one, otherwise both texts."""
        if self.alignment is not None and self.alignment.size:
            return alignments_html([self.to_alignment()])
        return f"<p><bdi>{escape(self.input)}</bdi> → <bdi>{escape(self.text)}</bdi></p>"


def marked_pieces(pieces: Sequence[str], ids: Sequence[int], tokenizer: Tokenizer) -> list[str]:
    """Return pieces to show with the marks of words' starts put back, which pictures draw as gaps.

    Args:
        pieces: what ``tokenizer.pieces`` returns for ``ids``.
        ids: token ids.
        tokenizer: whose ids they are.
    """
    special = set(tokenizer.special_ids.values())
    starts = [token in special or tokenizer.token(token).startswith(WORD_START) for token in ids]
    return [WORD_START * start + piece for piece, start in zip(pieces, starts, strict=True)]


def checked_texts(text: Any) -> list[str]:
    """Return the texts of an argument that is one or a list of them.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if isinstance(text, str):
        return [text]
    if not isinstance(text, Sequence) or isinstance(text, bytes | bytearray):
        raise ArgumentTypeError(f"text must be a string or a list of strings, not {type(text).__name__}")
    for number, one in enumerate(text):
        if not isinstance(one, str):
            raise ArgumentTypeError(f"text[{number}] must be a string, not {type(one).__name__}")
    return list(text)


def check_alignment_size(numbers: int, tokens: int) -> None:
    """Refuse texts so long that their alignments, which grow with the square, would fill the memory.

    Args:
        numbers: in all alignments that are to be kept.
        tokens: of the text at hand, as far as it has been read.

    Raises:
        InputError: there are too many.
    """
    if numbers > _LARGEST_ALIGNMENTS:
        raise InputError(
            f"alignments: a text has {tokens} tokens or more, and the matrices of this call are too large; "
            "translate shorter texts, or fewer at a time, or do without alignments."
        )


def joined_alignment(hypotheses: Sequence[Hypothesis], lengths: Sequence[int]) -> np.ndarray | None:
    """Place the parts' alignments along the diagonal; ``lengths`` are those of the parts' sources."""
    joined = np.zeros((sum(len(hypothesis.ids) for hypothesis in hypotheses), sum(lengths)), np.float32)
    row = column = 0
    for hypothesis, length in zip(hypotheses, lengths, strict=True):
        if hypothesis.alignment is None:
            return None
        rows = len(hypothesis.ids)
        joined[row : row + rows, column : column + length] = hypothesis.alignment[:, :length]
        row, column = row + rows, column + length
    return joined
