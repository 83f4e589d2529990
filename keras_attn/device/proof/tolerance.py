"""How errors are counted in every check of a proof: relative to the value where that is large.

Floats are spaced in proportion to their size: at 10,000 two neighbours are 0.001 apart, so no absolute limit
fits both there and at 1. A limit on a counted error accepts ``limit * max(1, size / LARGE)``, where the size
of a value is its own or the usual one of its row, since they come from the same sums: the median of the
``BESIDE`` values nearest to 0. Masks do not loosen the limit of the others: a token that a bias excludes is
far from 0, and impossible ones are left out.

Log-probabilities near 0 may come from large logits: at 4,000 floats are 0.0002 apart, and two right
computations differ by some of these steps. Their size is known where the proof says it, as that of the best
tokens, which no mask makes large. It loosens limits as far as floats are rounded and no farther: an error of
up to ``ROUNDING`` of the logits counts relative to their size, and of a larger one, such as quantization
makes, only that much is left out.
The browser counts in the same way (``demos/web/src/worker/tolerance.js``).
"""

from __future__ import annotations

import numpy as np

LARGE = 50.0
"""Log-probabilities from here on have relative errors: a limit of 1e-4 means 2e-6 of the value."""
ROUNDING = 2e-6
"""Relative difference of logits that two right computations in float32 may have: some 17 of their steps."""
BESIDE = 8
"""Number of values nearest to 0 whose median size is the usual one."""
IMPOSSIBLE = -1e30
"""Replaces smaller log-probabilities: minus infinity, or the lowest float as a mask."""


def comparable(values: np.ndarray) -> np.ndarray:
    """Return values as float64, at least ``IMPOSSIBLE``."""
    return np.maximum(np.asarray(values, np.float64), IMPOSSIBLE)


def counted_errors(
    found: np.ndarray, reference: np.ndarray, embeds: bool = False, logit_size: float = 0.0
) -> np.ndarray:
    """Compute the errors of values as limits count them.

    Args:
        found: (..., K) values.
        reference: (..., K) expected values.
        embeds: whether they are vectors, whose errors are scaled to unit length if they are longer.
        logit_size: usual size of the logits that are the best of their row; 0 where it is not known.

    Returns:
        (..., K) float64; not finite where a value is NaN, or plus infinity.
    """
    found, reference = np.asarray(found, np.float64), comparable(reference)
    if embeds:
        scale = np.maximum(1.0, np.linalg.norm(reference, axis=-1, keepdims=True))
    else:
        sizes = np.abs(reference)
        scale = np.maximum(1.0, np.maximum(sizes, _usual(sizes)) / LARGE)
    errors = np.abs(np.maximum(found, IMPOSSIBLE) - reference)
    rounded = np.inf
    if logit_size > LARGE and not embeds:
        rounded = np.maximum(errors - ROUNDING * logit_size, errors * (LARGE / logit_size))
    errors = np.minimum(errors / scale, rounded)
    return np.where(found == np.inf, np.inf, errors)


def _usual(sizes: np.ndarray) -> np.ndarray:
    """Compute the usual size (..., 1) of values (..., K), the lower median of those nearest to 0."""
    possible = np.count_nonzero(sizes < -IMPOSSIBLE, axis=-1, keepdims=True)
    middle = np.maximum(np.minimum(possible, BESIDE) - 1, 0) // 2
    return np.where(possible, np.take_along_axis(np.sort(sizes, -1), middle, -1), 0.0)
