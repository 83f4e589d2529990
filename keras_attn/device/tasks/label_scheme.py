"""Labels of tokens, such as ``B-PER``, and the spans that they mean: BIO, BIOES, BILOU, IO, plain labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

OUTSIDE = "O"
"""The label of tokens that are in no span."""
BEGIN, INSIDE, END, SINGLE = "B", "I", "E", "S"
_BIO, _MORE = ("B-", "I-"), ("E-", "S-", "L-", "U-")
_MARKS = {"B": BEGIN, "I": INSIDE, "E": END, "S": SINGLE, "L": END, "U": SINGLE}

STRATEGIES = ("simple", "first", "average", "max")
"""How a word is labelled: each token by itself, or all by the first one, their mean, or the surest one."""


class Tag(NamedTuple):
    """A label: the kind of span, and the token's part of it."""

    kind: str
    mark: str


class Span(NamedTuple):
    """Tokens ``first`` to ``last`` of one kind, with their mean probability."""

    kind: str
    first: int
    last: int
    score: float


def read_scheme(labels: Sequence[str]) -> list[Tag]:
    """Return what each label means.

    ``E-``, ``S-``, ``L-`` and ``U-`` are marks only where a kind that has one also has ``B-`` or ``I-``, so
    that a label such as ``S-Bahn`` is a kind of its own. A label without a mark continues
    where it stands next to itself.
    """
    kinds = [{label[2:] for label in labels if label[:2] in starts} for starts in (_BIO, _MORE)]
    marks = (*_BIO, *_MORE) if kinds[0] & kinds[1] else _BIO
    return [
        Tag(label[2:], _MARKS[label[0]]) if label[:2] in marks and label[2:] else Tag(label, INSIDE)
        for label in labels
    ]


def find_spans(
    probabilities: np.ndarray, tags: Sequence[Tag], words: Sequence[int], strategy: str
) -> list[Span]:
    """Join tokens to spans.

    Args:
        probabilities: (T, C) of each token's labels.
        tags: of the C labels.
        words: number of the word of each of the T tokens.
        strategy: one of ``STRATEGIES``.

    Returns:
        The spans in their order, without those of the label ``O``.
    """
    found = _labelled_words(probabilities, words, strategy)
    scores = {first: score for first, _, _, score in found}
    spans = joined([(first, last) for first, last, _, _ in found], [tags[label] for _, _, label, _ in found])
    return [
        Span(kind, first, last, float(np.mean([scores[i] for i in range(first, last + 1) if i in scores])))
        for kind, first, last in spans
        if kind != OUTSIDE
    ]


def joined(parts: Sequence[tuple[int, int]], tags: Sequence[Tag]) -> list[tuple[str, int, int]]:
    """Join parts of a text to spans, by their tags.

    Args:
        parts: first and last token of each.
        tags: what the label of each means.

    Returns:
        Kind, first and last token of each span, those of ``O`` among them.
    """
    spans: list[tuple[str, int, int]] = []
    before = None
    for (first, last), tag in zip(parts, tags, strict=True):
        goes_on = (
            before is not None
            and tag.kind == before.kind
            and tag.mark in (INSIDE, END)
            and before.mark in (BEGIN, INSIDE)
        )
        if goes_on:
            last_kind, begun, _ = spans[-1]
            spans[-1] = (last_kind, begun, last)
        else:
            spans.append((tag.kind, first, last))
        before = tag
    return spans


def _labelled_words(
    probabilities: np.ndarray, words: Sequence[int], strategy: str
) -> list[tuple[int, int, int, float]]:
    """Return first token, last token, label and its probability of each word, or of each token."""
    found = []
    for first, last in _words(words) if strategy != "simple" else ((i, i) for i in range(len(words))):
        some = probabilities[first : last + 1]
        if strategy == "average":
            chosen = some.mean(axis=0)
        elif strategy == "max":
            chosen = some[int(some.max(axis=1).argmax())]
        else:
            chosen = some[0]
        label = int(chosen.argmax())
        found.append((first, last, label, float(chosen[label])))
    return found


def _words(words: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and the last token of each word."""
    starts = [i for i, word in enumerate(words) if not i or word != words[i - 1]]
    return list(zip(starts, [start - 1 for start in [*starts[1:], len(words)]], strict=True))
