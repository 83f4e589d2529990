"""A decoder block whose self-attention knows distances by a learned bias."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.transformer.relative_block import RelativeBlock
from keras_attn.layers.transformer.transformer_decoder import TransformerDecoder


@keras.saving.register_keras_serializable("keras_attn")
class RelativeTransformerDecoder(RelativeBlock, TransformerDecoder):
    """`TransformerDecoder` with a bias for each distance, RMS normalization, and no biases elsewhere.

    The decoder's block of T5 (Raffel et al., 2020, arXiv:1910.10683, section 2.1). Only the self-attention
    has the bias, whose buckets are all for keys before the query.

    Args:
        intermediate_dim, num_heads, key_dim, num_buckets, max_distance, gated, activation,
        layer_norm_epsilon, normalize_first: as in `RelativeTransformerEncoder`.
        **kwargs: the further arguments of `TransformerDecoder`.

    Call arguments:
        decoder_sequence, encoder_sequence and further arguments: as for `TransformerDecoder`.
        attention_bias: float tensor that broadcasts to (B, H, T, T'), instead of the block's own bias.

    Returns:
        As `TransformerDecoder`.

    Raises:
        ArgumentError: as `TransformerDecoder` and `RelativePositionBias`.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import RelativeTransformerDecoder

        target, source = np.ones((2, 3, 32)), np.ones((2, 5, 32))
        outputs = RelativeTransformerDecoder(intermediate_dim=64, num_heads=4)(target, source)  # (2, 3, 32)
        ```
    """

    bidirectional = False

    def build(self, decoder_sequence_shape, encoder_sequence_shape=None):
        """Create the bias, the attentions, the feed-forward network and their norms."""
        self._build_position_bias(decoder_sequence_shape)
        super().build(decoder_sequence_shape, encoder_sequence_shape)

    def _own_bias(self, decoder_sequence, cache, first):
        if self._position_bias is None or cache is None:
            return None if self._position_bias is None else self._position_bias(decoder_sequence)
        first = 0 if first is None else ops.cast(first, "int32")
        queries = ops.arange(ops.shape(decoder_sequence)[1], dtype="int32") + first
        return self._position_bias.between(queries, ops.arange(ops.shape(cache)[2], dtype="int32"))

    def read_token(
        self,
        x: Tensor,
        position: Tensor,
        keys: Tensor,
        values: Tensor,
        memory: Any = None,
        memory_mask: Tensor = None,
        attention_bias: Tensor = None,
    ) -> tuple[Any, Any, Any]:
        """Decode one new token of each row, as `TransformerDecoder.read_token`."""
        if attention_bias is None and self._position_bias is not None:
            attention_bias = self._position_bias.of_step(position, keys.shape[2])
        return super().read_token(x, position, keys, values, memory, memory_mask, attention_bias)
