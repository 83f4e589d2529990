"""An encoder block with rotary positions and a gated feed-forward network."""

from typing import Any

import keras

from keras_attn.layers.argument_types import Activation
from keras_attn.layers.attention.rotary_attention import RotaryAttention
from keras_attn.layers.transformer.gated_feed_forward import GatedFeedForward
from keras_attn.layers.transformer.transformer_encoder import TransformerEncoder


@keras.saving.register_keras_serializable("keras_attn")
class RotaryTransformerEncoder(TransformerEncoder):
    r"""`TransformerEncoder` with rotary positions and gated feed-forward, by default without biases.

    The block of ModernBERT (Warner et al., 2024, arXiv:2412.13663, section 2.1; `normalize_first`) and of
    NomicBERT (Nussbaum et al., 2024, arXiv:2402.01613, section 3), whose feed-forward network is a
    `GatedFeedForward`.

    Args:
        intermediate_dim: int, size of each of the two hidden layers.
        num_heads: int, must divide the input's depth D.
        max_wavelength: number, the base of the rotary wavelengths.
        sliding_window: int w, a query sees only keys fewer than w positions away; by default all.
        attention_bias, feedforward_bias: whether these have biases.
        norm_bias: whether the normalizations have offsets.
        attention_norm: whether attention has a normalization; ModernBERT's first block lacks it.
        normalize_first: whether to normalize what enters a sublayer instead of what leaves it.
        activation: activation of the feed-forward network.
        **kwargs: the further arguments of `TransformerEncoder`.

    Call arguments:
        inputs: float tensor (B, T, D).
        padding_mask, attention_mask, return_attention_scores: as for `TransformerEncoder`.

    Returns:
        As `TransformerEncoder`.

    Raises:
        ArgumentError: as `TransformerEncoder`, or if D / `num_heads` is odd.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import RotaryTransformerEncoder

        layer = RotaryTransformerEncoder(intermediate_dim=64, num_heads=4, sliding_window=65)
        outputs = layer(np.ones((2, 10, 32)))  # (2, 10, 32)
        ```
    """

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        max_wavelength: float = 10000,
        sliding_window: int | None = None,
        attention_bias: bool = False,
        feedforward_bias: bool = False,
        norm_bias: bool = False,
        attention_norm: bool = True,
        normalize_first: bool = True,
        activation: Activation = "gelu",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            intermediate_dim, num_heads, normalize_first=normalize_first, activation=activation, **kwargs
        )
        self.max_wavelength = max_wavelength
        self.sliding_window = sliding_window
        self.attention_bias = attention_bias
        self.feedforward_bias = feedforward_bias
        self.norm_bias = norm_bias
        self.attention_norm = attention_norm

    def _build_attention(self, shape):
        return self._attention(
            RotaryAttention,
            "self_attention_layer",
            shape,
            shape,
            max_wavelength=self.max_wavelength,
            sliding_window=self.sliding_window,
            use_bias=self.attention_bias,
        )

    def _norm(self, sublayer, shape):
        if sublayer == "self_attention" and not self.attention_norm:
            return keras.layers.Identity(dtype=self.dtype_policy, name=f"{sublayer}_layer_norm")
        return super()._norm(sublayer, shape, center=self.norm_bias)

    def _build_feedforward(self, shape):
        self._gated_feedforward = GatedFeedForward(
            self.intermediate_dim,
            self.activation,
            self.feedforward_bias,
            self.kernel_initializer,
            self.bias_initializer,
            dtype=self.dtype_policy,
            name="gated_feedforward",
        )
        self._gated_feedforward.build(shape)

    def _feedforward(self, x):
        return (self._gated_feedforward(x),)
