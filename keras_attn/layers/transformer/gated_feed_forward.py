"""A feed-forward network whose hidden units are multiplied by gates."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.argument_types import Activation, Initializer, Tensor
from keras_attn.layers.clone_initializer import clone_initializer
from keras_attn.layers.dense import Dense
from keras_attn.layers.gelu import activation_named, fast_equivalent
from keras_attn.layers.quantization import QuantizedParts


@keras.saving.register_keras_serializable("keras_attn")
class GatedFeedForward(QuantizedParts):
    r"""Feed-forward network with gated linear units.

    $$y = W_o\,(f(W_i x + b_i) \odot (W_g x + b_g)) + b_o$$

    Shazeer, 2020 (arXiv:2002.05202), equations 5 and 6: GEGLU with `activation="gelu"`, SwiGLU with `"silu"`.

    Args:
        intermediate_dim: int, size of each of the two hidden layers.
        activation: f, of the hidden units; `"gelu"` is the exact one, `"gelu_approximate"` that by tanh.
        use_bias: whether the three dense layers have biases.
        kernel_initializer, bias_initializer: initializers of the dense layers.

    Call arguments:
        inputs: float tensor (..., D).

    Returns:
        (..., D).

    Example:
        ```python
        import keras
        from keras_attn.layers import GatedFeedForward

        model = keras.Sequential([keras.Input((10, 32))])
        model.add(keras.layers.RMSNormalization())
        model.add(GatedFeedForward(intermediate_dim=64, activation="silu"))
        ```
    """

    def __init__(
        self,
        intermediate_dim: int,
        activation: Activation = "gelu",
        use_bias: bool = False,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.activation = activation_named(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, inputs_shape):
        """Create the three dense layers."""
        wide, inner = self.intermediate_dim, (*inputs_shape[:-1], self.intermediate_dim)
        self._intermediate_dense = self._dense(
            "intermediate_dense", inputs_shape, wide, fast_equivalent(self.activation)
        )
        self._gate_dense = self._dense("gate_dense", inputs_shape, wide)
        self._output_dense = self._dense("output_dense", inner, inputs_shape[-1])
        self.built = True

    def _dense(self, name, shape, units, activation=None):
        dense = Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build(shape)
        return dense

    def call(self, inputs: Tensor) -> Any:
        """Compute (..., D)."""
        return self._output_dense(ops.multiply(self._intermediate_dense(inputs), self._gate_dense(inputs)))

    def compute_output_shape(self, inputs_shape):
        """Return the input's shape."""
        return inputs_shape
