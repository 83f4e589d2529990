"""The batch of one training step, and the mean loss of many."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np


@dataclasses.dataclass(frozen=True)
class TrainingBatch:
    """The batch of one step.

    Attributes:
        inputs: the model's dict of arrays, each with the leading dimension B.
        targets: int32 array, (B,) labels or (B, T) tokens.
        weights: float32 array like `targets`, 0 where there is no target.
    """

    inputs: dict[str, np.ndarray]
    targets: np.ndarray
    weights: np.ndarray

    @property
    def rows(self) -> int:
        """B."""
        return len(self.targets)

    @property
    def count(self) -> int:
        """Number of targets."""
        return int(np.count_nonzero(self.weights))

    @property
    def tokens(self) -> int:
        """Number of tokens that are read, or that a translator writes: the unit of speed."""
        mask = self.inputs.get("padding_mask")
        return self.count if mask is None else int(np.count_nonzero(mask))

    def padded(self, multiple: int) -> "TrainingBatch":
        """Append rows of zero weight up to a multiple of rows."""
        missing = -self.rows % multiple
        return self.each(lambda x: np.pad(x, [(0, missing), *[(0, 0)] * (x.ndim - 1)])) if missing else self

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> "TrainingBatch":
        """Apply a function to every array."""
        inputs = {name: change(array) for name, array in self.inputs.items()}
        return TrainingBatch(inputs, change(self.targets), change(self.weights))


def mean_loss(
    task,
    batches: Iterable[TrainingBatch],
    place: Callable[[TrainingBatch], TrainingBatch] = lambda batch: batch,
) -> float:
    """Compute the mean loss per target, without label smoothing, with a compiled task.

    Args:
        task: a `CompiledObjective`.
        batches: the batches.
        place: returns the part of a batch that this process gives to the task.
    """
    total = count = 0.0
    for batch in batches:
        placed = place(batch)
        loss = task.test_on_batch(placed.inputs, placed.targets, sample_weight=placed.weights)
        total += float(loss) * batch.count
        count += batch.count
    return total / max(count, 1)
