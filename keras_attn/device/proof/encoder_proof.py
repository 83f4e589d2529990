"""The proof of an encoder: the Keras model's values for a few dozen texts, with tolerances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.proof.decoder_proof import ProofFile
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn.device.runtime.encoder import Encoder

NO_TOKEN = -1
TIE = 0.05
"""Log-probabilities of answers that are as good as each other: probabilities of 0.51 and 0.49."""


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
        vector, checked = (count,), (count, self.check_ids.shape[-1])
        self.check_arrays(
            {
                "source_ids": (count, self.source_ids.shape[-1]),
                "source_lengths": vector,
                "positions": vector,
                "best": vector,
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


@dataclass
class EncoderFigures:
    """The differences between an encoder and a proof's references.

    Attributes:
        max_error: largest difference of a value, as ``tolerance`` counts it.
        mean_error: mean difference over all values compared.
        agreement: fraction of texts whose highest score is the reference's, or ties with it there; for
            embeddings, the mean cosine.
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
        at = {"text": i, "signature": name_of(len(source))}
        checked = result[proof.check_ids[i]]
        difference = counted_errors(checked, proof.check_scores[i], proof.embeds, proof.logit_size)
        if np.isnan(result).any() or not np.all(np.isfinite(difference)):
            raise BundleError(f"text {i}, signature {at['signature']}: a value is not finite")
        errors.append(difference)
        if difference.max() > largest:
            worst, largest = at, float(difference.max())
        if proof.embeds:
            agreements.append(cosine(checked, proof.check_scores[i]))
        else:
            agreements.append(float(_agrees(int(result.argmax()), proof, i)))
        signatures.add(at["signature"])
    return EncoderFigures(
        max_error=largest,
        mean_error=float(np.mean(errors)),
        agreement=float(np.mean(agreements)),
        texts=len(proof),
        worst=worst,
        signatures=sorted(signatures),
    )


def _agrees(answer: int, proof: EncoderProof, i: int) -> bool:
    """Return whether an answer to text i is the reference's best, or as good for the reference."""
    scores = proof.check_scores[i]
    there = np.flatnonzero(proof.check_ids[i] == answer)
    return answer == proof.best[i] or (there.size > 0 and scores.max() - scores[there[0]] <= TIE)


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
            checked = proof.check_ids[i]
            change = counted_errors(results[following][checked], results[i][checked], proof.embeds)
            changes.append(float(np.mean(change)))
    return changes


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine between two vectors."""
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
