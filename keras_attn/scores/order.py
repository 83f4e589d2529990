"""How well scores agree: correlations, and pairs in the same order."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def same_order(truth: Sequence[float], found: Sequence[float]) -> float:
    """Return the fraction of pairs of examples, of those that truth orders, that are in the same order."""
    one, other = np.sign(np.subtract.outer(truth, truth)), np.sign(np.subtract.outer(found, found))
    ordered = one != 0
    return float(np.mean(one[ordered] == other[ordered])) if ordered.any() else 1.0


def correlations(truth: Sequence[float], found: Sequence[float]) -> dict[str, Any]:
    """Compute Pearson's and Spearman's correlation; 0 where one side does not vary."""
    ranks = [_ranks(np.asarray(side, float)) for side in (truth, found)]
    return {"spearman": _pearson(*ranks), "pearson": _pearson(truth, found), "sentences": len(found)}


def _pearson(one: Any, other: Any) -> float:
    one, other = (np.asarray(side, float) - np.mean(side) for side in (one, other))
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / size if size else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks, of equal values their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
