"""The labels of tokens that labelled spans of characters mean, in the schemes BIO and BIOES."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from keras_attn.data.readers.tagged import Spans
from keras_attn.device.tasks.label_scheme import BEGIN, END, INSIDE, OUTSIDE, SINGLE
from keras_attn.device.text.token_spans import TokenSpans

MARKS = {"bio": (BEGIN, INSIDE), "bioes": (BEGIN, INSIDE, END, SINGLE)}


class SpanLabels:
    """The labels that spans of some kinds need.

    Args:
        kinds: of spans, such as `PER`.
        scheme: `"bio"` (Ramshaw and Marcus, 1995) or `"bioes"`, which also marks the end of a span, and spans
            of one token (Ratinov and Roth, 2009).
        first_only: whether only the first token of each word counts.

    Attributes:
        names: the labels; `O` is the first.
    """

    def __init__(self, kinds: Sequence[str], scheme: str = "bio", first_only: bool = False):
        self.scheme, self.first_only = scheme, first_only
        self.names = [OUTSIDE, *(f"{mark}-{kind}" for kind in kinds for mark in MARKS[scheme])]
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def of_tokens(
        self, text: str, tokens: TokenSpans, words: Sequence[int], spans: Spans
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Return the label of each token of a text.

        Args:
            text: the text.
            tokens: its tokens.
            words: number of each token's word.
            spans: of characters, in their order, apart from each other.

        Returns:
            Numbers of the labels, (T,) int32; whether each token counts, (T,) bool; and how many spans begin
            or end inside a token, or inside a word where only the first token of each counts.
        """
        labels = np.zeros(len(tokens.ids), np.int32)
        first = np.array([i == 0 or word != words[i - 1] for i, word in enumerate(words)], bool)
        counts = first if self.first_only else np.ones(len(labels), bool)
        places = [_without_blanks(text, *each) for each in tokens.offsets]
        cut = at = 0
        for start, end, kind in spans:
            # Blanks at the ends of a span are no part of what a token stands for.
            start, end = _without_blanks(text, start, end)
            while at < len(places) and places[at][1] <= start:
                at += 1
            behind = at
            while behind < len(places) and places[behind][0] < end:
                behind += 1
            inside = [i for i in range(at, behind) if counts[i]] or list(range(at, behind))
            if not inside:
                cut += 1
                continue
            within = places[at][0] < start or places[behind - 1][1] > end
            if self.first_only:  # a word has one label
                following = behind < len(words) and words[behind] == words[behind - 1]
                within = within or not first[at] or following
            cut += within
            labels[at:behind] = self._numbers[f"{INSIDE}-{kind}"]
            marks = [INSIDE] * len(inside)
            if self.scheme == "bioes":
                marks[-1] = END
            marks[0] = BEGIN
            if self.scheme == "bioes" and len(marks) == 1:
                marks[0] = SINGLE
            for place, mark in zip(inside, marks, strict=True):
                labels[place] = self._numbers[f"{mark}-{kind}"]
            at = behind
        return labels, counts, cut


def parts_at_spans(text: str, spans: Spans) -> Iterator[str]:
    """Yield a text in parts that begin and end where spans do; blanks are with what follows them.

    A tokenizer that is trained on the parts has no token that begins in a span and ends behind it, unless it
    stands for words elsewhere: in scripts without spaces, whole clauses would become tokens.

    Args:
        text: the text.
        spans: of characters, in their order, apart from each other.
    """
    edges = {0, len(text)}
    for start, end, _ in spans:
        edges.update((len(text[:start].rstrip()), end))
    ordered = sorted(edges)
    for start, end in itertools.pairwise(ordered):
        yield text[start:end]


def _without_blanks(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    if not part.strip():
        return start, end
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
