"""Exact matches and F1 of answers to questions, as SQuAD counts them (Rajpurkar et al., 2016)."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def answer_scores(truth: Sequence[Sequence[str]], found: Sequence[str]) -> dict[str, Any]:
    """Compute the mean exact matches and F1.

    Args:
        truth: the right answers to each question; none, or empty ones, where the context has none.
        found: an answer to each question; empty for none.

    Returns:
        `exact_match` and `f1`, from 0 to 1, and the number of `sentences` (questions).
    """
    exact = words = 0.0
    for answers, answer in zip(truth, found, strict=True):
        right = [each for each in answers if _words(each)] or [""]
        exact += max(_words(each) == _words(answer) for each in right)
        words += max(_f1(_words(each), _words(answer)) for each in right)
    count = max(len(found), 1)
    return {"exact_match": exact / count, "f1": words / count, "sentences": len(found)}


def answer_f1(truth: Sequence[Sequence[str]], found: Sequence[str]) -> float:
    """Return the F1 of `answer_scores`."""
    return answer_scores(truth, found)["f1"]


def _words(answer: str) -> list[str]:
    """Return the words of an answer without case, punctuation and English articles."""
    return _ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split()


def _f1(right: list[str], found: list[str]) -> float:
    if not right or not found:
        return float(right == found)
    common = sum((Counter(right) & Counter(found)).values())
    return 2 * common / (len(right) + len(found))
