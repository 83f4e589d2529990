"""Learned positions, and tokens with learned positions."""

from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Initializer, Tensor
from keras_attn.layers.checked_layer import CheckedLayer
from keras_attn.layers.clone_initializer import clone_initializer
from keras_attn.layers.quantization import QuantizedParts


@keras.saving.register_keras_serializable("keras_attn")
class PositionEmbedding(CheckedLayer):
    """One learned vector per position (Gehring et al., 2017, section 3.1; BERT).

    Args:
        sequence_length: int, the largest number of positions.
        initializer: initializer of the vectors.

    Call arguments:
        inputs: float tensor (B, T, D), or (..., T, D); only its shape matters.
        start_index: int or int32 scalar tensor, position of the first element.
        positions: int32 tensor (T,) or (B, T) of explicit positions, instead of `start_index`.

    Returns:
        The position vectors broadcast to the shape of `inputs`, in the compute dtype and with its Keras mask.
        Add them by `keras.layers.Add`, which keeps the mask; `+` loses it.

    Raises:
        ArgumentError: if `sequence_length` is missing, or `inputs` reach beyond it.

    Example:
        ```python
        import keras
        import numpy as np
        from keras_attn.layers import PositionEmbedding

        x = np.ones((2, 10, 16))
        x = keras.layers.Add()([x, PositionEmbedding(sequence_length=64)(x)])
        ```
    """

    def __init__(
        self, sequence_length: int, initializer: Initializer = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if sequence_length is None:
            raise ArgumentError("`sequence_length` must be an integer, got None.")
        self.sequence_length = int(sequence_length)
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, inputs_shape):
        """Create the table (sequence_length, D)."""
        self.position_embeddings = self.add_weight(
            name="embeddings", shape=(self.sequence_length, inputs_shape[-1]), initializer=self.initializer
        )
        self.built = True

    def call(self, inputs: Tensor, start_index: int | Tensor = 0, positions: Tensor = None) -> Any:
        """Look up the positions of `inputs`."""
        length = ops.shape(inputs)[-2]
        table = ops.convert_to_tensor(self.position_embeddings)
        # JAX's symbol for an unknown length supports a range, but not a slice.
        sliced = isinstance(length, int) or ops.is_tensor(length)
        if positions is None and isinstance(start_index, int) and sliced:
            if isinstance(length, int) and start_index + length > self.sequence_length:
                raise ArgumentError(
                    f"`inputs` has {length} positions from `start_index` {start_index} on, but "
                    f"`sequence_length` is {self.sequence_length}."
                )
            rows = table[start_index : start_index + length]  # (T, D); its gradient is not a scatter
        else:
            if positions is None:
                positions = ops.arange(length, dtype="int32") + ops.cast(start_index, "int32")
            rows = ops.take(table, positions, axis=0)  # (T, D) or (B, T, D)
        if len(rows.shape) == 3:
            for _ in range(len(inputs.shape) - 3):
                rows = ops.expand_dims(rows, 1)  # (B, 1, ..., T, D)
        return ops.broadcast_to(rows, ops.shape(inputs))

    def compute_output_shape(self, inputs_shape):
        """Return the input's shape."""
        return inputs_shape


@keras.saving.register_keras_serializable("keras_attn")
class TokenAndPositionEmbedding(QuantizedParts):
    """Token embeddings plus learned position embeddings.

    Args:
        vocabulary_size: int, V.
        sequence_length: int, the largest number of positions.
        embedding_dim: int, D.
        tie_weights: whether `token_embedding(x, reverse=True)` uses the token embeddings for the output as
            well.
        embeddings_initializer: initializer of both tables.
        mask_zero: whether token 0 is padding, to be masked downstream.

    Call arguments:
        inputs: int tensor (B, T).
        start_index: int or int32 scalar tensor, position of the first token.
        positions: int32 tensor (T,) or (B, T) of explicit positions, instead of `start_index`.

    Returns:
        float tensor (B, T, D), in the compute dtype. `token_embedding(x, reverse=True)` projects (B, T, D) to
        logits (B, T, V), with the token embeddings themselves if `tie_weights` (Press and Wolf, 2017).

    Raises:
        ArgumentError: if a size is missing, or `inputs` reach beyond `sequence_length`.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import TokenAndPositionEmbedding

        layer = TokenAndPositionEmbedding(vocabulary_size=100, sequence_length=64, embedding_dim=16)
        x = layer(np.array([[3, 1, 4]]))  # (1, 3, 16)
        logits = layer.token_embedding(x, reverse=True)  # (1, 3, 100), by the same vectors
        ```
    """

    def __init__(
        self,
        vocabulary_size: int,
        sequence_length: int,
        embedding_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Initializer = "uniform",
        mask_zero: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (
            ("vocabulary_size", vocabulary_size),
            ("sequence_length", sequence_length),
            ("embedding_dim", embedding_dim),
        ):
            if value is None:
                raise ArgumentError(f"`{name}` must be an integer, got None.")
        self.vocabulary_size = int(vocabulary_size)
        self.sequence_length = int(sequence_length)
        self.embedding_dim = int(embedding_dim)
        self.tie_weights = tie_weights
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.token_embedding = keras.layers.ReversibleEmbedding(
            self.vocabulary_size,
            self.embedding_dim,
            tie_weights=tie_weights,
            embeddings_initializer=clone_initializer(self.embeddings_initializer),
            mask_zero=mask_zero,
            dtype=self.dtype_policy,
            name="token_embedding",
        )
        self.position_embedding = PositionEmbedding(
            self.sequence_length,
            initializer=clone_initializer(self.embeddings_initializer),
            dtype=self.dtype_policy,
            name="position_embedding",
        )

    def build(self, input_shape):
        """Create both tables."""
        self.token_embedding.build(input_shape)
        self.position_embedding.build((*input_shape, self.embedding_dim))
        self.built = True

    def call(self, inputs: Tensor, start_index: int | Tensor = 0, positions: Tensor = None) -> Any:
        """Embed the tokens."""
        tokens = self.token_embedding(inputs)  # (B, T, D)
        return tokens + self.position_embedding(tokens, start_index=start_index, positions=positions)

    def compute_mask(self, inputs, mask=None):
        """Mask token 0 when `mask_zero`."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape):
        """Append D."""
        return (*input_shape, self.embedding_dim)
