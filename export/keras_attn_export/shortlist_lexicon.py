"""A translation lexicon of pieces from parallel text, and the shortlist made from it.

A sentence needs few words of the target language: the most frequent ones, and translations of its own, as in
Marian's lexical shortlist, which translators in browsers use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.search.shortlist import Shortlist
from keras_attn.errors import ArgumentError
from keras_attn.sources.source import TranslationSource
from keras_attn_export.proof.references import spread

FREQUENT, BEST = 100, 50
"""Number of target pieces that every sentence may use, and of translations of each source piece."""
MOST_PAIRS = 100_000
"""Most sentence pairs that are read; more hardly change which translations are best."""
_ITERATIONS = 5
_LEAST_PROBABILITY = 1e-4
_LONGEST = 100
_FITTING, _MULTIPLE = 0.99, 64

Pair = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class Lexicon:
    """The target pieces that translate each source piece, with probabilities.

    Attributes:
        sources: (E,) int64, ascending.
        targets: (E,) int64.
        probabilities: (E,) float64, t(target | source).
        counts: (V,) int64, how often each target piece was seen.
    """

    sources: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray
    counts: np.ndarray

    def shortlist(self, always: Sequence[int], frequent: int = FREQUENT, best: int = BEST) -> Shortlist:
        """Keep the most frequent target pieces, and the best translations of each source piece.

        Args:
            always: more pieces that every sentence may use, such as the end token.
            frequent: number of the most frequent pieces.
            best: most translations of a source piece.
        """
        likely = self.probabilities >= _LEAST_PROBABILITY
        sources, targets, probabilities = (
            each[likely] for each in (self.sources, self.targets, self.probabilities)
        )
        order = np.lexsort((targets, -probabilities, sources))
        sources, targets = sources[order], targets[order]
        vocabulary = np.arange(len(self.counts) + 1)
        first = np.searchsorted(sources, vocabulary)
        kept = np.arange(len(sources)) - first[sources] < best
        usual = np.argsort(-self.counts, kind="stable")[:frequent]
        usual = np.union1d(usual[self.counts[usual] > 0], always)
        return Shortlist(
            frequent=usual.astype(np.int32),
            offsets=np.searchsorted(sources[kept], vocabulary).astype(np.int32),
            targets=targets[kept].astype(np.int32),
        )


def learn_lexicon(pairs: Sequence[Pair], vocabulary_size: int) -> Lexicon:
    """Estimate t(target | source) by IBM Model 1 with an empty source word (Brown et al., 1993, section 4.2).

    Args:
        pairs: source and target ids of sentences. Pairs with an empty side, or one of more than 100 pieces,
            are left out.
        vocabulary_size: V.

    Raises:
        ArgumentError: no pair is left.
    """
    kept = [pair for pair in pairs if all(0 < len(side) <= _LONGEST for side in pair)]
    if not kept:
        raise ArgumentError(f"shortlist: no pair of texts has between 1 and {_LONGEST} pieces on both sides")
    empty = vocabulary_size  # It explains target words that no source word does.
    sources = [np.array([empty, *source]) for source, _ in kept]
    targets = [np.asarray(target) for _, target in kept]
    # An event for each target position and each source word that may have produced it.
    keys = [s * vocabulary_size + t[:, None] for s, t in zip(sources, targets, strict=True)]  # (T, S) each
    widths = np.concatenate([np.full(*each.shape) for each in keys])
    starts = np.cumsum(widths) - widths
    words, event = np.unique(np.concatenate([each.ravel() for each in keys]), return_inverse=True)
    word_sources, word_targets = np.divmod(words, vocabulary_size)
    probabilities = np.ones(len(words))
    for _ in range(_ITERATIONS):
        posteriors = probabilities[event]
        posteriors /= np.repeat(np.add.reduceat(posteriors, starts), widths)
        expected = np.bincount(event, posteriors)
        probabilities = expected / np.bincount(word_sources, expected)[word_sources]
    real = word_sources != empty
    counts = np.bincount(np.concatenate(targets), minlength=vocabulary_size)
    return Lexicon(word_sources[real], word_targets[real], probabilities[real], counts)


@dataclass(frozen=True)
class SizedShortlist:
    """A shortlist, and the number of candidates of the steps.

    Attributes:
        shortlist: of the bundle.
        size: most candidates of a sentence, K.
    """

    shortlist: Shortlist
    size: int


def make_shortlist(source: Any, texts: Sequence[tuple[str, str]]) -> SizedShortlist:
    """Return the shortlist of a translator from parallel text.

    Its size holds all candidates of 99 of 100 of these sentences; the others lose their least probable ones.

    Raises:
        ArgumentError: the source is not a translator, or the text is empty.
    """
    if not isinstance(source, TranslationSource):
        raise ArgumentError("shortlist: only translators have one; leave it out")
    tokenizer, size = source.tokenizer, source.vocabulary_size
    unknown = source.special_ids["unknown"]
    pairs = []
    for text, translation in spread(texts, MOST_PAIRS):
        # MarianMT's tokenizers have pieces that the model does not know.
        target = [token if token < size else unknown for token in tokenizer.target.encode(translation)]
        pairs.append((tokenizer.encode(text), target))
    shortlist = learn_lexicon(pairs, size).shortlist(sorted(set(source.special_ids.values())))
    counts = [len(shortlist.candidates(np.asarray(ids), size)) for ids, _ in spread(pairs, 2000)]
    wanted = max(int(np.quantile(counts, _FITTING)), len(shortlist.frequent))
    return SizedShortlist(shortlist, min(-(-wanted // _MULTIPLE) * _MULTIPLE, size))
