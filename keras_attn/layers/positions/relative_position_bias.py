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


def distance_buckets(
    distances: np.ndarray, num_buckets: int, max_distance: int, bidirectional: bool = True
) -> np.ndarray:
    """Number the buckets of the distances key - query (Raffel et al., 2020, section 2.1).

    Half of the buckets are for keys behind the query, if there may be any. Of each half (or of all), half are
    for one distance each, and the others for ranges that grow up to `max_distance`.

    Args:
        distances: int array of any shape.
        num_buckets: int, the number of all buckets.
        max_distance: int; longer distances share the last bucket.
        bidirectional: whether keys may be behind the query; otherwise all of these share the query's bucket.

    Returns:
        int32 array of the same shape.
    """
    if bidirectional:
        side, length = num_buckets // 2, np.abs(distances)
    else:
        side, length = num_buckets, np.maximum(-distances, 0)
    exact = side // 2
    growth = np.log(np.maximum(length, 1).astype(np.float32) / exact) / math.log(max_distance / exact)
    far = np.minimum(exact + (growth * (side - exact)).astype(np.int32), side - 1)
    behind = (distances > 0) * side if bidirectional else 0
    return (behind + np.where(length < exact, length, far)).astype(np.int32)


@keras.saving.register_keras_serializable("keras_attn")
class RelativePositionBias(QuantizedParts):
    """Look up what each head adds to the score of a key at some distance from the query.

    Distances are put into buckets, narrow for near keys and wide for far ones, as in T5 (Raffel et al., 2020,
    arXiv:1910.10683, section 2.1) and MPNet (Song et al., 2020, arXiv:2004.09297).

    Args:
        num_heads: int, H.
        num_buckets: int, a multiple of 4 (of 2, if not `bidirectional`).
        max_distance: int; longer distances share a bucket.
        bidirectional: whether keys may follow the query; T5's decoder has `False`.
        embeddings_initializer: initializer of the table.

    Call arguments:
        inputs: tensor (B, T, D), of which only the length is read.

    Returns:
        float tensor (1, H, T, T), which is added to attention scores before the softmax.

    Raises:
        ArgumentError: if `num_buckets` is not such a multiple, or `max_distance` does not exceed the number
            of distances that have a bucket of their own, a quarter of it (or half).

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
        bidirectional: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        parts = 4 if bidirectional else 2
        if num_buckets <= 0 or num_buckets % parts:
            raise ArgumentError(f"`num_buckets` must be a positive multiple of {parts}, got {num_buckets}.")
        if max_distance <= num_buckets // parts:
            raise ArgumentError(f"`max_distance` must exceed {num_buckets // parts}, got {max_distance}.")
        self.num_heads = num_heads
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.bidirectional = bidirectional

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
        if not isinstance(length, int):
            positions = ops.arange(ops.shape(inputs)[1], dtype="int32")
            return self.between(positions, positions)
        positions = np.arange(length)
        return self._heads_first(self._buckets(positions - positions[:, None]))

    def between(self, queries: Tensor, keys: Tensor) -> Any:
        """Look up the biases between positions, which need not be known.

        Args:
            queries: int32 tensor (T,).
            keys: int32 tensor (S,).

        Returns:
            float tensor (1, H, T, S).
        """
        return self._heads_first(self._bucket_of(ops.expand_dims(keys, 0) - ops.expand_dims(queries, 1)))

    def of_step(self, position: Tensor, slots: int) -> Any:
        """Look up the biases of new tokens, for the slots of caches and for the tokens themselves.

        Args:
            position: int32 tensor (R,), of each row's token; what slot i holds has the position i.
            slots: int, T.

        Returns:
            float tensor (R, H, T + 1).
        """
        distances = ops.expand_dims(ops.arange(slots, dtype="int32"), 0) - ops.expand_dims(position, 1)
        distances = ops.concatenate([distances, ops.zeros_like(distances[:, :1])], axis=1)  # (R, T + 1)
        return ops.transpose(self.table(self._bucket_of(distances)), (0, 2, 1))  # (R, H, T + 1)

    def _buckets(self, distances):
        """Number the buckets of an array of distances."""
        return distance_buckets(distances, self.num_buckets, self.max_distance, self.bidirectional)

    def _bucket_of(self, distances):
        """Number the buckets of a tensor of distances."""
        most = self.max_distance
        numbers = ops.convert_to_tensor(self._buckets(np.arange(-most, most + 1)))
        return ops.take(numbers, ops.clip(distances, -most, most) + most, axis=0)

    def _heads_first(self, buckets):
        bias = self.table(ops.convert_to_tensor(buckets))  # (T, S, H)
        return ops.expand_dims(ops.transpose(bias, (2, 0, 1)), 0)  # (1, H, T, S)

    def compute_output_shape(self, inputs_shape):
        """Return (1, H, T, T)."""
        return (1, self.num_heads, inputs_shape[1], inputs_shape[1])
