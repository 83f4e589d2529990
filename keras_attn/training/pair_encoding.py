"""Token ids of a translator's pairs, with the tokens that its directions put around them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer as RawTokenizer

from keras_attn.data import Pairs, ParallelCorpus, encode_pairs
from keras_attn.data.corpora.directions import UNDETERMINED
from keras_attn.device.text.pair_tokenizer import PairTokenizer
from keras_attn.device.text.text_template import SOURCE, TARGET, TextTemplate
from keras_attn.device.text.tokenizer import Tokenizer
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer

IdPairs = list[tuple[list[int], list[int]]]


def language_token(code: str) -> str:
    """Return the token that asks for a language, as those of OPUS-MT's models."""
    return f">>{code}<<"


def direction_template(tokenizer: RawTokenizer, languages: Sequence[str], special_ids) -> TextTemplate:
    """Return the tokens around the texts of several directions: the target's before a source.

    Args:
        tokenizer: has the tokens of the languages (`language_token`).
        languages: their codes.
        special_ids: ids by role.
    """
    found = {code: tokenizer.token_to_id(language_token(code)) for code in languages}
    numbers = {code: number for code, number in found.items() if number is not None}
    return TextTemplate((TARGET,), (special_ids["end"],), special_ids["start"], None, numbers)


@dataclass(frozen=True)
class PairEncoder:
    """Encodes the pairs of corpora of one direction each.

    A source ends with a token of its own, a target begins with one, and both are left to the batches.

    Attributes:
        text: the translator's tokenizer.
        corpora: one of each direction.
    """

    text: Tokenizer
    corpora: Sequence[ParallelCorpus]

    def between(self, corpus: ParallelCorpus) -> Tokenizer:
        """Return the tokenizer of a corpus' direction."""
        if not isinstance(self.text, TranslationTokenizer) or not self.text.template.languages:
            return self.text
        return self.text.between(*self.languages_of(corpus))

    def languages_of(self, corpus: ParallelCorpus) -> tuple[str | None, str | None]:
        """Return what `translate` is told of a corpus' direction; `None` for what it need not know."""
        if not isinstance(self.text, TranslationTokenizer) or not self.text.template.languages:
            return None, None
        source = corpus.source_language if SOURCE in self.text.template.tokens else None
        # What files without languages are called stands for the model's own.
        return (
            None if source in (SOURCE, UNDETERMINED) else source,
            None if corpus.target_language == TARGET else corpus.target_language,
        )

    def encode(self, tokenizer: RawTokenizer, pairs: Sequence[Pairs]) -> IdPairs:
        """Encode the pairs of each corpus.

        Args:
            tokenizer: that of `text`, or one with BPE-dropout.
            pairs: for each corpus.

        Returns:
            Sources without their last token, and targets without start and end.
        """
        found: IdPairs = []
        for corpus, some in zip(self.corpora, pairs, strict=True):
            direction = self.between(corpus)
            if isinstance(direction, PairTokenizer):
                found += [
                    (direction.encode(source)[:-1], direction.target.encode(target)[:-1])
                    for source, target in some
                ]
            elif isinstance(direction, TranslationTokenizer):
                found += _framed(direction, encode_pairs(tokenizer, some))
            else:
                found += encode_pairs(tokenizer, some)
        return found

    def ends(self, pairs: Sequence[Pairs]) -> tuple[np.ndarray, np.ndarray]:
        """Return the last token of each source and the token before each target, int32 (pairs,)."""
        last, first = [], []
        for corpus, some in zip(self.corpora, pairs, strict=True):
            direction = self.between(corpus)
            last += [direction.encode("")[-1]] * len(some)
            first += [direction.special_ids["start"]] * len(some)
        return np.array(last, np.int32), np.array(first, np.int32)


def _framed(direction: TranslationTokenizer, pairs: IdPairs) -> IdPairs:
    """Put a direction's tokens around ids, except the last of a source, and the first of a target."""
    unknown, size = direction.special_ids["unknown"], direction.vocabulary_size
    first = direction.special_ids.get("first")
    before, after = direction.around
    begin = [] if first is None else [first]

    def known(ids: list[int]) -> list[int]:
        return [each if each < size else unknown for each in ids]

    return [([*before, *known(source), *after[:-1]], [*begin, *known(target)]) for source, target in pairs]
