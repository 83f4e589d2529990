"""The proof of an encoder: the Keras model's values for a few dozen texts, with tolerances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.proof.decoder_proof import ProofFile
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.task_names import TOKEN_TASKS

NO_TOKEN = -1
TIE = 0.05
"""Log-probabilities of answers that are as good as each other: probabilities of 0.51 and 0.49."""


class Compared(NamedTuple):
    """What is compared of a text: rows (R,), values (R, K) and their references, and each row's best (R,)."""

    rows: np.ndarray
    ids: np.ndarray
    scores: np.ndarray
    best: np.ndarray

    def values(self, result: np.ndarray) -> np.ndarray:
        """Return the values of a result that are compared, (R, K); of a smaller one, others of it."""
        matrix = np.atleast_2d(result)
        return matrix[self.rows[:, None] % matrix.shape[0], self.ids % matrix.shape[1]]

    def fits(self, result: np.ndarray) -> bool:
        """Return whether the result has all values that are compared."""
        rows, width = np.atleast_2d(result).shape
        return self.rows.min() >= 0 and self.rows.max() < rows and self.ids.max() < width

    def agreement(self, result: np.ndarray) -> float:
        """Return the fraction of rows whose highest value is the reference's, or ties with it there."""
        answers = np.atleast_2d(result)[self.rows].argmax(axis=1)
        right = answers == self.best
        for row in np.flatnonzero(~right):
            there = np.flatnonzero(self.ids[row] == answers[row])
            scores = self.scores[row]
            right[row] = there.size > 0 and scores.max() - scores[there[0]] <= TIE
        return float(np.mean(right))


@dataclass(frozen=True)
class EncoderProof(ProofFile):
    """References of N texts of up to S tokens, with K values compared in each.

    Attributes:
        source_ids: (N, S) int32, padded.
        source_lengths: (N,) int32.
        positions: (N,) int32, the position whose word is predicted; 0 for other tasks.
        best: (N,) int32, index of the Keras model's highest score; -1 for embeddings.
        check_ids: (N, K) int32, which values are compared.
        check_scores: (N, K) float32, the Keras model's values.
    """

    _DIMENSIONS: ClassVar[Mapping[str, int]] = {
        "source_ids": 2,
        "source_lengths": 1,
        "positions": 1,
        "best": 1,
        "check_ids": 2,
        "check_scores": 2,
    }

    source_ids: np.ndarray
    source_lengths: np.ndarray
    positions: np.ndarray
    best: np.ndarray
    check_ids: np.ndarray
    check_scores: np.ndarray

    def __post_init__(self):
        count = len(self.source_ids)
        self._check(count, (count,), (count, self.check_ids.shape[-1]))

    def _check(self, count: int, best: tuple[int, ...], checked: tuple[int, ...]) -> None:
        vector = (count,)
        self.check_arrays(
            {
                "source_ids": (count, self.source_ids.shape[-1]),
                "source_lengths": vector,
                "positions": vector,
                "best": best,
                "check_ids": checked,
                "check_scores": checked,
            }
        )
        if count == 0:
            raise BundleError("the proof has no inputs")
        if self.source_lengths.min() < 1 or self.source_lengths.max() > self.source_ids.shape[1]:
            raise BundleError("the proof's source_lengths must be between 1 and the width of source_ids")

    def __len__(self) -> int:
        return len(self.source_ids)

    def source(self, i: int) -> np.ndarray:
        """Return the token ids of text i."""
        return self.source_ids[i, : self.source_lengths[i]]

    @property
    def embeds(self) -> bool:
        """Whether the values are embeddings."""
        return bool(np.all(self.best == NO_TOKEN))

    def compared(self, i: int) -> Compared:
        """Return what is compared of text i, whose result is one row."""
        first = np.zeros(1, np.int32)
        return Compared(first, self.check_ids[i][None], self.check_scores[i][None], self.best[i][None])


@dataclass(frozen=True)
class TokenProof(EncoderProof):
    """References of N texts whose result is a matrix, of which R rows are compared, K values in each.

    A row is a token, with a value for each label, or the start or the end of an answer, with a value for each
    token.

    Attributes:
        best: (N, R) int32, index of the highest value of each row.
        check_ids: (N, R, K) int32, which values are compared.
        check_scores: (N, R, K) float32, the Keras model's values.
        rows: (N, R) int32, which rows are compared.
    """

    _DIMENSIONS: ClassVar[Mapping[str, int]] = {
        **EncoderProof._DIMENSIONS,
        "best": 2,
        "check_ids": 3,
        "check_scores": 3,
        "rows": 2,
    }

    rows: np.ndarray

    def __post_init__(self):
        count, checked = len(self.source_ids), self.check_ids.shape
        self._check(count, checked[:2], (count, *checked[1:]))
        self.check_arrays({"rows": (count, checked[1])})

    @property
    def embeds(self) -> bool:
        """Whether the values are embeddings, which they never are."""
        return False

    def compared(self, i: int) -> Compared:
        """Return what is compared of text i."""
        return Compared(self.rows[i], self.check_ids[i], self.check_scores[i], self.best[i])


def proof_kind(task: str) -> type[EncoderProof]:
    """Return the class of the proof of an encoder's task."""
    return TokenProof if task in TOKEN_TASKS else EncoderProof


@dataclass
class EncoderFigures:
    """The differences between an encoder and a proof's references.

    Attributes:
        max_error: largest difference of a value, as ``tolerance`` counts it.
        mean_error: mean difference over all values compared.
        agreement: fraction of texts, or rows, whose highest score is the reference's, or ties with it there;
            for embeddings, the mean cosine.
        texts: texts compared.
        worst: text and signature of the largest difference.
        signatures: signatures that were used.
    """

    max_error: float
    mean_error: float
    agreement: float
    texts: int
    worst: dict[str, Any]
    signatures: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return dict(self.__dict__)


def measure_encoder(encoder: Encoder, proof: EncoderProof) -> EncoderFigures:
    """Compare an encoder with a proof, text by text.

    Raises:
        BundleError: a value is not finite.
    """
    errors, agreements, signatures = [], [], set()
    worst, largest = {}, -1.0
    name_of = getattr(encoder, "signature_for", lambda length: f"{length} tokens")
    for i in range(len(proof)):
        source = proof.source(i)
        result = encoder.run(source.tolist(), int(proof.positions[i]))
        at, compared = {"text": i, "signature": name_of(len(source))}, proof.compared(i)
        if not compared.fits(result):
            raise BundleError(f"text {i}: the proof compares values that the model does not return")
        checked = compared.values(result)
        difference = counted_errors(checked, compared.scores, proof.embeds, proof.logit_size)
        if np.isnan(result).any() or not np.all(np.isfinite(difference)):
            raise BundleError(f"text {i}, signature {at['signature']}: a value is not finite")
        errors.append(difference)
        if difference.max() > largest:
            worst, largest = at, float(difference.max())
        if proof.embeds:
            agreements.append(cosine(checked[0], proof.check_scores[i]))
        else:
            agreements.append(compared.agreement(result))
        signatures.add(at["signature"])
    return EncoderFigures(
        max_error=largest,
        mean_error=float(np.mean(errors)),
        agreement=float(np.mean(agreements)),
        texts=len(proof),
        worst=worst,
        signatures=sorted(signatures),
    )


def exchanged_texts(encoder: Encoder, proof: EncoderProof) -> list[float]:
    """Measure how much a text's values differ from those of the next text.

    With an encoder that ignores its input they are all equal.

    Returns:
        The mean difference for each text that differs from the next one.
    """
    results = [encoder.run(proof.source(i).tolist(), int(proof.positions[i])) for i in range(len(proof))]
    changes = []
    for i in range(len(proof)):
        following = (i + 1) % len(proof)
        if not np.array_equal(proof.source(i), proof.source(following)):
            here, there = (proof.compared(i).values(results[each]) for each in (i, following))
            change = counted_errors(there, here, proof.embeds)
            changes.append(float(np.mean(change)))
    return changes


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine between two vectors."""
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
