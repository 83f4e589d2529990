"""Masks for masked language models, with `MaskedLMMaskGenerator`'s rules and, if asked, whole words."""

import math

import numpy as np

from keras_attn.layers.masked_lm_mask_generator import mask_tokens

MASKED, RANDOM = 0.8, 0.1  # of the chosen tokens; the others stay


class Masker:
    """Chooses tokens and hides them (Devlin et al., 2019, appendix A.1).

    Args:
        vocabulary_size: int.
        mask_id: int, what replaces most of the chosen tokens.
        unselectable: ids that are never chosen: special tokens.
        rate: float, share of the tokens that are chosen.
        whole_words: whether words are chosen whole, as in BERT's later checkpoints; each of their tokens has
            its own fate. No more tokens are chosen than without.
    """

    def __init__(self, vocabulary_size, mask_id, unselectable, rate=0.15, whole_words=False):
        self.vocabulary_size, self.mask_id = vocabulary_size, mask_id
        self.unselectable = np.array(sorted(unselectable), np.int32)
        self.rate, self.whole_words = rate, whole_words

    def places(self, length: int) -> int:
        """The most tokens that are chosen in a text of `length`."""
        return max(1, math.ceil(self.rate * length - 1e-4))

    def __call__(self, token_ids, starts, rng):
        """Mask texts.

        Args:
            token_ids: int32 array (B, T).
            starts: bool array (B, T), where words begin.
            rng: `numpy.random.Generator`, which decides everything.

        Returns:
            `(masked, positions, targets, weights)`: int32 (B, T), and for the M chosen places int32 (B, M)
            twice and float32 (B, M), 0 where nothing was chosen.
        """
        shape = token_ids.shape
        order, fate = rng.random(shape, np.float32), rng.random(shape, np.float32)
        replacement = rng.integers(self.vocabulary_size, size=shape).astype(np.int32)
        selectable = ~np.isin(token_ids, self.unselectable)
        rate = self.rate
        if self.whole_words:
            selectable, rate = self._chosen_words(selectable, starts, order), 1.0
        masked, positions, counts = mask_tokens(
            np,
            token_ids,
            selectable,
            (order, fate, replacement),
            rates=(rate, MASKED, RANDOM),
            limit=self.places(shape[1]),
            mask_token_id=self.mask_id,
        )
        positions = positions[:, : self.places(shape[1])]  # (B, M)
        chosen = np.arange(positions.shape[1]) < counts[:, None]
        targets = np.take_along_axis(token_ids, positions, axis=1)
        return (
            masked,
            np.where(chosen, positions, 0).astype(np.int32),
            np.where(chosen, targets, 0).astype(np.int32),
            chosen.astype(np.float32),
        )

    def _chosen_words(self, selectable, starts, order):
        """The tokens (B, T) of words in a drawn order, as long as whole words have room."""
        # A special token is a word of its own, and ends the one before it.
        begins = starts | ~selectable
        begins |= np.pad(~selectable, ((0, 0), (1, 0)))[:, :-1]
        begins[:, 0] = True
        places = np.arange(begins.shape[1])
        first = np.maximum.accumulate(np.where(begins, places, 0), axis=1)  # (B, T), of each token's word
        ends = np.pad(begins, ((0, 0), (0, 1)), constant_values=True)[:, 1:]
        last = np.minimum.accumulate(np.where(ends, places, len(places))[:, ::-1], axis=1)[:, ::-1]
        keys = np.where(selectable, np.take_along_axis(order, first, axis=1), 2)
        # Stable, so that a word's tokens keep together; its last one tells whether all of it has room.
        ranks = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1)
        room = np.ceil(selectable.sum(axis=1, keepdims=True) * self.rate - 1e-4)
        return selectable & (np.take_along_axis(ranks, last, axis=1) < room)
