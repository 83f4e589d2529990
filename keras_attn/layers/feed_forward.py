"""The position-wise feed-forward network of a Transformer block."""

import keras

from keras_attn.layers.initializers import fresh


@keras.saving.register_keras_serializable("keras_attn")
class FeedForward(keras.layers.Layer):
    """Dense(activation) followed by Dense back to the input's depth (Vaswani et al., 2017, section 3.3).

    Args:
        intermediate_dim: int, size of the hidden layer.
        activation: its activation.
        kernel_initializer, bias_initializer: initializers of both dense layers.

    Call arguments:
        inputs: float tensor (..., D).

    Returns:
        float tensor (..., D).
    """

    def __init__(
        self,
        intermediate_dim,
        activation="relu",
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, input_shape):
        """Create both dense layers."""
        self.intermediate_dense = self._dense("intermediate_dense", self.intermediate_dim, self.activation)
        self.output_dense = self._dense("output_dense", input_shape[-1], None)
        self.intermediate_dense.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.intermediate_dim))
        self.built = True

    def _dense(self, name, units, activation):
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, inputs):
        """Transform each position by itself."""
        return self.output_dense(self.intermediate_dense(inputs))

    def compute_output_shape(self, input_shape):
        """Give the input's shape."""
        return input_shape

    def get_config(self):
        """Give the constructor's arguments."""
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
