"""SentencePiece's model files (Kudo and Richardson, 2018, arXiv:1808.06226), read into plain data.

The few fields that decide how a text is split are read from the file itself: it is a Protocol Buffers message
(sentencepiece_model.proto), and the generated classes that several packages carry for it cannot be loaded
into one process together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_attn.errors import ArgumentError
from keras_attn.pretrained.errors import PretrainedError

UNIGRAM, BPE = 1, 2
KINDS = {UNIGRAM: "unigram", BPE: "BPE", 3: "word", 4: "character"}
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
# Numbers of the message's fields.
_PIECES, _TRAINER, _NORMALIZER, _DENORMALIZER = 1, 2, 3, 5
_TEXT, _SCORE, _TYPE = 1, 2, 3
_MODEL_TYPE, _SPACE_AS_SUFFIX, _BYTE_FALLBACK = 3, 24, 35
_CHARSMAP, _DUMMY_PREFIX, _TRIM, _ESCAPE = 2, 3, 4, 5


@dataclass(frozen=True)
class Piece:
    """An entry of the vocabulary: its text, its score, and its kind (`NORMAL`, `CONTROL`, ...)."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class PieceModel:
    """The contents of a model file.

    Attributes:
        path: the file.
        kind: `UNIGRAM` or `BPE`.
        pieces: the vocabulary.
        charsmap: compiled rules that replace characters before anything else; empty if there are none.
        byte_fallback: whether a character without a piece is split into its bytes.
        dummy_prefix: whether a space is prepended to a text.
        trims: whether spaces at both ends are removed, and repeated ones merged.
    """

    path: Path
    kind: int
    pieces: tuple[Piece, ...] = field(repr=False)
    charsmap: bytes = field(repr=False)
    byte_fallback: bool
    dummy_prefix: bool
    trims: bool

    def scores(self) -> dict[str, float]:
        """Return the pieces into which texts are split, with their scores.

        A user-defined piece, at which texts are split first, gets the best score.
        """
        kinds = {NORMAL: 1.0, USER_DEFINED: 0.0}
        return {piece.text: piece.score * kinds[piece.kind] for piece in self.pieces if piece.kind in kinds}


def read_piece_model(path: Path) -> PieceModel:
    """Read a model file.

    Raises:
        PretrainedError: if it is missing, broken or not supported, with all reasons.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        raise PretrainedError(f"{path} is missing.") from None
    except (ValueError, TypeError, LookupError, AttributeError, struct.error) as error:
        raise PretrainedError(
            f"{path} is not a SentencePiece model, or a broken one: {error}. Copy it again."
        ) from None


def _read(path: Path) -> PieceModel:
    pieces, parts = [], {_TRAINER: b"", _NORMALIZER: b"", _DENORMALIZER: b""}
    for number, value in _fields(path.read_bytes()):
        if number == _PIECES:
            row = dict(_fields(value))
            (score,) = struct.unpack("<f", row.get(_SCORE, bytes(4)))
            pieces.append(Piece(row[_TEXT].decode(), score, row.get(_TYPE, NORMAL)))
        elif number in parts:
            parts[number] = value
    if not any(piece.kind in (NORMAL, USER_DEFINED) for piece in pieces):
        raise ArgumentError("it has no pieces")
    trainer, normalizer = dict(_fields(parts[_TRAINER])), dict(_fields(parts[_NORMALIZER]))
    kind = trainer.get(_MODEL_TYPE, UNIGRAM)
    problems = []
    if kind not in (UNIGRAM, BPE):
        problems.append(f"it is a {KINDS.get(kind, kind)} model (only unigram and BPE are supported)")
    if kind == BPE and any(piece.kind == USER_DEFINED for piece in pieces):
        problems.append("it is a BPE model with user-defined symbols")
    if trainer.get(_SPACE_AS_SUFFIX):
        problems.append("treat_whitespace_as_suffix is on")
    if not normalizer.get(_ESCAPE, True):
        problems.append("escape_whitespaces is off")
    if dict(_fields(parts[_DENORMALIZER])).get(_CHARSMAP):
        problems.append("it has rules of denormalization")
    if problems:
        raise PretrainedError("\n  ".join([f"{path} is not supported:", *problems]))
    return PieceModel(
        path=path,
        kind=kind,
        pieces=tuple(pieces),
        charsmap=normalizer.get(_CHARSMAP, b""),
        byte_fallback=bool(trainer.get(_BYTE_FALLBACK)),
        dummy_prefix=bool(normalizer.get(_DUMMY_PREFIX, True)),
        trims=bool(normalizer.get(_TRIM, True)),
    )


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a Protocol Buffers message: number, and int or bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(message, at)
        elif wire in (1, 2, 5):
            size, at = _varint(message, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
            value, at = message[at : at + size], at + size
            if at > len(message):
                raise ArgumentError("it ends too early")
        else:
            raise ArgumentError(f"a field has the unknown wire type {wire}")
        yield key >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Read an int of seven bits a byte; return it and the position after it."""
    value = shift = 0
    while True:
        if at >= len(message):
            raise ArgumentError("it ends too early")
        byte, at = message[at], at + 1
        value, shift = value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at
