"""What the blocks with relative position biases share: T5's norms, projections and feed-forward networks."""

from typing import Any

import keras

from keras_attn.layers.argument_types import Activation
from keras_attn.layers.gelu import fast_equivalent
from keras_attn.layers.positions.relative_position_bias import RelativePositionBias
from keras_attn.layers.transformer.gated_feed_forward import GatedFeedForward
from keras_attn.layers.transformer.transformer_block import TransformerBlock


class RelativeBlock(TransformerBlock):
    """Sublayers with RMS normalization and without biases, whose attention does not scale its scores.

    Raffel et al., 2020 (arXiv:1910.10683), section 2.1. The arguments are documented at
    `RelativeTransformerEncoder`.
    """

    # Whether keys may follow the query.
    bidirectional = True

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        key_dim: int | None = None,
        num_buckets: int | None = 32,
        max_distance: int = 128,
        gated: bool = False,
        activation: Activation = "relu",
        layer_norm_epsilon: float = 1e-6,
        normalize_first: bool = True,
        **kwargs: Any,
    ) -> None:
        # A decoder that is restored is built by its constructor.
        self.key_dim = key_dim
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.gated = gated
        super().__init__(
            intermediate_dim,
            num_heads,
            activation=activation,
            layer_norm_epsilon=layer_norm_epsilon,
            normalize_first=normalize_first,
            **kwargs,
        )

    def _head_size(self, depth):
        return self.key_dim or super()._head_size(depth)

    def _attention(self, layer_class, name, *shapes, **options):
        return super()._attention(layer_class, name, *shapes, scale=1.0, use_bias=False, **options)

    def _norm(self, sublayer, shape):
        norm = keras.layers.RMSNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=f"{sublayer}_layer_norm"
        )
        norm.build(shape)
        return norm

    def _build_position_bias(self, shape):
        """Create the table of biases, if the block has its own."""
        self._position_bias = None
        if self.num_buckets is not None:
            self._position_bias = RelativePositionBias(
                self.num_heads,
                self.num_buckets,
                self.max_distance,
                bidirectional=self.bidirectional,
                dtype=self.dtype_policy,
                name="position_bias",
            )
            self._position_bias.build(shape)

    def _build_feedforward(self, shape):
        self._gated_feedforward = None
        if self.gated:
            self._gated_feedforward = GatedFeedForward(
                self.intermediate_dim,
                self.activation,
                kernel_initializer=self.kernel_initializer,
                dtype=self.dtype_policy,
                name="gated_feedforward",
            )
            self._gated_feedforward.build(shape)
            return
        inner = (*shape[:-1], self.intermediate_dim)
        self._feedforward_intermediate_dense = self._dense(
            "feedforward_intermediate_dense",
            shape,
            self.intermediate_dim,
            fast_equivalent(self.activation),
            use_bias=False,
        )
        self._feedforward_output_dense = self._dense(
            "feedforward_output_dense", inner, shape[-1], None, use_bias=False
        )

    def _feedforward(self, x):
        return super()._feedforward(x) if self._gated_feedforward is None else (self._gated_feedforward(x),)
