"""The request of a plan, checked before any long work."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from keras_attn.planning.errors import PlanError
from keras_attn.planning.topologies import Topology, find_topology
from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.config.training_config import PRECISIONS

TOKENS_PER_REPLICA = 4096  # of a batch, by default


@dataclasses.dataclass(frozen=True)
class Request:
    """A step to plan.

    Attributes:
        model: name of a preset, such as "bert-base", or a run folder.
        topology: such as "v5e:4x4".
        run_options: distribution, mesh and the like; by default all chips are along the batch.
        batch_tokens: int, tokens of the whole batch; by default 4,096 per replica.
        sequence: int, tokens of a row; by default that of the run, or 512.
        precision: "float32", "bfloat16" or "float16"; by default that of the run, or "bfloat16".
        accumulate: int, parts of a batch that are computed one after another.
        vocabulary_size: int, instead of the preset's.
        dropout, attention_dropout: floats instead of the model's.

    Raises:
        PlanError: if options are wrong or contradict each other; each one is named.
    """

    model: str
    topology: str
    run_options: RunOptions = dataclasses.field(default_factory=lambda: RunOptions("data"))
    batch_tokens: int | None = None
    sequence: int | None = None
    precision: str | None = None
    accumulate: int = 1
    vocabulary_size: int | None = None
    dropout: float | None = None
    attention_dropout: float | None = None

    def __post_init__(self):
        wrong = []
        for name in ("batch_tokens", "sequence", "accumulate", "vocabulary_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                wrong.append(f"`{name}` must be positive, got {value}.")
        if self.precision not in (None, *PRECISIONS):
            wrong.append(f"`precision` must be one of {PRECISIONS}, got {self.precision!r}.")
        try:
            chips = self.slice.chips
        except PlanError as error:
            wrong.append(str(error))
        else:
            wrong += self._misfits(chips)
        if wrong:
            raise PlanError(" ".join(wrong))

    def _misfits(self, chips: int) -> list[str]:
        mesh, distribution = self.run_options.mesh, self.run_options.distribution
        devices = math.prod(self.run_options.shape)
        if mesh is not None and devices != chips:
            return [f"`mesh` {mesh} has {devices} devices, but {self.topology} has {chips}."]
        if distribution == "none" and chips > 1:
            return [f"{self.topology} has {chips} chips, which need `distribution` data or model."]
        return []

    @property
    def slice(self) -> Topology:
        """The TPU slice."""
        return find_topology(self.topology)

    @property
    def is_run(self) -> bool:
        """Whether the model is a run folder, not a preset."""
        return (Path(self.model) / "run.json").is_file()

    @property
    def mesh(self) -> tuple[int, int]:
        """Chips along the batch and along the model."""
        batch, model = (*self.run_options.shape, 1, 1)[:2] if self.run_options.mesh else (self.slice.chips, 1)
        return batch, model

    def rows(self, sequence: int) -> int:
        """Return the rows of the whole batch.

        Args:
            sequence: int, tokens of a row.

        Raises:
            PlanError: if they do not divide among the chips along the batch.
        """
        parts = self.mesh[0] * self.accumulate
        tokens = self.batch_tokens or max(TOKENS_PER_REPLICA, sequence * self.accumulate) * self.mesh[0]
        rows = tokens // sequence
        if rows < 1 or rows % parts:
            wanted = f"{self.mesh[0]} chips along the batch" + (
                f" times {self.accumulate} accumulated parts" if self.accumulate > 1 else ""
            )
            raise PlanError(
                f"`batch_tokens` {tokens} are {rows} rows of {sequence} tokens, which cannot be divided "
                f"evenly among {wanted}: choose {max(1, round(rows / parts)) * parts * sequence}."
            )
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Request":
        """Return the request of what `to_json` returned."""
        return cls(**{**found, "run_options": RunOptions(**found["run_options"])})
