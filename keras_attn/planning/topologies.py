"""The known TPUs: their memory, their speed, and the sizes of their slices."""

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
class TpuKind:
    """One kind of TPU, of which JAX sees a chip as one device.

    Attributes:
        hbm_bytes: memory of a chip that programs can use with libtpu 0.0.42; data sheets name a little more.
        peak_flops: bfloat16 FLOP/s of a chip, by its data sheet.
        slices: available sizes, in chips along each direction.
    """

    hbm_bytes: int
    peak_flops: float
    slices: tuple[str, ...]


KINDS = {
    "v5e": TpuKind(int(15.75 * GIB), 197e12, FLAT),
    "v5p": TpuKind(int(95.74 * GIB), 459e12, CUBIC),
    "v6e": TpuKind(int(31.25 * GIB), 918e12, FLAT),
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice of TPUs.

    Attributes:
        name: as libtpu knows it, such as "v5e:4x4".
        kind: the kind of its chips.
        chips: their number.
    """

    name: str
    kind: TpuKind
    chips: int


def find_topology(name: str) -> Topology:
    """Return a slice by its name.

    Raises:
        PlanError: if there is no such slice; the message lists the known ones.
    """
    prefix, _, size = name.partition(":")
    kind = KINDS.get(prefix)
    if kind is None or size not in kind.slices:
        known = "; ".join(f"{each}: {', '.join(KINDS[each].slices)}" for each in KINDS)
        raise PlanError(f"There is no topology {name!r}. Known are, after the name and a colon: {known}.")
    return Topology(name, kind, math.prod(int(side) for side in size.split("x")))
