"""The base of the encoder's and the decoder's block."""

from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Activation, Initializer
from keras_attn.layers.clone_initializer import clone_initializer
from keras_attn.layers.dense import Dense
from keras_attn.layers.dropout import Dropout
from keras_attn.layers.gelu import activation_named, fast_equivalent
from keras_attn.layers.layer_normalization import LayerNormalization
from keras_attn.layers.output_specs import traced_spec
from keras_attn.layers.quantization import QuantizedParts


class TransformerBlock(QuantizedParts):
    """Sublayers with residual connections, norms and dropout, one of them a feed-forward network.

    Vaswani et al., 2017, sections 3.1 and 3.3; pre-norm (Xiong et al., 2020, arXiv:2002.04745) with
    `normalize_first`. The arguments are documented at `TransformerEncoder`.
    """

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: Activation = "relu",
        layer_norm_epsilon: float = 1e-05,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        normalize_first: bool = False,
        attention_dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.activation = activation_named(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.normalize_first = normalize_first
        self.attention_dropout = attention_dropout
        self.supports_masking = True

    def _attention(self, layer_class, name, *shapes, **options):
        """Build an attention for inputs of `shapes`."""
        depth = shapes[0][-1]
        layer = layer_class(
            self.num_heads,
            self._head_size(depth),
            dropout=self.dropout if self.attention_dropout is None else self.attention_dropout,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
            **options,
        )
        layer.build(*shapes)
        return layer

    def _head_size(self, depth):
        if self.num_heads <= 0 or depth % self.num_heads:
            raise ArgumentError(
                f"`num_heads` must divide the depth of the inputs: {self.num_heads} does not divide {depth}."
            )
        return depth // self.num_heads

    def _norm(self, sublayer, shape, center=True):
        norm = LayerNormalization(
            epsilon=self.layer_norm_epsilon,
            center=center,
            dtype=self.dtype_policy,
            name=f"{sublayer}_layer_norm",
        )
        norm.build(shape)
        return norm

    def _drop(self, sublayer):
        return Dropout(self.dropout, dtype=self.dtype_policy, name=f"{sublayer}_dropout")

    def _build_feedforward(self, shape):
        self._feedforward_intermediate_dense = self._dense(
            "feedforward_intermediate_dense", shape, self.intermediate_dim, fast_equivalent(self.activation)
        )
        hidden_shape = (*shape[:-1], self.intermediate_dim)
        self._feedforward_output_dense = self._dense(
            "feedforward_output_dense", hidden_shape, shape[-1], None
        )

    def _dense(self, name, shape, units, activation, use_bias=True):
        dense = Dense(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build(shape)
        return dense

    def _feedforward(self, x):
        return (self._feedforward_output_dense(self._feedforward_intermediate_dense(x)),)

    def _residual(self, name, sublayer, x, training):
        """Apply a sublayer with its residual connection, norm and dropout.

        Args:
            name: "self_attention", "cross_attention" or "feedforward", whose norm and dropout are meant.
            sublayer: callable on (B, T, D) that returns a tuple of (B, T, D) and further results.
            x: float tensor (B, T, D).
            training: whether dropout is active.

        Returns:
            The new (B, T, D), followed by the sublayer's further results.
        """
        norm, dropout = getattr(self, f"_{name}_layer_norm"), getattr(self, f"_{name}_dropout")
        added, *more = sublayer(norm(x) if self.normalize_first else x)
        x = x + dropout(added, training=training)
        return (x if self.normalize_first else norm(x)), *more

    def compute_output_spec(self, *args, **kwargs):
        """Describe what `call` returns, by tracing it."""
        return traced_spec(self, *args, **kwargs)
