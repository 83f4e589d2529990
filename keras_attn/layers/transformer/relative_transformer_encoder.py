"""An encoder block whose attention knows distances by a learned bias."""

from typing import Any

import keras

from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.transformer.relative_block import RelativeBlock
from keras_attn.layers.transformer.transformer_encoder import TransformerEncoder


@keras.saving.register_keras_serializable("keras_attn")
class RelativeTransformerEncoder(RelativeBlock, TransformerEncoder):
    r"""`TransformerEncoder` with a bias for each distance, RMS normalization, and no biases elsewhere.

    $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}(Q K^\top + B)\,V, \quad
    B_{ij} = b_{\mathrm{bucket}(j - i)}$$

    The block of T5 (Raffel et al., 2020, arXiv:1910.10683, section 2.1), with `gated=True` of T5 1.1, mT5 and
    Flan-T5 (Shazeer, 2020, arXiv:2002.05202). RMS normalization: Zhang and Sennrich, 2019 (arXiv:1910.07467).
    Scores are not scaled: queries are initialized, or trained, to be small.

    Args:
        intermediate_dim: int, size of the feed-forward network's hidden layer (of both, if it is gated).
        num_heads: int; must divide the input's depth D, unless `key_dim` is given.
        key_dim: int, size of a head; by default D / `num_heads`.
        num_buckets: int, buckets of distances of the block's own bias (as in UMT5); `None` for a block that
            is called with `attention_bias`, which T5's blocks share.
        max_distance: int; longer distances share a bucket.
        gated: whether the feed-forward network is a `GatedFeedForward`.
        activation: activation of the feed-forward network; that of T5 1.1 is `"gelu_approximate"`.
        layer_norm_epsilon: float.
        normalize_first: whether to normalize what enters a sublayer instead of what leaves it.
        **kwargs: the further arguments of `TransformerEncoder`.

    Call arguments:
        inputs: float tensor (B, T, D).
        padding_mask, attention_mask, return_attention_scores: as for `TransformerEncoder`.
        attention_bias: float tensor that broadcasts to (B, H, T, T), instead of the block's own bias.

    Returns:
        As `TransformerEncoder`.

    Raises:
        ArgumentError: as `TransformerEncoder` and `RelativePositionBias`.

    Example:
        ```python
        import keras
        from keras_attn.layers import RelativeTransformerEncoder

        model = keras.Sequential([keras.Input((10, 32))])
        model.add(RelativeTransformerEncoder(intermediate_dim=64, num_heads=4, gated=True, activation="silu"))
        ```
    """

    def build(self, inputs_shape):
        """Create the bias, the attention, the feed-forward network and their norms."""
        self._build_position_bias(inputs_shape)
        super().build(inputs_shape)

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
        if attention_bias is None and self._position_bias is not None:
            attention_bias = self._position_bias(inputs)
        return super().call(
            inputs, padding_mask, attention_mask, training, return_attention_scores, attention_bias
        )
