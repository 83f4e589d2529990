"""Batches of a few static shapes, of sentences of similar length, so that little of a batch is padding.

Each shape is compiled once, so there is one per length bucket. The order depends only on the seed and the
epoch's number: a resumed run sees the batches that it would have seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keras_attn.data.batching.ragged import Ragged
from keras_attn.data.errors import DataError
from keras_attn.errors import ArgumentError

BOUNDARIES = (8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Default lengths of the buckets, in tokens."""

Boundary = int | tuple[int, int]

_ROWS = 8  # rows of a batch are a multiple of this, which suits vector units
_WIDTHS = 4  # and positions of a side of this, so that another corpus hardly brings new shapes


@dataclass(frozen=True)
class Batch:
    """One training batch, padded to B rows of S and T tokens; rows beyond the examples are all padding.

    Attributes:
        source_ids: (B, S) int32, the source and its end.
        decoder_ids: (B, T) int32, the start and the target: the decoder's input.
        target_ids: (B, T) int32, the target and its end: the expected token of each position.
        source_mask: (B, S) bool, True at tokens of `source_ids`.
        target_mask: (B, T) bool, True at tokens of `target_ids` (and, at the same positions, of
            `decoder_ids`).
        n_target_tokens: number of True in `target_mask`.
    """

    source_ids: np.ndarray
    decoder_ids: np.ndarray
    target_ids: np.ndarray
    source_mask: np.ndarray
    target_mask: np.ndarray
    n_target_tokens: int


@dataclass(frozen=True)
class _Bucket:
    rows: int
    widths: tuple[int, int]  # S, T
    members: np.ndarray  # (examples,) int64, which of the corpus they are

    def __len__(self) -> int:
        return len(self.members)

    @property
    def n_batches(self) -> int:
        return -(-len(self) // self.rows)


class BucketedBatches:
    """All examples of a corpus in length buckets, and their batches epoch by epoch.

    Args:
        pairs_of_ids: (source, target) token ids without start and end; or all sources and all targets as two
            `Ragged`, which may lie on disk: a batch is read when it is made.
        tokens_per_batch: approximate number of positions, including padding, of the wider side of a batch; a
            batch of width L has `max(8, tokens_per_batch // L // 8 * 8)` rows.
        boundaries: ascending lengths of the buckets. An example goes to the first that holds both of its
            sides, each with its end. Each side is then as wide as its longest example asks, rounded up to a
            multiple of 4: sources and targets of very different lengths cost no padding. A pair
            (source, target) of lengths is taken as it is, and never merged.
        seed: decides the order, with the epoch's number.
        start_id: the decoder's first token; or that of each example, int32 (examples,).
        end_id: last token of both sides.
        source_end_ids: last token of each source, int32 (examples,), if it is not `end_id`.
        pad_id: the padding token.
        max_length: longest side, end included; by default the last boundary. An example with a longer side
            is left out, not truncated.
        min_batches: a bucket with fewer examples than fill this many batches is merged into the next larger
            one: more padding, but one shape less to compile. 0 merges nothing.

    Attributes:
        lengths: (source, target) widths of the buckets in use, ascending. To keep the shapes when the ids
            change from epoch to epoch (BPE-dropout), pass `boundaries=first.lengths, min_batches=0` for the
            later ones; longer examples then go to one more bucket.
        left_out: number of examples with a side longer than `max_length`.

    Raises:
        DataError: if no example is short enough.
        ArgumentError: if boundaries do not ascend, or an argument is not positive.
    """

    def __init__(
        self,
        pairs_of_ids: Sequence[tuple[list[int], list[int]]] | tuple[Ragged, Ragged],
        *,
        tokens_per_batch: int = 4096,
        boundaries: Sequence[Boundary] = BOUNDARIES,
        seed: int = 0,
        start_id: int | np.ndarray,
        end_id: int,
        pad_id: int,
        source_end_ids: np.ndarray | None = None,
        max_length: int | None = None,
        min_batches: int = 2,
    ):
        bounds = _checked_boundaries(boundaries, max_length)
        if tokens_per_batch < 1:
            raise ArgumentError(f"tokens_per_batch must be positive, not {tokens_per_batch}.")
        self.seed = seed
        self.pad_id = pad_id
        self._sides = _sides(pairs_of_ids)
        examples = len(self._sides[0].lengths)
        self._start_ids = np.broadcast_to(np.int32(start_id), examples)
        ends = np.broadcast_to(np.int32(end_id), examples)
        self._end_ids = (ends if source_end_ids is None else source_end_ids), ends
        needed = np.stack([side.lengths + 1 for side in self._sides], axis=1)  # (examples, 2), with the end
        members, self.left_out = _by_length(needed, bounds)
        if not members:
            raise DataError(
                f"None of {len(needed)} sentence pairs has at most {max(bounds[-1].widths)} tokens "
                f"on both sides; raise max_length."
            )
        _merge_small(members, min_batches, lambda bound: _rows(tokens_per_batch, bound.widths))
        widths = {bound: bound.fitted(needed[examples].max(axis=0)) for bound, examples in members.items()}
        self._buckets = [
            _Bucket(_rows(tokens_per_batch, widths[bound]), widths[bound], np.array(examples, np.int64))
            for bound, examples in members.items()
        ]
        self.lengths = tuple(widths.values())

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of every epoch."""
        return sum(bucket.n_batches for bucket in self._buckets)

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """All (rows, source width, target width) that a batch may have, by ascending width."""
        return tuple((bucket.rows, *bucket.widths) for bucket in self._buckets)

    @property
    def n_examples(self) -> int:
        """Number of examples of every epoch: all but those left out."""
        return sum(len(bucket) for bucket in self._buckets)

    def epoch(self, n: int, skip: int = 0) -> Iterator[Batch]:
        """Return the batches of epoch `n`, without the first `skip`; each example occurs once.

        Examples are shuffled within their bucket, and so are the batches. Skipped batches are not made.
        """
        if n < 0 or skip < 0:
            raise ArgumentError(f"Epoch and skip cannot be negative, but are {n} and {skip}.")
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
        members = bucket.members[examples]
        (source_ids, source_mask), (target_ids, target_mask) = (
            self._padded(side, ends[members], members, bucket.rows, width)
            for side, ends, width in zip(self._sides, self._end_ids, bucket.widths, strict=True)
        )
        start_ids = np.full((bucket.rows, 1), self.pad_id, np.int32)
        start_ids[: len(members), 0] = self._start_ids[members]
        shifted = np.concatenate([start_ids, target_ids[:, :-1]], axis=1)  # (B, T)
        return Batch(
            source_ids=source_ids,
            decoder_ids=np.where(target_mask, shifted, np.int32(self.pad_id)),
            target_ids=target_ids,
            source_mask=source_mask,
            target_mask=target_mask,
            n_target_tokens=int(target_mask.sum()),
        )

    def _padded(
        self, side: Ragged, ends: np.ndarray, members: np.ndarray, rows: int, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return padded sentences with their ends, (rows, width) int32, and their mask, bool."""
        ids = np.full((rows, width), self.pad_id, np.int32)
        ids[: len(members)] = side.padded(members, width, self.pad_id)
        lengths = side.lengths_of(members)
        ids[np.arange(len(members)), lengths] = ends
        mask = np.zeros((rows, width), bool)
        mask[: len(members)] = np.arange(width) <= lengths[:, None]
        return ids, mask


def _sides(pairs: Sequence[tuple[list[int], list[int]]] | tuple[Ragged, Ragged]) -> tuple[Ragged, Ragged]:
    first = pairs[0] if len(pairs) == 2 else None
    if isinstance(first, Ragged):
        return pairs  # type: ignore[return-value]
    return Ragged.of(source for source, _ in pairs), Ragged.of(target for _, target in pairs)


@dataclass(frozen=True)
class _Bound:
    """Widths of a bucket: `given` ones are kept, others shrink to what the examples need."""

    widths: tuple[int, int]
    given: bool

    @classmethod
    def of(cls, boundary: Boundary) -> "_Bound":
        if isinstance(boundary, int):
            return cls((boundary, boundary), given=False)
        source, target = boundary
        return cls((source, target), given=True)

    def fitted(self, longest: np.ndarray) -> tuple[int, int]:
        """Return the bucket's widths if its longest source and target are `longest`."""
        if self.given:
            return self.widths
        source, target = (
            min(width, -(-int(need) // _WIDTHS) * _WIDTHS)
            for width, need in zip(self.widths, longest, strict=True)
        )
        return source, target


def _rows(tokens_per_batch: int, widths: tuple[int, int]) -> int:
    return max(_ROWS, tokens_per_batch // max(widths) // _ROWS * _ROWS)


def _checked_boundaries(boundaries: Sequence[Boundary], max_length: int | None) -> list[_Bound]:
    bounds = [_Bound.of(boundary) for boundary in boundaries]
    wider_sides = [max(bound.widths) for bound in bounds]
    narrowest = min((min(bound.widths) for bound in bounds), default=0)
    if narrowest < 1 or wider_sides != sorted(set(wider_sides)):
        raise ArgumentError(
            f"boundaries must be positive lengths in ascending order, not {tuple(boundaries)}."
        )
    if max_length is None:
        return bounds
    if max_length < 1:
        raise ArgumentError(f"max_length must be positive, not {max_length}.")
    whole = _Bound.of(max_length)
    narrower = [bound for bound in bounds if max(bound.widths) <= max_length]
    return narrower if narrower and narrower[-1].widths == whole.widths else [*narrower, whole]


def _by_length(needed: np.ndarray, bounds: Sequence[_Bound]) -> tuple[dict[_Bound, list[int]], int]:
    """Return the examples of each bucket that has any, in the bounds' order, and how many fit into none."""
    widths = np.array([bound.widths for bound in bounds])  # (bounds, 2)
    fits = np.all(needed[:, None] <= widths, axis=-1)  # (examples, bounds)
    chosen = np.where(fits.any(axis=1), fits.argmax(axis=1), len(bounds))
    members = {
        bound: np.flatnonzero(chosen == number).tolist()
        for number, bound in enumerate(bounds)
        if np.any(chosen == number)
    }
    return members, int(np.sum(chosen == len(bounds)))


def _merge_small(
    members: dict[_Bound, list[int]], min_batches: int, rows_of: Callable[[_Bound], int]
) -> None:
    """Merge each bucket that is too small to be worth a shape into the next larger one, except the largest
    and those of given widths, whose sides need not both fit into the next.
    """
    for smaller, larger in zip(list(members), list(members)[1:], strict=False):
        if not smaller.given and len(members[smaller]) < min_batches * rows_of(smaller):
            members[larger] = members.pop(smaller) + members[larger]
