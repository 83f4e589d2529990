"""Attention with linear biases (ALiBi): a penalty on distance instead of position embeddings."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.checked_layer import CheckedLayer


def alibi_slopes(num_heads: int, alibi_bias_max: float = 8) -> np.ndarray:
    """Tabulate the heads' slopes, 2^(-alibi_bias_max * h / H) for h = 1 ... H (Press et al., 2022, 3).

    When H is not a power of two, the slopes of the next smaller one come first, and the rest are taken from
    between them: every other slope of twice that number of heads.

    Returns:
        float64 NumPy array (H,).
    """
    power = 2 ** (num_heads.bit_length() - 1)  # the largest power of two that is not above H
    steps = np.arange(1, power + 1) / power
    between = np.arange(1, 2 * power, 2) / (2 * power)
    return 2.0 ** (-alibi_bias_max * np.concatenate([steps, between[: num_heads - power]]))


@keras.saving.register_keras_serializable("keras_attn")
class AlibiBias(CheckedLayer):
    """Add `slope(h) * (s - (S - 1))` to the score of head h and key s (Press et al., 2022, section 3).

    The paper's penalty is the distance between query and key. A softmax does not change if a constant is
    added to a row, so counting from the last key instead has the same weights for every query that sees only
    keys up to its own position (causal attention), with or without a cache.

    Args:
        alibi_bias_max: number; the slopes run geometrically down to `2 ** -alibi_bias_max`.

    Call arguments:
        attention_scores: float tensor (B, H, T, S), before the softmax.

    Returns:
        The biased scores (B, H, T, S), in the compute dtype.

    Raises:
        ArgumentError: if `attention_scores` is not of rank 4, or its number of heads is unknown.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import AlibiBias

        scores = np.zeros((2, 4, 10, 10))  # (B, H, T, S)
        biased = AlibiBias()(scores)
        ```
    """

    def __init__(self, alibi_bias_max: float = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alibi_bias_max = alibi_bias_max
        self.supports_masking = True
        self.built = True

    def call(self, attention_scores: Tensor) -> Any:
        """Add the bias."""
        self.compute_output_shape(attention_scores.shape)
        heads, keys = attention_scores.shape[1], ops.shape(attention_scores)[3]
        slopes = alibi_slopes(heads, self.alibi_bias_max).reshape(1, heads, 1, 1)
        # In float32, as bfloat16 cannot count beyond 256.
        distances = ops.arange(1 - keys, 1, dtype="float32")  # (S,)
        bias = ops.convert_to_tensor(slopes, "float32") * distances  # (1, H, 1, S)
        return attention_scores + ops.cast(bias, attention_scores.dtype)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        if len(input_shape) != 4 or input_shape[1] is None:
            raise ArgumentError(
                "`attention_scores` must have the shape (batch, heads, queries, keys) with a known number of "
                f"heads, got {tuple(input_shape)}."
            )
        return input_shape
