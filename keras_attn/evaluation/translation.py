"""Held-out pairs of a translator, its translations of them, and their scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_attn.errors import ArgumentError
from keras_attn.scores.bleu import corpus_scores, translate_corpus

if TYPE_CHECKING:
    from keras_attn.data import Pairs
    from keras_attn.loading import Opened


@dataclass(frozen=True)
class ScoredTranslations:
    """Translations of a test set.

    Attributes:
        scores: of `corpus_scores`.
        translations: the best translation of each source.
        too_long: how many sources the model is too small for; they count as translated to nothing.
    """

    scores: dict[str, Any]
    translations: list[str]
    too_long: int


def read_test(
    opened: Opened,
    test: str | os.PathLike[str] | None = None,
    data: str | None = None,
    progress: Callable[..., Any] | None = None,
    source: str | None = None,
    target: str | None = None,
) -> Pairs:
    """Read held-out pairs.

    Args:
        opened: the translator, whose languages are read.
        test: a prefix, or a table.
        data: a corpus whose test split is taken, instead of `test`.
        progress: called while a corpus is downloaded.
        source: language of the sources, as their file's name ends; by default the translator's.
        target: language of the targets, as `source`.

    Raises:
        ArgumentError: not exactly one of `test` and `data` is given, or the corpus has no test split.
        DataError: a file is missing or damaged.
    """
    from keras_attn.data import load_corpus, read_pairs

    if (test is None) == (data is None):
        raise ArgumentError("give either test (a prefix or a table) or data (a corpus), not both")
    source, target = source or opened.languages.get("source"), target or opened.languages.get("target")
    if test is not None:
        return read_pairs(os.fspath(test), source, target)
    corpus = load_corpus(data or "", source_language=source, target_language=target, progress=progress)
    if not corpus.test:
        raise ArgumentError(f"the corpus {data} has no test split: give a test file instead")
    return corpus.test


def tokenization_of(opened: Opened) -> str:
    """Return sacreBLEU's tokenization that fits the data a translator was trained on."""
    return opened.made_from.get("bleu_tokenize", "13a")


def score_translator(
    opened: Opened, pairs: Sequence[tuple[str, str]], bleu_tokenize: str | None = None, **options: Any
) -> ScoredTranslations:
    """Translate the sources of pairs and compare the translations with the targets.

    Args:
        opened: the translator.
        pairs: (source, target) texts.
        bleu_tokenize: sacreBLEU's tokenization; by default that of `tokenization_of`.
        **options: of `translate`, such as `beam`, and `progress`.

    Raises:
        ArgumentError: there are no pairs, or sacreBLEU has no such tokenization.
    """
    translations, too_long = translate_corpus(opened.task, [source for source, _ in pairs], **options)
    targets = [target for _, target in pairs]
    scores = corpus_scores(translations, targets, bleu_tokenize or tokenization_of(opened))
    return ScoredTranslations(scores, translations, too_long)
