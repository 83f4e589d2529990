"""Ids as vectors over a vocabulary: one-hot, multi-hot, counts and tf-idf, as Keras encodes categories."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.preprocessing.fields import field, is_size, is_text, list_of, optional

MODES = ("one_hot", "multi_hot", "count", "tf_idf")
# An id that no vector has a place for.
DROPPED = -1


@dataclass(frozen=True)
class Bag:
    """How ids become a vector.

    Attributes:
        mode: ``one_hot``: a vector for each id; ``multi_hot``: 1 where an id occurs in the example;
            ``count``: how many times it occurs; ``tf_idf``: the count times the id's weight.
        depth: length of the vector. Other ids than those below it count nowhere.
        weights: of ``tf_idf``, one for each id.
    """

    mode: str
    depth: int
    weights: np.ndarray | None = None

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """Return the vectors, float32, of ids (B, N) or (B,).

        The shape is (B, depth); for one-hot of N > 1 ids (B, N, depth).
        """
        if self.mode == "one_hot":
            ids = ids[:, 0] if ids.ndim == 2 and ids.shape[1] == 1 else ids
            return self._counts(ids.reshape(-1, 1)).reshape(*ids.shape, self.depth)
        counts = self._counts(ids)
        if self.mode == "multi_hot":
            return np.minimum(counts, np.float32(1))
        return counts if self.weights is None else counts * self.weights

    def _counts(self, ids: np.ndarray) -> np.ndarray:
        ids = ids.reshape(len(ids), ids.size // max(1, len(ids)))
        counts = np.zeros((len(ids), self.depth), np.float32)
        rows, columns = np.nonzero((ids >= 0) & (ids < self.depth))
        np.add.at(counts, (rows, ids[rows, columns]), np.float32(1))
        return counts

    def to_json(self) -> dict[str, Any]:
        """Return the bag as plain values."""
        weights = None if self.weights is None else self.weights.tolist()
        return {"mode": self.mode, "depth": self.depth, "weights": weights}

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Bag:
        """Read what ``to_json`` returned.

        Raises:
            BundleError: a field is missing or damaged.
        """
        mode = field(described, "mode", lambda value: is_text(value) and value in MODES)
        depth = field(described, "depth", is_size)
        listed = field(described, "weights", optional(list_of(_is_number)))
        if (listed is not None) != (mode == "tf_idf") or (listed is not None and len(listed) != depth):
            raise BundleError("the manifest's preprocessing is damaged at 'weights'; copy the bundle again.")
        return cls(mode, depth, None if listed is None else np.array(listed, np.float32))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
