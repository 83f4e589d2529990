"""Static lengths: a source bucket becomes an encode signature, and a step signature per number of rows."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_attn.errors import ArgumentError
from keras_attn.sources.lengths import default_lengths

DEFAULT_SOURCE_LENGTHS = (16, 32, 64, 128)
PROMPT_LENGTHS = (32, 128, 512)
FEWEST_TARGET_TOKENS = 16
# The fractions of all target tokens that a sentence's caches hold before they hold all: 1/8, 1/4 and so on.
STEP_PARTS, PROMPT_PARTS, BATCH_PARTS, BEAM_PARTS = (8, 4), (4,), (8, 4, 2), (16, 8, 4, 2)
SPARSE_LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)


@dataclass(frozen=True)
class BatchSize:
    """The size of a batch: sentences that are decoded together, each at its own step.

    Attributes:
        sentences: N.
        beams: beam size, B; 1 for greedy search.
    """

    sentences: int
    beams: int

    @property
    def rows(self) -> int:
        """Rows of a step."""
        return self.sentences * self.beams


def batch_sizes(sentences: int) -> list[int]:
    """Return the sentences of a batch's steps: all, and a half and a quarter for the end of a list."""
    return [size for size in (sentences // 4, sentences // 2, sentences) if size > 1]


@dataclass(frozen=True, order=True)
class Bucket:
    """The lengths of a group of signatures: at most `source` source tokens and `target` target tokens.

    Attributes:
        step_source: source tokens of its steps, which several buckets may share.
        targets: ascending, the target tokens for which there are steps: a sentence begins with the smallest,
            whose attention costs least, and moves to the next when it is full.
    """

    source: int
    target: int
    step_source: int = 0
    targets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_source", self.step_source or self.source)
        object.__setattr__(self, "targets", tuple(self.targets) or (self.target,))

    @property
    def encode(self) -> str:
        """Name of the encode signature."""
        return f"encode_{self.source}"

    @property
    def heads(self) -> str:
        """Name of the signature that also returns every head's attention."""
        return f"heads_{self.source}"

    @property
    def text(self) -> str:
        """Name of the signature that begins with the text itself."""
        return f"text_{self.source}"

    def step(self, rows: int, target: int | None = None) -> str:
        """Name of the step signature for that many beams and, by default all, target tokens."""
        return f"step_{self.step_source}_{target or self.target}_{rows}"

    def batch_step(self, batch: BatchSize, target: int) -> str:
        """Name of the step signature for a batch of that many target tokens."""
        return f"batch_{self.step_source}_{target}_{batch.sentences}x{batch.beams}"

    def batch_targets(self, batch: BatchSize) -> tuple[int, ...]:
        """Target tokens for which there are steps of a batch; only the largest where caches do not grow.

        The attention of many sentences is a larger part of a step, so there are more of them. Beams begin
        with fewer, since they share most of their past and so reuse slots.
        """
        if len(self.targets) == 1:
            return self.targets
        if batch.beams == 1:
            return growing(self.target, BATCH_PARTS)
        return growing(self.target, BEAM_PARTS, FEWEST_TARGET_TOKENS // 2)

    def short(self, rows: int, target: int | None = None) -> str:
        """Name of the step signature that scores only a shortlist's candidates."""
        return f"short_{self.step_source}_{target or self.target}_{rows}"


def sharing_steps(buckets: Iterable[Bucket]) -> list[Bucket]:
    """Return buckets that share steps if their lengths are similar, with steps for fewer target tokens.

    A step of a tiny model takes a tenth more time for 64 source tokens than for 32, and 16 save almost
    nothing, and every graph is memory and time to convert: sources of up to twice the length of a group's
    shortest share. Targets may be as long as the buckets of longer sources allow, up to twice a bucket's own:
    `default_max_length` asks for a few more than that.
    """
    groups: list[list[Bucket]] = []
    for bucket in sorted(buckets):
        if groups and bucket.source <= 2 * groups[-1][0].source and bucket.target >= groups[-1][-1].target:
            groups[-1].append(bucket)
        else:
            groups.append([bucket])
    shared: list[Bucket] = []
    for group in reversed(groups):
        step_source, target = group[-1].source, group[-1].target
        if shared:
            target = max(target, min(2 * target, shared[-1].target))
        shared += [
            Bucket(each.source, target, step_source, growing(target, STEP_PARTS)) for each in reversed(group)
        ]
    return shared[::-1]


def growing(target: int, parts: Sequence[int], fewest: int = FEWEST_TARGET_TOKENS) -> tuple[int, ...]:
    """Return the target tokens for which there are steps: parts, if they are not too few, and all."""
    some = (target // part for part in parts)
    return (*(each for each in some if each >= fewest), target)


@dataclass(frozen=True)
class Sparsity:
    """The lengths at which BigBird attends sparsely, and those with which it can be exported.

    Attributes:
        block_size: tokens of a block.
        num_random_blocks: random blocks of each block of queries.
    """

    block_size: int
    num_random_blocks: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Sparsity | None:
        """Read it from a backbone's configuration; `None` for one that is always dense."""
        if config.get("block_size") is None:
            return None
        return cls(config["block_size"], config["num_random_blocks"])

    @property
    def longest_dense(self) -> int:
        """Tokens up to which attention is dense."""
        return (5 + 2 * self.num_random_blocks) * self.block_size

    def is_sparse(self, length: int) -> bool:
        """Return whether texts that are padded to `length` get the sparse pattern."""
        return length > self.longest_dense

    def fitting(self, length: int) -> int:
        """Return a length, shortened to whole blocks where attention is sparse."""
        return length - length % self.block_size if self.is_sparse(length) else length

    def check(self, buckets: Iterable[Bucket], heads: bool) -> None:
        """Check that buckets can be exported.

        Raises:
            ArgumentError: names all lengths that are sparse but not whole blocks, or sparse and with `heads`.
        """
        sparse = [bucket.source for bucket in buckets if self.is_sparse(bucket.source)]
        broken = [length for length in sparse if length % self.block_size]
        if broken:
            lower = [self.fitting(length) for length in broken]
            instead = ", ".join(f"{length} or {length + self.block_size}" for length in lower)
            raise ArgumentError(
                f"bucket {', '.join(map(str, broken))}: above {self.longest_dense} tokens BigBird reads "
                f"whole blocks of {self.block_size} (its block_size): choose {instead}, or at most "
                f"{self.longest_dense}"
            )
        if heads and sparse:
            raise ArgumentError(
                f"heads: above {self.longest_dense} tokens BigBird's attention is sparse and is not exported "
                f"as matrices of tokens by tokens: leave out heads, or bucket {', '.join(map(str, sparse))}"
            )


def choose_buckets(
    wanted: Iterable[int | tuple[int, int]] | None,
    longest: int | None,
    longest_trained: int | None = None,
    default: Sequence[int] = DEFAULT_SOURCE_LENGTHS,
    sparsity: Sparsity | None = None,
    longest_text: int | None = None,
) -> list[Bucket]:
    """Return the buckets, shortest first.

    Args:
        wanted: source lengths, or (source, target) pairs; a missing target is twice the source. By default
            those of `default`, up to the model's limit.
        longest: the model's largest number of positions, `None` when it has no such limit.
        longest_trained: length up to which the model was trained; the default buckets end with the first that
            holds it.
        default: ascending lengths.
        sparsity: BigBird's; the default buckets are shortened to whole blocks where it is sparse.
        longest_text: most tokens of a text, which is truncated there; by default the longest bucket's.

    Raises:
        ArgumentError: when a length is not positive, occurs twice, or exceeds what the model can hold or the
            longest text.
    """
    if wanted is None:
        fitting = None if sparsity is None else sparsity.fitting
        wanted = default_lengths(default, longest, longest_trained, longest_text, fitting)
    buckets = []
    for each in wanted:
        source, target = each if isinstance(each, tuple) else (each, 0)
        target = target or (2 * source if longest is None else min(2 * source, longest))
        if source < 1 or target < 1:
            raise ArgumentError(f"bucket {each!r}: lengths must be positive")
        if longest is not None and max(source, target) > longest:
            raise ArgumentError(
                f"bucket {each!r} exceeds the model's {longest} positions: choose shorter ones"
            )
        if longest_text is not None and source > longest_text:
            raise ArgumentError(
                f"bucket {each!r} exceeds the {longest_text} tokens at which the model's folder cuts a text "
                "(max_seq_length or model_max_length): choose shorter ones"
            )
        buckets.append(Bucket(source, target))
    return _ascending(buckets)


def choose_prompt_buckets(
    wanted: Iterable[int | tuple[int, int]] | None, longest: int | None
) -> list[Bucket]:
    """Return the buckets of a language model, whose targets follow their prompts in the same positions.

    Args:
        wanted: prompt lengths, or (prompt, target) pairs; a missing target is as long as the prompt, up to
            the model's limit. By default `PROMPT_LENGTHS`.
        longest: the model's number of positions, `None` when it has no such limit.

    Raises:
        ArgumentError: when a length is not positive, occurs twice, or exceeds what the model can hold.
    """
    longest = sys.maxsize if longest is None else longest
    if wanted is None:
        wanted = [length for length in PROMPT_LENGTHS if 2 * length <= longest] or [longest // 2]
    buckets = []
    for each in wanted:
        prompt, target = each if isinstance(each, tuple) else (each, min(each, longest - each))
        if prompt < 1 or target < 1 or prompt + target > longest:
            raise ArgumentError(
                f"bucket {each!r}: a prompt of {prompt} tokens and {target} more do not fit into the "
                f"model's {longest} positions: both must be at least 1, and their sum at most {longest}"
            )
        buckets.append(Bucket(prompt, target, targets=growing(target, PROMPT_PARTS)))
    return _ascending(buckets)


def _ascending(buckets: list[Bucket]) -> list[Bucket]:
    if len({bucket.source for bucket in buckets}) < len(buckets):
        raise ArgumentError("two buckets have the same source length: give each length once")
    if not buckets:
        raise ArgumentError("no buckets: give at least one source length")
    return sorted(buckets)
