"""An alignment: which source pieces a model attended to for each target piece, and how pieces are shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_attn.errors import ArgumentError

WORD_START = "▁"
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class Alignment:
    """An alignment matrix: pieces on both axes and the weights (target, source) between them.

    Attributes:
        source_pieces: S tokens, word starts marked with "▁".
        target_pieces: T tokens.
        weights: (T, S) attention weights, not negative.
        title: a line above.
    """

    source_pieces: Sequence[str]
    target_pieces: Sequence[str]
    weights: np.ndarray
    title: str = ""

    def __post_init__(self) -> None:
        """Check that the weights fit the pieces.

        Raises:
            ArgumentError: the weights are not a (target, source) matrix of finite numbers >= 0, or are empty.
        """
        shape = (len(self.target_pieces), len(self.source_pieces))
        if np.shape(self.weights) != shape:
            raise ArgumentError(
                f"alignment weights have the shape {np.shape(self.weights)}, but there are {shape[0]} target "
                f"and {shape[1]} source pieces"
            )
        if 0 in shape:
            raise ArgumentError("an alignment needs at least one source piece and one target piece")
        if not np.all(np.isfinite(self.weights)) or np.min(self.weights) < 0:
            raise ArgumentError("alignment weights must be finite and not negative")


def label(piece: str) -> str:
    """Return a token as a reader wants to see it: without its word mark, bytes and controls spelled out."""
    if byte := _BYTE_PIECE.fullmatch(piece):
        return f"0x{byte[1]}"
    text = piece.removeprefix(WORD_START) or "␣"
    text = "".join(chr(0x2400 + ord(c)) if ord(c) < 32 else c for c in text)
    # A combining mark alone stands on a dotted circle.
    return f"◌{text}" if unicodedata.category(text[0]).startswith("M") else text


def word_starts(pieces: Sequence[str]) -> list[bool]:
    """Return for each piece whether a word starts there; for all of them when no piece is marked."""
    if not any(piece.startswith(WORD_START) for piece in pieces):
        return [True] * len(pieces)
    return [piece.startswith(WORD_START) for piece in pieces]


def reads_from_right(pieces: Sequence[str]) -> bool:
    """Return whether most letters belong to a script written from right to left."""
    directions = [unicodedata.bidirectional(character) for piece in pieces for character in piece]
    right = sum(direction in {"R", "AL"} for direction in directions)
    return right > sum(direction == "L" for direction in directions)
