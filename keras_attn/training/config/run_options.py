"""Options of a single run: devices, memory, how often it is saved. None changes what is learned."""

import dataclasses
import re
from typing import Annotated, Literal

from keras_attn.training.config.setting import DEVICES, SCHEDULE, Setting, documented, violations
from keras_attn.training.errors import TrainingError


@documented
@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options that may change when a training is resumed.

    Distribution "data" puts a copy of the model on each device, and divides the batch among them; "model"
    divides the model as well (`keras_attn.training.parallelism.layouts`).

    Raises:
        TrainingError: if options contradict each other; each contradiction is named.
    """

    distribution: Annotated[
        Literal["none", "data", "model"],
        Setting("One device; or all, dividing the batch (data) or also the model (model).", DEVICES),
    ] = "none"
    mesh: Annotated[
        str | None,
        Setting("Devices along batch and model; default: all along batch.", DEVICES, metavar="4x2"),
    ] = None
    shard_optimizer: Annotated[
        bool, Setting("Divide the optimizer's state among the devices along batch.", DEVICES)
    ] = False
    remat: Annotated[
        bool, Setting("Recompute activations in the backward pass, to save memory.", DEVICES)
    ] = False
    checkpoint_every: Annotated[
        int, Setting("Steps between further checkpoints; 0: only at evaluations.", SCHEDULE, min=0)
    ] = 0
    finish: Annotated[
        bool,
        Setting("With --resume: train no further, and write the model of the checkpoints so far.", SCHEDULE),
    ] = False

    def __post_init__(self):
        wrong = violations(self)
        if self.mesh is not None and not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", self.mesh):
            wrong.append(f"`mesh` must be devices along batch and model, such as 4x2, got {self.mesh!r}.")
        elif self.distribution == "none" and self.mesh is not None:
            wrong.append(f"`mesh` {self.mesh} needs `distribution` data or model.")
        elif self.distribution == "model" and len(self.shape) != 2:
            wrong.append("`distribution` model needs a `mesh` of two numbers, such as 4x2.")
        elif self.distribution == "data" and self.shape[1:] not in ((), (1,)):
            wrong.append(f"`mesh` {self.mesh} divides the model: choose `distribution` model.")
        if self.shard_optimizer and self.distribution == "none":
            wrong.append("`shard_optimizer` needs `distribution` data or model.")
        if wrong:
            raise TrainingError(" ".join(wrong))

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the mesh; empty by default."""
        return tuple(int(size) for size in self.mesh.split("x")) if self.mesh else ()
