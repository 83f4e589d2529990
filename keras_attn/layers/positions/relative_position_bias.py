"""A learned bias of attention scores for each distance between query and key."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Initializer, Tensor
from keras_attn.layers.clone_initializer import clone_initializer
from keras_attn.layers.quantization import QuantizedParts


def distance_buckets(distances: np.ndarray, num_buckets: int, max_distance: int) -> np.ndarray:
    """Number the buckets of the distances key - query (Raffel et al., 2020, section 2.1).

    Half of the buckets are for keys behind the query. Of each half, half are for one distance each, and the
    others for ranges that grow up to `max_distance`.

    Args:
        distances: int array of any shape.
        num_buckets: int, the number of all buckets.
        max_distance: int; longer distances share the last bucket.

    Returns:
        int32 array of the same shape.
    """
    half, length = num_buckets // 2, np.abs(distances)
    exact = half // 2
    growth = np.log(np.maximum(length, 1).astype(np.float32) / exact) / math.log(max_distance / exact)
    far = np.minimum(exact + (growth * (half - exact)).astype(np.int32), half - 1)
    return ((distances > 0) * half + np.where(length < exact, length, far)).astype(np.int32)


@keras.saving.register_keras_serializable("keras_attn")
class RelativePositionBias(QuantizedParts):
    """Look up what each head adds to the score of a key at some distance from the query.

    Distances are put into buckets, narrow for near keys and wide for far ones, as in T5 (Raffel et al., 2020,
    arXiv:1910.10683, section 2.1) and MPNet (Song et al., 2020, arXiv:2004.09297).

    Args:
        num_heads: int, H.
        num_buckets: int, a multiple of 4.
        max_distance: int; longer distances share a bucket.
        embeddings_initializer: initializer of the table.

    Call arguments:
        inputs: tensor (B, T, D), of which only the length is read; it must be known.

    Returns:
        float tensor (1, H, T, T), which is added to attention scores before the softmax.

    Raises:
        ArgumentError: if `num_buckets` is not a multiple of 4, `max_distance` does not exceed a quarter of
            it, or the length of `inputs` is not known.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import MultiHeadAttention, RelativePositionBias

        text = np.ones((2, 10, 32))
        bias = RelativePositionBias(num_heads=4)(text)  # (1, 4, 10, 10)
        outputs = MultiHeadAttention(num_heads=4, key_dim=8)(text, text, attention_bias=bias)
        ```
    """

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        embeddings_initializer: Initializer = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_buckets <= 0 or num_buckets % 4:
            raise ArgumentError(f"`num_buckets` must be a positive multiple of 4, got {num_buckets}.")
        if max_distance <= num_buckets // 4:
            raise ArgumentError(f"`max_distance` must exceed {num_buckets // 4}, got {max_distance}.")
        self.num_heads = num_heads
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, inputs_shape):
        """Create the table (buckets, H)."""
        self.table = keras.layers.Embedding(
            self.num_buckets,
            self.num_heads,
            embeddings_initializer=clone_initializer(self.embeddings_initializer),
            dtype=self.dtype_policy,
            name="table",
        )
        self.table.build((None,))
        self.built = True

    def call(self, inputs: Tensor) -> Any:
        """Look up the biases for texts as long as `inputs`."""
        length = inputs.shape[1]
        if length is None:
            raise ArgumentError("The length of `inputs` must be known: give it to `keras.Input`.")
        positions = np.arange(length)
        buckets = distance_buckets(positions - positions[:, None], self.num_buckets, self.max_distance)
        bias = self.table(ops.convert_to_tensor(buckets))  # (T, T, H)
        return ops.expand_dims(ops.transpose(bias, (2, 0, 1)), 0)  # (1, H, T, T)

    def compute_output_shape(self, inputs_shape):
        """Return (1, H, T, T)."""
        return (1, self.num_heads, inputs_shape[1], inputs_shape[1])
