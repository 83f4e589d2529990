"""One encoder block of the Transformer."""

import keras

from keras_attn.layers.dropout import Dropout
from keras_attn.layers.feed_forward import FeedForward
from keras_attn.layers.initializers import fresh
from keras_attn.layers.masks import attention_mask_for
from keras_attn.layers.multi_head_attention import MultiHeadAttention


@keras.saving.register_keras_serializable("keras_attn")
class TransformerEncoder(keras.layers.Layer):
    """Self-attention and a feed-forward network, each with a residual connection and layer normalization.

    Vaswani et al., 2017, section 3.1; with `normalize_first`, the pre-norm variant of Xiong et al., 2020
    (arXiv:2002.04745). Arguments and defaults are those of KerasHub's layer.

    Args:
        intermediate_dim: int, size of the feed-forward network's hidden layer.
        num_heads: int, must divide the input's depth D.
        dropout: float, dropout on what each sublayer adds.
        activation: activation of the feed-forward network.
        layer_norm_epsilon: float.
        kernel_initializer, bias_initializer: initializers of the dense layers.
        normalize_first: whether to normalize what enters a sublayer instead of what leaves it.
        attention_dropout: float, dropout on the attention weights; by default `dropout`.

    Call arguments:
        inputs: float tensor (B, T, D).
        padding_mask: boolean (B, T), `True` where there is a token.
        attention_mask: boolean (B, T, T).
        return_attention_scores: whether to return the weights as well.

    Returns:
        (B, T, D), or `((B, T, D), (B, H, T, T))` with `return_attention_scores`.

    Raises:
        ValueError: if `num_heads` does not divide D.
    """

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        dropout=0,
        activation="relu",
        layer_norm_epsilon=1e-05,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        normalize_first=False,
        attention_dropout=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.normalize_first = normalize_first
        self.attention_dropout = attention_dropout
        self.supports_masking = True

    def build(self, inputs_shape):
        """Create the attention, the feed-forward network and their norms."""
        depth = inputs_shape[-1]
        self._self_attention_layer = MultiHeadAttention(
            self.num_heads,
            head_size(depth, self.num_heads),
            dropout=self.dropout if self.attention_dropout is None else self.attention_dropout,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            dtype=self.dtype_policy,
            name="self_attention",
        )
        self._self_attention_layer.build(inputs_shape, inputs_shape)
        self._self_attention_layer_norm = self._norm("self_attention_layer_norm", inputs_shape)
        self._self_attention_dropout = Dropout(
            self.dropout, dtype=self.dtype_policy, name="self_attention_dropout"
        )
        self._feedforward = FeedForward(
            self.intermediate_dim,
            self.activation,
            self.kernel_initializer,
            self.bias_initializer,
            dtype=self.dtype_policy,
            name="feedforward",
        )
        self._feedforward.build(inputs_shape)
        self._feedforward_layer_norm = self._norm("feedforward_layer_norm", inputs_shape)
        self._feedforward_dropout = Dropout(self.dropout, dtype=self.dtype_policy, name="feedforward_dropout")
        self.built = True

    def _norm(self, name, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )
        norm.build(shape)
        return norm

    def call(
        self, inputs, padding_mask=None, attention_mask=None, training=None, return_attention_scores=False
    ):
        """Encode (B, T, D)."""
        mask = attention_mask_for(
            key_mask=padding_mask,
            attention_mask=attention_mask,
            query_length=None,
            key_length=None,
        )

        def attend(x):
            return self._self_attention_layer(
                x, x, attention_mask=mask, return_attention_scores=True, training=training
            )

        x, weights = residual(
            inputs,
            attend,
            self._self_attention_layer_norm,
            self._self_attention_dropout,
            self.normalize_first,
            training,
        )
        x, _ = residual(
            x,
            self._feedforward,
            self._feedforward_layer_norm,
            self._feedforward_dropout,
            self.normalize_first,
            training,
        )
        return (x, weights) if return_attention_scores else x

    def compute_output_shape(self, inputs_shape):
        """Give the input's shape."""
        return inputs_shape

    def compute_output_spec(
        self, inputs, padding_mask=None, attention_mask=None, training=None, return_attention_scores=False
    ):
        """Describe what `call` returns."""
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        batch, length, _ = inputs.shape
        return outputs, keras.KerasTensor((batch, self.num_heads, length, length), dtype=self.compute_dtype)

    def get_config(self):
        """Give the constructor's arguments."""
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "normalize_first": self.normalize_first,
            "attention_dropout": self.attention_dropout,
        }


def head_size(depth, num_heads):
    """Divide a depth among heads.

    Raises:
        ValueError: if `num_heads` does not divide `depth`.
    """
    if num_heads <= 0 or depth % num_heads:
        raise ValueError(
            f"`num_heads` must divide the depth of the inputs: {num_heads} does not divide {depth}."
        )
    return depth // num_heads


def residual(x, sublayer, norm, dropout, normalize_first, training):
    """Apply a sublayer with its residual connection, norm and dropout.

    Args:
        x: float tensor (B, T, D).
        sublayer: callable on (B, T, D) giving (B, T, D), or a tuple that starts with it.
        norm: layer normalization.
        dropout: dropout on what the sublayer adds.
        normalize_first: pre-norm (Xiong et al., 2020) instead of post-norm.
        training: whether to drop anything.

    Returns:
        The new (B, T, D) and whatever else the sublayer gave (`None`, one thing or a tuple of things).
    """
    added = sublayer(norm(x) if normalize_first else x)
    extra = None
    if isinstance(added, tuple):
        added, extra = added[0], added[1] if len(added) == 2 else added[1:]
    x = x + dropout(added, training=training)
    return (x if normalize_first else norm(x)), extra
