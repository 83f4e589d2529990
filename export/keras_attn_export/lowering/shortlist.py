"""Steps that score only the candidates of a sentence.

`select` reads their rows out of the output matrix once per sentence, and `short_S_T_R` multiplies by these
instead of by the whole matrix. The rows are floats: no kernel multiplies by 8-bit weights that are not
constants, and a few rows of floats are read faster than the whole matrix of bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn_export.lowering.base import Signature, Weights, from_largest, lookup, scored

SELECT = "select"
"""Name of the signature that reads the candidates' rows."""


def select(weights: Weights, matrix: np.ndarray, bias: np.ndarray | None, size: int) -> Signature:
    """Build candidates (K,), padding_bias (1, K) -> output_rows (K, D), output_bias (1, K).

    Args:
        weights: holds the matrix, which signatures share.
        matrix: of the output layer, (V, D).
        bias: of the output layer, (V,).
        size: K.
    """

    def function(candidates: Any, padding_bias: Any) -> dict[str, Any]:
        added = padding_bias
        if bias is not None:
            added = added + tf.gather(weights.constant(from_largest(bias)), candidates)[None]
        return {"output_rows": lookup(weights.table(matrix), candidates), "output_bias": added}

    return Signature(function, {"candidates": ((size,), tf.int32), "padding_bias": ((1, size), tf.float32)})


def candidate_inputs(depth: int, size: int) -> dict[str, tuple[Sequence[int], Any]]:
    """Return the inputs of a step that scores `size` candidates with hidden units (R, depth)."""
    return {"output_rows": ((size, depth), tf.float32), "output_bias": ((1, size), tf.float32)}


def next_candidate(hidden: Any, output: Mapping[str, Any]) -> dict[str, Any]:
    """Score the candidates with hidden (R, D): like `next_token`, with indices instead of tokens."""
    logits = tf.matmul(hidden, output["output_rows"], transpose_b=True) + output["output_bias"]
    return scored(logits, hidden.shape[0])
