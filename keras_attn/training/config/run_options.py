"""The conditions of a training: devices, memory, how often it is saved. None changes what is learnt."""

import dataclasses
import re

from keras_attn.training.errors import TrainingError

DISTRIBUTIONS = ("none", "data", "model")


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What may differ when a training is resumed.

    Attributes:
        distribution: `"none"` for one device; `"data"` for a copy of the model on each device, which share
            the batch; `"model"` for a model that is cut as well (`keras_attn.training.parallelism.layouts`).
        mesh: devices along "batch" and "model", such as `"4x2"`, or along "batch" alone, such as `"8"`; by
            default all devices along "batch".
        shard_optimizer: whether what the optimizer keeps is cut along "batch", instead of a copy each.
        remat: whether each block's activations are computed again in the backward pass instead of kept.
        checkpoint_every: int, steps between checkpoints beside those of the evaluations; 0 for none.

    Raises:
        TrainingError: if anything contradicts itself; everything that does is named.
    """

    distribution: str = "none"
    mesh: str | None = None
    shard_optimizer: bool = False
    remat: bool = False
    checkpoint_every: int = 0

    def __post_init__(self):
        wrong = []
        if self.distribution not in DISTRIBUTIONS:
            wrong.append(f"`distribution` must be one of {DISTRIBUTIONS}, got {self.distribution!r}.")
        if self.mesh is not None and not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", self.mesh):
            wrong.append(f"`mesh` must be devices along batch and model, such as 4x2, got {self.mesh!r}.")
        elif self.distribution == "none" and self.mesh is not None:
            wrong.append(f"`mesh` {self.mesh} needs `distribution` data or model.")
        elif self.distribution == "model" and len(self.shape) != 2:
            wrong.append("`distribution` model needs a `mesh` of two numbers, such as 4x2.")
        elif self.distribution == "data" and self.shape[1:] not in ((), (1,)):
            wrong.append(f"`mesh` {self.mesh} cuts the model: take `distribution` model.")
        if self.shard_optimizer and self.distribution == "none":
            wrong.append("`shard_optimizer` needs `distribution` data or model.")
        if self.checkpoint_every < 0:
            wrong.append(f"`checkpoint_every` cannot be negative, got {self.checkpoint_every}.")
        if wrong:
            raise TrainingError(" ".join(wrong))

    @property
    def shape(self) -> tuple[int, ...]:
        """The mesh's numbers; none by default."""
        return tuple(int(size) for size in self.mesh.split("x")) if self.mesh else ()
