"""An operator as its rule sees it: the types and shapes of its tensors, and its options."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

BROADCAST_RANK = 8
"""Most dimensions that kernels broadcast."""
DELEGATED_RANK = 6
"""Most dimensions of float32 that LiteRT's delegate takes where it takes an operator at all."""
FLOAT, NUMBERS = ("float32",), ("float32", "int32", "int64")
ANY = (*NUMBERS, "bool")
MOVED = (*ANY, "int8", "uint8", "int16")
"""Types that kernels move, join and choose; most of them compute with fewer."""
_ACTIVATIONS = (0, 1, 2, 3)  # none and the kinds of RELU


class Tensor(NamedTuple):
    """A tensor as a rule sees it.

    Attributes:
        kind: its type, such as "float32".
        shape: its sizes.
        constant: whether its contents are in the file.
        values: the contents of small constants of int32 or int64; otherwise None.
        scales, scale_axis: number of quantization scales, and their axis.
    """

    kind: str
    shape: tuple[int, ...]
    constant: bool = False
    values: tuple[int, ...] | None = None
    scales: int = 0
    scale_axis: int = 0

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class WrongOperator(Exception):
    """An operator's tensors or options do not fit."""


@dataclass(frozen=True)
class Operator:
    """An operator.

    Attributes:
        inputs: tensors, None where an optional one is left out.
        outputs: tensors.
        options: of the operator, by name.
    """

    inputs: Sequence[Tensor | None]
    outputs: Sequence[Tensor]
    options: dict[str, float | tuple[int, ...]]

    def need(self, right: bool, problem: str) -> None:
        """Raise a WrongOperator unless ``right``."""
        if not right:
            raise WrongOperator(problem)

    def take(self, count: int, optional: int = 0) -> list[Tensor]:
        """Return the first ``count`` inputs; there may be ``optional`` more."""
        self.need(count <= len(self.inputs) <= count + optional, f"it has {len(self.inputs)} inputs")
        found = [tensor for tensor in self.inputs[:count] if tensor is not None]
        self.need(len(found) == count, "it lacks an input")
        return found

    def give(self, *wanted: tuple[str, Sequence[int]]) -> None:
        """Check types and shapes of the outputs."""
        found = [(tensor.kind, tensor.shape) for tensor in self.outputs]
        self.need(
            found == [(kind, tuple(shape)) for kind, shape in wanted],
            f"its outputs are {_shown(found)} instead of {_shown(wanted)}",
        )

    def option(self, name: str) -> int:
        """Return an option."""
        value = self.options.get(name)
        self.need(value is not None and not isinstance(value, tuple), f"it has no {name}")
        return value  # type: ignore[return-value]

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis, counted from the first."""
        self.need(-rank <= axis < rank, f"axis {axis} is not one of {rank}")
        return axis % rank

    def known(
        self, tensor: Tensor, count: int | None = None, kinds: Sequence[str] = ("int32",)
    ) -> tuple[int, ...]:
        """Return the elements of a constant input, which kernels read as one of these types."""
        known = tensor.values is not None and tensor.kind in kinds
        self.need(known, "a shape, an axis or the like is not constant")
        values = tensor.values or ()
        self.need(
            count is None or len(values) == count, f"it is given {len(values)} numbers instead of {count}"
        )
        return values

    def number(self, tensor: Tensor) -> int:
        """Return the only element of a constant input."""
        return self.known(tensor, 1)[0]

    def activation(self) -> None:
        """Check the fused activation."""
        self.need(self.options.get("activation", 0) in _ACTIVATIONS, "its activation is not known")

    def broadcast(self, *shapes: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of what is computed element by element, where sizes of 1 are repeated."""
        rank = max(map(len, shapes))
        self.need(
            rank <= BROADCAST_RANK or len(set(map(tuple, shapes))) == 1, f"it cannot repeat {rank} dimensions"
        )
        found = [1] * rank
        for shape in shapes:
            for i, size in enumerate(shape, rank - len(shape)):
                self.need(
                    size == found[i] or 1 in (size, found[i]), f"shapes {list(map(list, shapes))} do not fit"
                )
                found[i] = size if found[i] == 1 else found[i]
        return tuple(found)


Rule = Callable[[Operator], None]
"""Raises a WrongOperator if an operator's tensors or options do not fit."""


def check_rows(op: Operator, x: Tensor, kinds: Sequence[str], axis: int = 0) -> None:
    """Check constant weights that kernels dequantize by one scale, or by one for each row along an axis."""
    op.need(x.kind in kinds and x.constant, f"its weights are {x.kind}, or not in the file")
    rows = x.scales == 1 or (x.scale_axis == axis and x.scales == x.shape[axis])
    op.need(rows, "its weights lack a scale for each row")


def _shown(tensors: Sequence[tuple[str, Sequence[int]]]) -> str:
    return ", ".join(f"{kind}{list(shape)}" for kind, shape in tensors)
