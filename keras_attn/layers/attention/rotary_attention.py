"""Multi-head self-attention with rotary positions."""

from typing import Any

import keras

from keras_attn.layers.attention.multi_head_attention import MultiHeadAttention
from keras_attn.layers.positions.rotary_embedding import RotaryEmbedding


@keras.saving.register_keras_serializable("keras_attn")
class RotaryAttention(MultiHeadAttention):
    """`MultiHeadAttention` whose queries and keys are rotated by their positions.

    Su et al., 2021 (arXiv:2104.09864), section 3.2: scores depend on contents and distances only. With
    `sliding_window`, local attention.

    Args:
        num_heads: int, H.
        key_dim: int, size of each head's queries and keys, which must be even.
        max_wavelength: number, the base of the wavelengths (`rope_theta`).
        **kwargs: the further arguments of `MultiHeadAttention`.

    Call arguments:
        query, value and further arguments: as for `MultiHeadAttention`; both are counted from position 0.

    Returns:
        As `MultiHeadAttention`.

    Raises:
        ArgumentError: if `key_dim` is odd, or as `MultiHeadAttention`.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import RotaryAttention

        text = np.ones((2, 10, 32))
        outputs = RotaryAttention(num_heads=4, key_dim=8, sliding_window=3)(text, text)  # (2, 10, 32)
        ```
    """

    def __init__(
        self, num_heads: int, key_dim: int, *args: Any, max_wavelength: float = 10000, **kwargs: Any
    ) -> None:
        super().__init__(num_heads, key_dim, *args, **kwargs)
        self.max_wavelength = max_wavelength
        self._rotary = RotaryEmbedding(max_wavelength, dtype=self.dtype_policy, name="rotary")

    def _placed(self, query, key):
        return self._rotary(query), self._rotary(key)
