"""Batches of a few static shapes: sentences of similar length together, so that little of a batch is padding.

A compiler works once per shape, so there is one shape per length bucket. The order is a function of the
seed and the epoch's number alone: a run that is resumed sees the batches it would have seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keras_attn.data.errors import DataError

BOUNDARIES = (8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Default lengths of the buckets, in tokens."""

_ROWS = 8  # rows of a batch come in multiples of this many, which suits vector units


@dataclass(frozen=True)
class Batch:
    """One training batch, padded to B rows of L tokens. Rows beyond the examples are padding throughout.

    Attributes:
        source_ids: (B, L) int32, the source and its end.
        decoder_ids: (B, L) int32, the start and the target: what the decoder is given.
        target_ids: (B, L) int32, the target and its end: what it should answer at each place.
        source_mask: (B, L) bool, True at tokens of ``source_ids``.
        target_mask: (B, L) bool, True at tokens of ``target_ids`` (and, at the same places, of
        ``decoder_ids``). n_target_tokens: number of True in ``target_mask``.
    """

    source_ids: np.ndarray
    decoder_ids: np.ndarray
    target_ids: np.ndarray
    source_mask: np.ndarray
    target_mask: np.ndarray
    n_target_tokens: int


@dataclass(frozen=True)
class _Bucket:
    length: int
    rows: int
    source_ids: np.ndarray  # (examples, length) int32, with end
    target_ids: np.ndarray  # (examples, length) int32, with end
    source_lengths: np.ndarray  # (examples,)
    target_lengths: np.ndarray  # (examples,)

    def __len__(self) -> int:
        return len(self.source_ids)

    @property
    def n_batches(self) -> int:
        return -(-len(self) // self.rows)


class BucketedBatches:
    """All examples of a corpus in length buckets, and their batches epoch by epoch.

    Args:
        pairs_of_ids: (source, target) token ids without start and end.
        tokens_per_batch: about how many places, padding included, each side of a batch has; a batch of
        length L
            has ``max(8, tokens_per_batch // L // 8 * 8)`` rows.
        boundaries: ascending lengths of the buckets. An example goes to the first that holds both of its
            sides, each with its end.
        seed: with the epoch's number it decides the order.
        start_id: the decoder's first token.
        end_id: last token of both sides.
        pad_id: filler.
        max_length: longest side, end included; by default the last boundary. An example with a longer side
            is left out, never cut.
        min_batches: a bucket with fewer examples than fill this many batches moves into the next larger
            one: more padding, but one shape less to compile. 0 merges nothing.

    Attributes:
        lengths: lengths of the buckets in use, ascending. To keep the shapes when the ids change from epoch
            to epoch (BPE-dropout), give ``boundaries=first.lengths, min_batches=0`` to the later ones.
        left_out: number of examples with a side longer than ``max_length``.

    Raises:
        DataError: no example is short enough.
        ValueError: boundaries that do not ascend, or an argument that is not positive.
    """

    def __init__(
        self,
        pairs_of_ids: Sequence[tuple[list[int], list[int]]],
        *,
        tokens_per_batch: int = 4096,
        boundaries: Sequence[int] = BOUNDARIES,
        seed: int = 0,
        start_id: int,
        end_id: int,
        pad_id: int,
        max_length: int | None = None,
        min_batches: int = 2,
    ):
        boundaries = _checked_boundaries(boundaries, max_length)
        if tokens_per_batch < 1:
            raise ValueError(f"tokens_per_batch must be positive, not {tokens_per_batch}.")
        self.seed = seed
        self.start_id, self.end_id, self.pad_id = start_id, end_id, pad_id
        members, self.left_out = _by_length(pairs_of_ids, boundaries)
        if not members:
            raise DataError(
                f"None of {len(pairs_of_ids)} sentence pairs has at most {boundaries[-1]} tokens "
                f"on both sides; raise max_length."
            )
        rows = {length: max(_ROWS, tokens_per_batch // length // _ROWS * _ROWS) for length in members}
        _merge_small(members, rows, min_batches)
        self._buckets = [
            self._bucket(length, rows[length], [pairs_of_ids[i] for i in members[length]])
            for length in members
        ]
        self.lengths = tuple(members)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of every epoch."""
        return sum(bucket.n_batches for bucket in self._buckets)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """All (rows, length) that a batch may have, by ascending length."""
        return tuple((bucket.rows, bucket.length) for bucket in self._buckets)

    @property
    def n_examples(self) -> int:
        """Number of examples of every epoch: all but those left out."""
        return sum(len(bucket) for bucket in self._buckets)

    def epoch(self, n: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of epoch ``n``, without the first ``skip``, each example once.

        Examples are shuffled within their bucket and the batches among each other. Skipped batches are not
        made.
        """
        if n < 0 or skip < 0:
            raise ValueError(f"Epoch and skip cannot be negative, but are {n} and {skip}.")
        return (self._batch(bucket, examples) for bucket, examples in self._order(n)[skip:])

    def _order(self, n: int) -> list[tuple[_Bucket, np.ndarray]]:
        rng = np.random.default_rng([self.seed, n])
        batches = []
        for bucket in self._buckets:
            order = rng.permutation(len(bucket))
            batches += [
                (bucket, order[first : first + bucket.rows]) for first in range(0, len(bucket), bucket.rows)
            ]
        return [batches[i] for i in rng.permutation(len(batches))]

    def _batch(self, bucket: _Bucket, examples: np.ndarray) -> Batch:
        shape = (bucket.rows, bucket.length)
        source_ids = np.full(shape, self.pad_id, np.int32)
        target_ids = np.full(shape, self.pad_id, np.int32)
        source_lengths = np.zeros((bucket.rows, 1), np.int32)
        target_lengths = np.zeros((bucket.rows, 1), np.int32)
        filled = len(examples)
        source_ids[:filled] = bucket.source_ids[examples]
        target_ids[:filled] = bucket.target_ids[examples]
        source_lengths[:filled, 0] = bucket.source_lengths[examples]
        target_lengths[:filled, 0] = bucket.target_lengths[examples]
        places = np.arange(bucket.length, dtype=np.int32)
        target_mask = places < target_lengths  # (B, L)
        shifted = np.concatenate(
            [np.full((bucket.rows, 1), self.start_id, np.int32), target_ids[:, :-1]], axis=1
        )
        return Batch(
            source_ids=source_ids,
            decoder_ids=np.where(target_mask, shifted, np.int32(self.pad_id)),
            target_ids=target_ids,
            source_mask=places < source_lengths,
            target_mask=target_mask,
            n_target_tokens=int(target_lengths.sum()),
        )

    def _bucket(self, length: int, rows: int, pairs: Sequence[tuple[list[int], list[int]]]) -> _Bucket:
        sides = []
        for side in (0, 1):
            ids = np.full((len(pairs), length), self.pad_id, np.int32)
            lengths = np.empty(len(pairs), np.int32)
            for row, pair in enumerate(pairs):
                lengths[row] = len(pair[side]) + 1
                ids[row, : len(pair[side])] = pair[side]
                ids[row, len(pair[side])] = self.end_id
            sides.append((ids, lengths))
        (source_ids, source_lengths), (target_ids, target_lengths) = sides
        return _Bucket(length, rows, source_ids, target_ids, source_lengths, target_lengths)


def _checked_boundaries(boundaries: Sequence[int], max_length: int | None) -> list[int]:
    boundaries = list(boundaries)
    if not boundaries or boundaries[0] < 1 or boundaries != sorted(set(boundaries)):
        raise ValueError(f"boundaries must be positive lengths in ascending order, not {tuple(boundaries)}.")
    if max_length is None:
        return boundaries
    if max_length < 1:
        raise ValueError(f"max_length must be positive, not {max_length}.")
    return [boundary for boundary in boundaries if boundary < max_length] + [max_length]


def _by_length(
    pairs_of_ids: Sequence[tuple[list[int], list[int]]], boundaries: Sequence[int]
) -> tuple[dict[int, list[int]], int]:
    """The examples of each bucket that has any, by ascending length, and how many fit into none."""
    needed = [max(len(source), len(target)) + 1 for source, target in pairs_of_ids]
    chosen = np.searchsorted(boundaries, needed, side="left")
    members = {
        length: np.flatnonzero(chosen == number).tolist()
        for number, length in enumerate(boundaries)
        if np.any(chosen == number)
    }
    return members, int(np.sum(chosen == len(boundaries)))


def _merge_small(members: dict[int, list[int]], rows: dict[int, int], min_batches: int) -> None:
    """Move each bucket too small to be worth a shape into the next larger one; the largest stays."""
    for smaller, larger in zip(list(members), list(members)[1:], strict=False):
        if len(members[smaller]) < min_batches * rows[smaller]:
            members[larger] = members.pop(smaller) + members[larger]
