"""Which matrices may have 4 bits: each is tried by itself, then as many together as the limits accept.

Four bits halve a matrix, and a step that waits for memory takes half the time for it, but some matrices bear
it badly. So the error of each by itself is measured with the very kernels of the device. Then, those that
cost least per weight first, each gets 4 bits if the limits hold with those before it; and if the task's
metric does not bear them all, those with the largest errors get 8 again. With none the file is int8's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from keras_attn_export.tflite.compact import compact
from keras_attn_export.tflite.inspection import buffer_bytes, operator_name, read_object
from keras_attn_export.tflite.quantize import quantize

MORE_ERROR = 6.0
"""The mean error may be this many times that of 8 bits everywhere."""
MOST_USED = 0.75
"""The fraction of each limit of the proof that may be used: other processors round differently."""
_LOOKUP = "EMBEDDING_LOOKUP"
_WORTH_TRYING = 0.002  # of all weights


@dataclass(frozen=True)
class Matrix:
    """A matrix of constants, in all the graphs that use it.

    Attributes:
        name: its path in the model, or "embedding table".
        weights: how many.
        operators: names of the outputs of the operators that multiply by it or look rows up in it.
    """

    name: str
    weights: int
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """What was measured of a quantized file.

    Attributes:
        error: its mean error.
        used: the largest fraction of a limit of the proof that one of its figures takes.
    """

    error: float
    used: float


@dataclass(frozen=True)
class Trial:
    """What 4 bits cost a matrix.

    Attributes:
        name: of the matrix.
        weights: how many it has.
        error: the model's mean error with only this one in 4 bits.
        narrow: whether it has 4 bits in the end; a key of `report.json`.
    """

    name: str
    weights: int
    error: float
    narrow: bool


@dataclass(frozen=True)
class MixedFile:
    """A file of mixed widths, and why.

    Attributes:
        content: the .tflite file.
        tried: each matrix, the one that costs least per weight first.
        error: the model's mean error with 8 bits everywhere.
        error_mixed: with 4 bits where they were chosen.
    """

    content: bytes
    tried: tuple[Trial, ...]
    error: float
    error_mixed: float

    def as_json(self) -> dict[str, Any]:
        """Return its part of `report.json`."""
        return {
            "mean_error_int8": self.error,
            "mean_error": self.error_mixed,
            "matrices": [asdict(each) for each in self.tried],
        }

    def __str__(self) -> str:
        narrow, every = (
            sum(each.weights for each in self.tried if each.narrow),
            sum(each.weights for each in self.tried),
        )
        count = sum(each.narrow for each in self.tried)
        return (
            f"{count} of {len(self.tried)} matrices ({narrow / max(every, 1):.0%} of their weights) have 4 "
            f"bits: mean error {self.error_mixed:.4f}, with 8 bits everywhere {self.error:.4f}"
        )


def matrices(content: bytes) -> list[Matrix]:
    """List a converted file's matrices, the largest first; small ones are left out."""
    model = read_object(content)
    found: dict[bytes, tuple[str, int, list[str]]] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            kind = operator_name(model, operator)
            if kind not in ("FULLY_CONNECTED", _LOOKUP):
                continue
            tensor = graph.tensors[operator.inputs[1]]
            data = buffer_bytes(model.buffers[tensor.buffer], content)
            if not data:
                continue
            key = hashlib.sha256(data).digest()
            name, _, outputs = found.get(key, (_path(tensor.name.decode()), 0, []))
            name = "embedding table" if kind == _LOOKUP else name
            outputs.append(graph.tensors[operator.outputs[0]].name.decode())
            found[key] = (name, len(data) // 4, outputs)
    every = sum(count for _, count, _ in found.values())
    large = [
        Matrix(name, count, tuple(outputs))
        for name, count, outputs in found.values()
        if count >= _WORTH_TRYING * every
    ]
    return sorted(large, key=lambda matrix: -matrix.weights)


def _path(tensor: str) -> str:
    """Turn `encoder_layer_0/feedforward_output_dense/MatMul` into the layer's path."""
    return tensor.rpartition("/")[0] or tensor


def select_int4(
    content: bytes,
    weights: str,
    activations: str,
    measure: Callable[[bytes], Measured],
    passes: Callable[[bytes], bool] = lambda file: True,
    progress: Callable[[str], None] = lambda line: None,
    more_error: float = MORE_ERROR,
) -> MixedFile:
    """Quantize a file, with 4 bits for the matrices that bear them.

    Args:
        content: the converted fp32 file, with its inner names.
        weights: the type of the other weights; see `quantize`.
        activations: see `quantize`.
        measure: measures a quantized file.
        passes: whether a quantized file passes the checks that take too long to be repeated with each
            matrix. It is not called with 8 bits everywhere.
        progress: called with a line at each trial.
        more_error: how many times the error of `weights` everywhere is accepted.
    """

    def quantized(chosen: Sequence[Matrix]) -> bytes:
        names = [operator for matrix in chosen for operator in matrix.operators]
        return compact(quantize(content, weights, activations, names))

    wide = quantized([])
    base = measure(wide)

    def fits(found: Measured) -> bool:
        return found.error <= more_error * base.error and found.used <= MOST_USED

    single: dict[Matrix, Measured] = {}
    candidates = matrices(content)
    for number, matrix in enumerate(candidates, 1):
        progress(f"4 bits for {matrix.name} ({number} of {len(candidates)})")
        single[matrix] = measure(quantized([matrix]))
    order = sorted(single, key=lambda matrix: max(single[matrix].error - base.error, 0.0) / matrix.weights)
    chosen: list[Matrix] = []
    for number, matrix in enumerate(order, 1):
        progress(f"4 bits together, {len(chosen)} matrices so far ({number} of {len(order)})")
        if fits(single[matrix]) and (not chosen or fits(measure(quantized([*chosen, matrix])))):
            chosen.append(matrix)
    chosen.sort(key=lambda matrix: single[matrix].error)

    def accepted(count: int) -> bool:
        progress(f"the whole proof with 4 bits for {count} matrices")
        return passes(quantized(chosen[:count]))

    if chosen and not accepted(len(chosen)):
        chosen = chosen[: largest_accepted(len(chosen) - 1, accepted)]
    best = quantized(chosen)
    tried = tuple(
        Trial(matrix.name, matrix.weights, single[matrix].error, matrix in chosen) for matrix in order
    )
    return MixedFile(best, tried, base.error, measure(best).error)


def largest_accepted(limit: int, accepted: Callable[[int], bool]) -> int:
    """Return the largest number up to `limit` that is accepted, by bisection; 0 always is."""
    best, too_many = 0, limit + 1
    while best + 1 < too_many:
        middle = (best + too_many) // 2
        if accepted(middle):
            best = middle
        else:
            too_many = middle
    return best
