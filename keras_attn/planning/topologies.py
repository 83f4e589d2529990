"""The TPUs that are known: their memory, their speed, and how many of them a slice has."""

import dataclasses
import math

from keras_attn.planning.errors import PlanError

GIB = 2**30
FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
CUBIC = (
    "2x2x1",
    "2x2x2",
    "2x2x4",
    "2x4x4",
    "4x4x4",
    "4x4x8",
    "4x8x8",
    "8x8x8",
    "8x8x16",
    "8x16x16",
    "16x16x16",
)


@dataclasses.dataclass(frozen=True)
class Generation:
    """One kind of TPU, of which JAX sees a chip as one device.

    Attributes:
        hbm_bytes: memory of a chip that libtpu 0.0.42 gives to programs; the data sheets have a little more.
        peak_flops: bfloat16 FLOP/s of a chip, by its data sheet.
        slices: sizes in chips along each direction that are offered.
    """

    hbm_bytes: int
    peak_flops: float
    slices: tuple[str, ...]


GENERATIONS = {
    "v5e": Generation(int(15.75 * GIB), 197e12, FLAT),
    "v5p": Generation(int(95.74 * GIB), 459e12, CUBIC),
    "v6e": Generation(int(31.25 * GIB), 918e12, FLAT),
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice of TPUs.

    Attributes:
        name: as libtpu knows it, such as "v5e:4x4".
        generation: what its chips are.
        chips: how many.
    """

    name: str
    generation: Generation
    chips: int


def find_topology(name: str) -> Topology:
    """Find a slice by its name.

    Raises:
        PlanError: if there is no such slice; the message lists those that are known.
    """
    kind, _, size = name.partition(":")
    generation = GENERATIONS.get(kind)
    if generation is None or size not in generation.slices:
        known = "; ".join(f"{each}: {', '.join(GENERATIONS[each].slices)}" for each in GENERATIONS)
        raise PlanError(f"There is no topology {name!r}. Known are, after the name and a colon: {known}.")
    return Topology(name, generation, math.prod(int(side) for side in size.split("x")))
