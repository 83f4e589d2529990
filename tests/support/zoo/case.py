"""One model of the zoo: how it is built, and what it is called with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WORDS = 30
"""Size of the vocabularies."""


@dataclass(frozen=True)
class Case:
    """A model.

    Attributes:
        build: returns the model, or the path of a `.keras` file.
        inputs: from a generator of random numbers, a number of examples and a length to what `predict` takes.
        lengths: signatures to export; `None` where all sizes are fixed.
        padded: whether inputs may be shorter than a signature.
        given: whether examples are given to the export.
        least: the smallest cosine of int8 that is accepted.
        task: given to the export.
    """

    build: Callable[[], Any]
    inputs: Callable[[np.random.Generator, int, int], Any]
    lengths: Sequence[int] | None = None
    padded: bool = False
    given: bool = False
    least: float = 0.99
    task: str | None = None


def ids(rng: np.random.Generator, count: int, length: int) -> np.ndarray:
    """Draw token ids without padding."""
    return rng.integers(1, WORDS, (count, length)).astype("int32")


def floats(*shape: int) -> Callable[[np.random.Generator, int, int], np.ndarray]:
    """Return what draws arrays of a fixed shape."""
    return lambda rng, count, length: rng.normal(size=(count, *shape)).astype("float32")


def series(width: int) -> Callable[[np.random.Generator, int, int], np.ndarray]:
    """Return what draws series of a length."""
    return lambda rng, count, length: rng.normal(size=(count, length, width)).astype("float32")
