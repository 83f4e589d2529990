"""How well vectors find what belongs to them: reciprocal rank and recall."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_attn.scores.order import correlations

RECALLS = (1, 5, 10)


def retrieval_scores(
    queries: np.ndarray, candidates: np.ndarray, right: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Rank candidates for each query by their cosine.

    Args:
        queries: (N, D).
        candidates: (M, D).
        right: numbers of the candidates that belong to each query.

    Returns:
        `mrr`, the mean reciprocal rank of the first right candidate, `recall_at_1`, `recall_at_5` and
        `recall_at_10`, the shares of queries with a right candidate so far up, and the number of `sentences`,
        the queries. Of equal cosines the wrong one counts as the better.
    """
    ranks = []
    unit = unit_vectors(candidates)
    for query, own in zip(unit_vectors(queries), right, strict=True):
        cosines = unit @ query
        best = cosines[list(own)].max()
        cosines[list(own)] = -np.inf
        ranks.append(1 + int((cosines >= best).sum()))
    found = np.array(ranks)
    recalls = {f"recall_at_{k}": float((found <= k).mean()) for k in RECALLS}
    return {"mrr": float((1 / found).mean()), **recalls, "sentences": len(found)}


def group_scores(
    vectors: dict[str, np.ndarray], groups: Sequence[tuple[str, ...]], scores: Sequence[float] | None
) -> dict[str, Any]:
    """Score vectors on rows of texts, see `keras_attn.data.readers.text_groups`.

    Args:
        vectors: of each text, (D,).
        groups: rows of two texts or more.
        scores: of each row, if they are known.

    Returns:
        `spearman` and `pearson` of cosines and scores, if there are scores; else `retrieval_scores` of the
        first texts among all others.
    """
    if scores is not None:
        one, other = (unit_vectors(np.stack([vectors[row[i]] for row in groups])) for i in (0, 1))
        return correlations(scores, (one * other).sum(axis=1).tolist())
    places = {text: number for number, text in enumerate(dict.fromkeys(t for row in groups for t in row[1:]))}
    right: dict[str, list[int]] = {}
    for row in groups:
        right.setdefault(row[0], []).append(places[row[1]])
    queries = np.stack([vectors[text] for text in right])
    return retrieval_scores(queries, np.stack([vectors[text] for text in places]), list(right.values()))


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (N, D) scaled to length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
