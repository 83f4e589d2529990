"""One encoder block of the Transformer."""

from types import MappingProxyType
from typing import Any

import keras

from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.attention.multi_head_attention import MultiHeadAttention
from keras_attn.layers.masks import padding_of
from keras_attn.layers.transformer.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable("keras_attn")
class TransformerEncoder(TransformerBlock):
    r"""Self-attention and a feed-forward network, each with a residual connection and layer normalization.

    $$y = \mathrm{norm}(x + \mathrm{attention}(x)), \quad
    \mathrm{output} = \mathrm{norm}(y + W_2\,f(W_1 y + b_1) + b_2)$$

    Vaswani et al., 2017 (arXiv:1706.03762), section 3.1; with `normalize_first`, the pre-norm variant of
    Xiong et al., 2020 (arXiv:2002.04745), $y = x + \mathrm{attention}(\mathrm{norm}(x))$. Arguments, defaults
    and weights are those of KerasHub's layer.

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
        padding_mask: boolean (B, T), `True` where there is a token; by default the inputs' own Keras mask.
        attention_mask: boolean (B, T, T).
        return_attention_scores: whether to return the weights as well.
        attention_bias: float tensor that broadcasts to (B, H, T, T), added to the attention's scores.

    Returns:
        (B, T, D), or `((B, T, D), (B, H, T, T))` with `return_attention_scores`.

    Raises:
        ArgumentError: if `num_heads` does not divide D, or a mask has a wrong shape.

    Example:
        ```python
        import keras
        from keras_attn.layers import TokenAndPositionEmbedding, TransformerEncoder

        model = keras.Sequential()
        model.add(keras.Input((None,), dtype="int32"))
        model.add(TokenAndPositionEmbedding(1000, 64, 32, mask_zero=True))
        model.add(TransformerEncoder(intermediate_dim=64, num_heads=4))
        model.add(keras.layers.GlobalAveragePooling1D())
        model.add(keras.layers.Dense(2, activation="softmax"))
        ```
    """

    call_axes = MappingProxyType({"inputs": ("batch", "length", "depth")})

    def build(self, inputs_shape):
        """Create the attention, the feed-forward network and their norms, in KerasHub's order."""
        shape = inputs_shape
        self._self_attention_layer = self._build_attention(shape)
        self._self_attention_layer_norm = self._norm("self_attention", shape)
        self._self_attention_dropout = self._drop("self_attention")
        self._feedforward_layer_norm = self._norm("feedforward", shape)
        self._build_feedforward(shape)
        self._feedforward_dropout = self._drop("feedforward")
        self.built = True

    def _build_attention(self, shape):
        return self._attention(MultiHeadAttention, "self_attention_layer", shape, shape)

    def call(
        self,
        inputs: Tensor,
        padding_mask: Tensor = None,
        attention_mask: Tensor = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        attention_bias: Tensor = None,
    ) -> Any:
        """Encode (B, T, D)."""
        more = {} if attention_bias is None else {"attention_bias": attention_bias}
        return self._encode(inputs, padding_mask, attention_mask, training, return_attention_scores, **more)

    def _encode(self, inputs, padding_mask, attention_mask, training, return_attention_scores, **more):
        """Encode (B, T, D); `more` are further arguments of the attention."""
        padding_mask = padding_of(inputs, padding_mask)
        more |= {"training": training, "return_attention_scores": return_attention_scores}

        def attend(x):
            found = self._attend(x, padding_mask, attention_mask, **more)
            return found if return_attention_scores else (found,)

        x, *scores = self._residual("self_attention", attend, inputs, training)
        (x,) = self._residual("feedforward", self._feedforward, x, training)
        return (x, *scores) if return_attention_scores else x

    def _attend(self, x, padding_mask, attention_mask, **options):
        layer = self._self_attention_layer
        return layer(x, x, value_mask=padding_mask, attention_mask=attention_mask, **options)

    def compute_output_shape(self, inputs_shape):
        """Return the input's shape."""
        return inputs_shape
