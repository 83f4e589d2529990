"""Rows of token ids in batches of few shapes, and running text cut into rows of one length.

The order depends only on the seed and the epoch's number: a resumed run sees the batches that it would have
seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RowBatch:
    """The rows of a batch.

    Attributes:
        width: tokens that the rows are padded to.
        rows: (R,) int, numbers of the rows; fewer than `size` at the end of a bucket.
        size: rows that the batch is padded to.
        number: number of the batch in its epoch.
    """

    width: int
    rows: np.ndarray
    size: int
    number: int

    def padded(self, ids: Sequence[Any], pad_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows' padded ids, (size, width) int32, and their mask, bool."""
        token_ids = np.full((self.size, self.width), pad_id, np.int32)
        exists = np.zeros((self.size, self.width), bool)
        for place, row in enumerate(self.rows):
            token_ids[place, : len(ids[row])] = ids[row]
            exists[place, : len(ids[row])] = True
        return token_ids, exists


class RowBatches:
    """Batches of rows of similar length.

    Args:
        lengths: of every row, in tokens; none may be longer than the last boundary.
        boundaries: ascending widths; a row goes to the first that holds it. A width with too few rows to
            fill one batch joins the next: more padding, but one shape less to compile.
        size: rows per batch.
        seed: decides the order, with the epoch's number.
    """

    def __init__(self, lengths: Sequence[int], boundaries: Sequence[int], size: int, seed: int = 0):
        self.size, self.seed = size, seed
        bucket_of = np.searchsorted(boundaries, np.asarray(lengths, int))
        self._buckets: list[tuple[int, np.ndarray]] = []
        waiting = np.zeros(0, int)
        for number, width in enumerate(boundaries):
            rows = np.concatenate([waiting, np.flatnonzero(bucket_of == number)])
            last = not np.any(bucket_of > number)
            if len(rows) and (last or len(rows) >= size):
                self._buckets.append((width, rows))
                rows = np.zeros(0, int)
            waiting = rows

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of every epoch."""
        return sum(-(-len(rows) // self.size) for _, rows in self._buckets)

    def epoch(self, n: int, skip: int = 0) -> Iterator[RowBatch]:
        """Return the batches of epoch `n`, without the first `skip`; each row occurs once."""
        rng = np.random.default_rng([self.seed, n])
        batches = []
        for width, rows in self._buckets:
            order = rng.permutation(rows)
            batches += [(width, order[at : at + self.size]) for at in range(0, len(order), self.size)]
        for number, place in enumerate(rng.permutation(len(batches))):
            if number >= skip:
                width, rows = batches[place]
                yield RowBatch(width, rows, self.size, number)

    def in_order(self) -> Iterator[RowBatch]:
        """Return the batches without shuffling, for evaluation."""
        number = 0
        for width, rows in self._buckets:
            for at in range(0, len(rows), self.size):
                yield RowBatch(width, rows[at : at + self.size], self.size, number)
                number += 1


def windows(stream: np.ndarray, length: int, stride: int) -> list[np.ndarray]:
    """Cut running text into pieces of `length` tokens, one every `stride`; the last may be shorter.

    With `stride = length - 1` each piece begins with the token that the one before ended with.
    """
    overlap = length - stride
    return [stream[at : at + length] for at in range(0, max(len(stream) - overlap, 1), stride)]


def widths(boundaries: Sequence[int], max_tokens: int) -> list[int]:
    """Return the boundaries below `max_tokens`, and `max_tokens`."""
    return [*(width for width in boundaries if width < max_tokens), max_tokens]
