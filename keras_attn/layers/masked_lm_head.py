"""The output layer of a masked language model."""

from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Activation, Initializer, Tensor
from keras_attn.layers.clone_initializer import clone_initializer
from keras_attn.layers.gelu import activation_named, fast_equivalent
from keras_attn.layers.layer_normalization import LayerNormalization
from keras_attn.layers.quantization import QuantizedParts


@keras.saving.register_keras_serializable("keras_attn")
class MaskedLMHead(QuantizedParts):
    """Predict the tokens at some positions: Dense, LayerNormalization, projection to the vocabulary.

    BERT's transform (Devlin et al., 2019, section 3.1, task 1), with the projection tied to the token
    embeddings (Press and Wolf, 2017) when `token_embedding` is given.

    Args:
        vocabulary_size: int, V; optional if `token_embedding` is given.
        token_embedding: `keras.layers.ReversibleEmbedding` (or a layer with its `input_dim`, `output_dim` and
            `reverse`) that projects to the vocabulary; without it the layer has a matrix of its own.
        intermediate_activation: activation of the dense layer.
        activation: activation of the output: `None` for logits, `"softmax"` for probabilities.
        layer_norm_epsilon: number added to the variance.
        kernel_initializer, bias_initializer: initializers of the dense layer and of the projection.
        intermediate_dim: int, units of the dense layer without `token_embedding`; by default D.
        intermediate_use_bias: whether the dense layer has a bias.
        layer_norm_bias: whether the normalization has an offset.

    Call arguments:
        inputs: float tensor (B, T, D), the encoder's output.
        mask_positions: int tensor (B, M), the positions to predict; `None` for all of them, and M is T.

    Returns:
        float tensor (B, M, V), in the compute dtype; bias and activation are computed in float32.

    Raises:
        ArgumentError: if neither `vocabulary_size` nor `token_embedding` is given, if they disagree, or if
            `inputs` is not of rank 3 or `mask_positions` not of rank 2.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import MaskedLMHead

        encoded, positions = np.ones((2, 10, 16)), np.array([[1, 4], [2, 9]])
        logits = MaskedLMHead(vocabulary_size=100)(encoded, positions)  # (2, 2, 100)
        ```
    """

    call_axes = MappingProxyType(
        {"inputs": ("batch", "length", "depth"), "mask_positions": ("batch", "masks")}
    )

    def __init__(
        self,
        vocabulary_size: int | None = None,
        token_embedding: keras.layers.Embedding | None = None,
        intermediate_activation: Activation = "relu",
        activation: Activation | None = None,
        layer_norm_epsilon: float = 1e-05,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        intermediate_dim: int | None = None,
        intermediate_use_bias: bool = True,
        layer_norm_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if vocabulary_size is None and token_embedding is None:
            raise ArgumentError("Give `vocabulary_size` or `token_embedding`; both are None.")
        if token_embedding is not None:
            if vocabulary_size not in (None, token_embedding.input_dim):
                raise ArgumentError(
                    f"`vocabulary_size` is {vocabulary_size}, but `token_embedding` has "
                    f"{token_embedding.input_dim} tokens; leave `vocabulary_size` out."
                )
            vocabulary_size = token_embedding.input_dim
        self.vocabulary_size = vocabulary_size
        self.token_embedding: Any = token_embedding
        self.intermediate_activation = activation_named(intermediate_activation)
        self.activation = keras.activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.intermediate_dim = intermediate_dim
        self.intermediate_use_bias = intermediate_use_bias
        self.layer_norm_bias = layer_norm_bias
        self.supports_masking = True

    def build(self, inputs_shape, mask_positions_shape=None):
        """Create the dense layer, the normalization and the projection."""
        tied = self.token_embedding is not None
        depth = self.token_embedding.output_dim if tied else self.intermediate_dim or inputs_shape[-1]
        self._intermediate_dense = keras.layers.Dense(
            depth,
            activation=fast_equivalent(self.intermediate_activation),
            use_bias=self.intermediate_use_bias,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            dtype=self.dtype_policy,
            name="intermediate_dense",
        )
        self._intermediate_dense.build((inputs_shape[0], None, inputs_shape[-1]))
        self._intermediate_layer_norm = LayerNormalization(
            epsilon=self.layer_norm_epsilon,
            center=self.layer_norm_bias,
            dtype=self.dtype_policy,
            name="intermediate_layer_norm",
        )
        self._intermediate_layer_norm.build((inputs_shape[0], None, depth))
        if not tied:
            self.output_kernel = self.add_weight(
                name="output_kernel",
                shape=(depth, self.vocabulary_size),
                initializer=clone_initializer(self.kernel_initializer),
            )
        elif not self.token_embedding.built:
            self.token_embedding.build(None)
        self.output_bias = self.add_weight(
            name="output_bias",
            shape=(self.vocabulary_size,),
            initializer=clone_initializer(self.bias_initializer),
        )
        self.built = True

    def call(self, inputs: Tensor, mask_positions: Tensor) -> Any:
        """Score the vocabulary at `mask_positions`, or everywhere."""
        x = self.transform(inputs, mask_positions)
        if self.token_embedding is not None:
            scores = self.token_embedding(x, reverse=True)  # (B, M, V)
        else:
            scores = ops.matmul(x, self.output_kernel)  # (B, M, V)
        # In half precision a softmax over a vocabulary would be rounded to 0.
        wide = keras.backend.result_type(self.compute_dtype, "float32")
        scores = ops.cast(scores, wide) + ops.cast(self.output_bias, wide)
        if self.activation is not None:
            scores = self.activation(scores)
        return ops.cast(scores, self.compute_dtype)

    def transform(self, inputs, mask_positions):
        """Compute all but the projection to the vocabulary, (B, M, D)."""
        if mask_positions is not None:
            indices = ops.expand_dims(ops.cast(mask_positions, "int32"), -1)  # (B, M, 1)
            inputs = ops.take_along_axis(inputs, indices, axis=1)  # (B, M, D)
        return self._intermediate_layer_norm(self._intermediate_dense(inputs))

    def compute_mask(self, inputs, mask=None):
        """Return None: the mask of the text does not apply to the positions to predict."""
        return None

    def compute_output_shape(self, inputs_shape, mask_positions_shape=None):
        """Append V to the shape of the positions."""
        return (*(mask_positions_shape or inputs_shape[:-1]), self.vocabulary_size)

    @classmethod
    def from_config(cls, config):
        """Restore the layer, and `token_embedding` with it."""
        config = dict(config)
        if config["token_embedding"] is not None:
            config["token_embedding"] = keras.layers.deserialize(config["token_embedding"])
        return cls(**config)
