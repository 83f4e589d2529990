"""F1 of labelled spans (Tjong Kim Sang and De Meulder, 2003): a span is right with its ends and its label."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any


def span_scores(truth: Sequence[Iterable[Hashable]], found: Sequence[Iterable[Hashable]]) -> dict[str, Any]:
    """Compute precision, recall and F1 over all texts.

    Args:
        truth: the right spans of each text.
        found: those that were found, in the same form.

    Returns:
        `f1`, `precision` and `recall`, from 0 to 1 (1 where there is nothing to find and nothing is found),
        and the number of right spans, `spans`.
    """
    right = sum(len(set(one) & set(other)) for one, other in zip(truth, found, strict=True))
    wanted, given = (sum(len(set(spans)) for spans in side) for side in (truth, found))
    return {
        "f1": 2 * right / (wanted + given) if wanted + given else 1.0,
        "precision": right / given if given else float(not wanted),
        "recall": right / wanted if wanted else float(not given),
        "spans": wanted,
    }


def span_f1(truth: Sequence[Iterable[Hashable]], found: Sequence[Iterable[Hashable]]) -> float:
    """Return the F1 of `span_scores`."""
    return span_scores(truth, found)["f1"]
