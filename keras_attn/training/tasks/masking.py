"""Masks for masked language models, with `MaskedLMMaskGenerator`'s rules, optionally of whole words."""

import math

import numpy as np

from keras_attn.layers.masked_lm_mask_generator import mask_tokens

MASKED, RANDOM = 0.8, 0.1  # of the selected tokens; the others are kept


class Masker:
    """Selects tokens and masks them (Devlin et al., 2019, appendix A.1).

    Args:
        vocabulary_size: int.
        mask_id: int, which replaces most of the selected tokens.
        unselectable: ids of special tokens, which are never selected.
        rate: float, fraction of the tokens that are selected.
        whole_words: whether whole words are selected, as in BERT's later checkpoints; each of their tokens is
            masked, replaced or kept independently. The number of selected tokens stays the same.
    """

    def __init__(self, vocabulary_size, mask_id, unselectable, rate=0.15, whole_words=False):
        self.vocabulary_size, self.mask_id = vocabulary_size, mask_id
        self.unselectable = np.array(sorted(unselectable), np.int32)
        self.rate, self.whole_words = rate, whole_words

    def max_selected(self, length: int) -> int:
        """Return the maximum number of selected tokens in a text of `length`."""
        return max(1, math.ceil(self.rate * length - 1e-4))

    def __call__(self, token_ids, starts, rng):
        """Mask texts.

        Args:
            token_ids: int32 array (B, T).
            starts: bool array (B, T), True at the first token of each word.
            rng: `numpy.random.Generator`.

        Returns:
            `(masked, positions, targets, weights)`: int32 (B, T), and for M selected positions int32 (B, M)
            twice and float32 (B, M), 0 where nothing was selected.
        """
        shape = token_ids.shape
        order, fate = rng.random(shape, np.float32), rng.random(shape, np.float32)
        replacement = rng.integers(self.vocabulary_size, size=shape).astype(np.int32)
        selectable = ~np.isin(token_ids, self.unselectable)
        rate = self.rate
        if self.whole_words:
            selectable, rate = self._selected_words(selectable, starts, order), 1.0
        masked, positions, counts = mask_tokens(
            np,
            token_ids,
            selectable,
            (order, fate, replacement),
            rates=(rate, MASKED, RANDOM),
            limit=self.max_selected(shape[1]),
            mask_token_id=self.mask_id,
        )
        positions = positions[:, : self.max_selected(shape[1])]  # (B, M)
        chosen = np.arange(positions.shape[1]) < counts[:, None]
        targets = np.take_along_axis(token_ids, positions, axis=1)
        return (
            masked,
            np.where(chosen, positions, 0).astype(np.int32),
            np.where(chosen, targets, 0).astype(np.int32),
            chosen.astype(np.float32),
        )

    def _selected_words(self, selectable, starts, order):
        """Return which tokens (B, T) belong to words selected in random order, up to the maximum number."""
        # A special token is a word of its own, and ends the previous one.
        begins = starts | ~selectable
        begins |= np.pad(~selectable, ((0, 0), (1, 0)))[:, :-1]
        begins[:, 0] = True
        positions = np.arange(begins.shape[1])
        first = np.maximum.accumulate(np.where(begins, positions, 0), axis=1)  # (B, T), of each token's word
        ends = np.pad(begins, ((0, 0), (0, 1)), constant_values=True)[:, 1:]
        last = np.minimum.accumulate(np.where(ends, positions, len(positions))[:, ::-1], axis=1)[:, ::-1]
        keys = np.where(selectable, np.take_along_axis(order, first, axis=1), 2)
        # Stable, so that a word's tokens stay together; the rank of the last one decides.
        ranks = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1)
        limit = np.ceil(selectable.sum(axis=1, keepdims=True) * self.rate - 1e-4)
        return selectable & (np.take_along_axis(ranks, last, axis=1) < limit)
