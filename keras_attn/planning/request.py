"""What is asked of a plan, and all that can be wrong with it, found before any long work."""

import dataclasses
import math
import re
from pathlib import Path

from keras_attn.planning.errors import PlanError
from keras_attn.planning.topologies import Topology, find_topology

DISTRIBUTIONS = ("data", "model")
TOKENS_PER_REPLICA = 4096  # of a batch, where nothing else is asked


@dataclasses.dataclass(frozen=True)
class Request:
    """A step to plan.

    Attributes:
        model: name of a preset, such as "bert-base", or a run folder.
        topology: such as "v5e:4x4".
        distribution: "data", or "model" for tensor parallelism on top of it.
        mesh: chips along the batch and along the model; `None` where the distribution says it.
        batch_tokens: int, tokens of the whole batch; `None` for 4,096 per replica.
        sequence: int, tokens of a row; `None` for what the run has, else 512.
        precision: "float32", "bfloat16" or "float16"; `None` for what the run has, else "bfloat16".
        remat: whether activations inside blocks are computed a second time instead of kept.
        accumulate: int, batches whose gradients are added up before the optimizer's step.
        shard_optimizer: whether the optimizer's state is cut along the batch axis too.
        vocabulary_size: int, instead of the preset's.
        dropout, attention_dropout: floats instead of the model's.
    """

    model: str
    topology: str
    distribution: str = "data"
    mesh: tuple[int, int] | None = None
    batch_tokens: int | None = None
    sequence: int | None = None
    precision: str | None = None
    remat: bool = False
    accumulate: int = 1
    shard_optimizer: bool = False
    vocabulary_size: int | None = None
    dropout: float | None = None
    attention_dropout: float | None = None

    @property
    def slice(self) -> Topology:
        """The TPUs."""
        return find_topology(self.topology)

    @property
    def is_run(self) -> bool:
        """Whether the model is a folder, not a name."""
        return (Path(self.model) / "run.json").is_file()


def parse_mesh(text: str) -> tuple[int, int]:
    """Read a mesh such as "4x2".

    Raises:
        PlanError: if it is written otherwise.
    """
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise PlanError(f"`mesh` must be BATCHxMODEL, such as 4x2, got {text!r}.")
    return int(found[1]), int(found[2])


def mesh_of(request: Request) -> tuple[int, int]:
    """Give the chips along the batch and along the model.

    Raises:
        PlanError: if the mesh does not fit the topology or the distribution.
    """
    chips, mesh = request.slice.chips, request.mesh
    if request.distribution not in DISTRIBUTIONS:
        raise PlanError(f"`distribution` must be one of {DISTRIBUTIONS}, got {request.distribution!r}.")
    if mesh is None:
        if request.distribution == "model":
            raise PlanError("`distribution` model needs a `mesh`, chips along the batch x along the model.")
        return chips, 1
    if math.prod(mesh) != chips:
        raise PlanError(
            f"`mesh` {mesh[0]}x{mesh[1]} has {math.prod(mesh)} devices, but {request.topology} has {chips}."
        )
    if request.distribution == "data" and mesh[1] != 1:
        raise PlanError(
            f"`mesh` {mesh[0]}x{mesh[1]} is cut along the model: give `distribution` model, or the mesh {chips}x1."
        )
    return mesh


def rows_of(request: Request, sequence: int) -> int:
    """Give the rows of the whole batch.

    Raises:
        PlanError: if they do not divide among the devices along the batch.
    """
    replicas = mesh_of(request)[0]
    tokens = request.batch_tokens or max(TOKENS_PER_REPLICA, sequence) * replicas
    rows = tokens // sequence
    if rows == 0:
        raise PlanError(f"`batch_tokens` {tokens} are less than one row of {sequence} tokens.")
    if rows % replicas:
        fitting = max(rows // replicas, 1) * replicas * sequence
        raise PlanError(
            f"`batch_tokens` {tokens} are {rows} rows of {sequence} tokens, which {replicas} devices along the "
            f"batch do not divide: take {fitting}."
        )
    return rows
