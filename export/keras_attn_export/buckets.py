"""Static lengths: a source bucket becomes an encode signature, and a step signature per number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DEFAULT_SOURCE_LENGTHS = (16, 32, 64, 128)
ENCODER_LENGTHS = (32, 64, 128, 256, 512)


@dataclass(frozen=True, order=True)
class Bucket:
    """Room for `source` source tokens and `target` target tokens."""

    source: int
    target: int

    @property
    def encode(self) -> str:
        """Name of the encode signature."""
        return f"encode_{self.source}"

    @property
    def heads(self) -> str:
        """Name of the signature that gives every head's attention as well."""
        return f"heads_{self.source}"

    def step(self, rows: int) -> str:
        """Name of the step signature for that many beams."""
        return f"step_{self.source}_{rows}"


def choose_buckets(
    wanted: Iterable[int | tuple[int, int]] | None,
    longest: int | None,
    longest_trained: int | None = None,
    default: Sequence[int] = DEFAULT_SOURCE_LENGTHS,
) -> list[Bucket]:
    """Make the buckets, shortest first.

    Args:
        wanted: source lengths, or (source, target) pairs; a missing target is twice the source. By default
            those of `default`, as far as the model goes.
        longest: the model's largest number of positions, `None` when it has no such limit.
        longest_trained: length up to which the model was trained; the default buckets end with the first that
            holds it.
        default: ascending lengths.

    Raises:
        ValueError: when a length is not positive, occurs twice, or exceeds what the model can hold.
    """
    if wanted is None:
        limit = default[-1] if longest is None else longest
        lengths = [length for length in default if length <= limit] or [limit]
        if longest_trained is not None:
            enough = [length for length in lengths if length >= longest_trained]
            lengths = [length for length in lengths if not enough or length <= enough[0]]
        wanted = lengths
    buckets = []
    for each in wanted:
        source, target = each if isinstance(each, tuple) else (each, 0)
        target = target or (2 * source if longest is None else min(2 * source, longest))
        if source < 1 or target < 1:
            raise ValueError(f"bucket {each!r}: lengths must be positive")
        if longest is not None and max(source, target) > longest:
            raise ValueError(f"bucket {each!r} exceeds the model's {longest} positions: choose shorter ones")
        buckets.append(Bucket(source, target))
    if len({bucket.source for bucket in buckets}) < len(buckets):
        raise ValueError("two buckets have the same source length: give each length once")
    if not buckets:
        raise ValueError("no buckets: give at least one source length")
    return sorted(buckets)
