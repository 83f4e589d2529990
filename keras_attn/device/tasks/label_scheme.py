"""Labels of tokens, such as ``B-PER``, and the spans that they mean: BIO, BIOES, BILOU, IO, plain labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

OUTSIDE = "O"
"""The label of tokens that are in no span."""
BEGIN, INSIDE, END, SINGLE = "B", "I", "E", "S"
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

    ``E-``, ``S-``, ``L-`` and ``U-`` are marks only where the same kind also begins or goes on, so that a
    label such as ``S-Bahn`` is a kind of its own. A label without a mark goes on where it stands next to
    itself.
    """
    begun = {label[2:] for label in labels if label[:2] in ("B-", "I-") and label[2:]}
    return [_tag(label, begun) for label in labels]


def _tag(label: str, begun: set[str]) -> Tag:
    mark, kind = _MARKS.get(label[:1]), label[2:]
    if mark is None or label[1:2] != "-" or not kind:
        return Tag(label, INSIDE)
    return Tag(kind, mark) if kind in begun else Tag(label, INSIDE)


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
    spans: list[list[Span]] = []
    before = None
    for first, last, label, score in _labelled_words(probabilities, words, strategy):
        tag = tags[label]
        part = Span(tag.kind, first, last, score)
        goes_on = (
            before is not None
            and tag.kind == before.kind
            and tag.mark in (INSIDE, END)
            and before.mark in (BEGIN, INSIDE)
        )
        if goes_on:
            spans[-1].append(part)
        else:
            spans.append([part])
        before = tag
    return [
        Span(parts[0].kind, parts[0].first, parts[-1].last, float(np.mean([part.score for part in parts])))
        for parts in spans
        if parts[0].kind != OUTSIDE
    ]


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
