"""DeBERTa-v2 and DeBERTa-v3: BERT with disentangled attention."""

from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers import DisentangledAttention, Dropout, TransformerEncoder
from keras_attn.layers.argument_types import Activation, Tensor
from keras_attn.layers.gelu import activation_named, fast_equivalent
from keras_attn.models.backbones.bert import Bert, initializer

TERMS = ("content_to_position", "position_to_content")


@keras.saving.register_keras_serializable("keras_attn")
class DebertaEncoder(TransformerEncoder):
    """`TransformerEncoder` whose self-attention is `DisentangledAttention`.

    Args:
        num_buckets, max_distance, content_to_position, position_to_content, share_projections: as in
            `DisentangledAttention`.
        intermediate_dim, num_heads and further arguments: as in `TransformerEncoder`.
    """

    def __init__(
        self,
        *args: Any,
        num_buckets: int = 256,
        max_distance: int = 512,
        content_to_position: bool = True,
        position_to_content: bool = True,
        share_projections: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.content_to_position = content_to_position
        self.position_to_content = position_to_content
        self.share_projections = share_projections

    def _build_attention(self, shape):
        names = ("num_buckets", "max_distance", *TERMS, "share_projections")
        options = {name: getattr(self, name) for name in names}
        return self._attention(DisentangledAttention, "self_attention_layer", shape, shape, **options)

    def call(
        self,
        inputs: Tensor,
        padding_mask: Tensor = None,
        attention_mask: Tensor = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        relative_embeddings: Tensor = None,
    ) -> Any:
        """Encode (B, T, D)."""
        return self._encode(
            inputs,
            padding_mask,
            attention_mask,
            training,
            return_attention_scores,
            relative_embeddings=relative_embeddings,
        )


@keras.saving.register_keras_serializable("keras_attn")
class Deberta(Bert):
    """BERT with disentangled attention: DeBERTa-v2 (He et al., 2021, arXiv:2006.03654) and -v3 (2111.09543).

    Args:
        vocabulary_size: int, V.
        relative_attention: whether attention compares contents with relative positions.
        num_buckets, max_distance, content_to_position, position_to_content, share_projections: as in
            `DisentangledAttention`.
        normalize_positions: whether the relative positions' embeddings are normalized.
        absolute_positions: whether positions are added to the embeddings, too.
        convolution: int, size of the convolution after the first layer, which must be odd; 0 for none.
        convolution_groups: int, its groups.
        convolution_activation: name of its activation.
        num_segments, pooler, layer_norm_epsilon: as in `Bert`.
        **kwargs: the further arguments of `Bert`.

    Call arguments:
        inputs, return_attention_scores: as for `Bert`; the length of the texts must be known when the model
            is traced.

    Returns:
        As `Bert`.

    Raises:
        ArgumentError: if `convolution` is even, or as `Bert`.
    """

    needs_known_lengths = True

    def __init__(
        self,
        vocabulary_size: int,
        relative_attention: bool = True,
        num_buckets: int = 256,
        max_distance: int = 512,
        content_to_position: bool = True,
        position_to_content: bool = True,
        share_projections: bool = True,
        normalize_positions: bool = True,
        absolute_positions: bool = False,
        convolution: int = 0,
        convolution_groups: int = 1,
        convolution_activation: Activation = "tanh",
        num_segments: int = 0,
        pooler: bool = False,
        layer_norm_epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        if convolution and convolution % 2 == 0:
            raise ArgumentError(f"`convolution` must be odd, got {convolution}.")
        self.relative_attention = relative_attention
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.content_to_position = content_to_position
        self.position_to_content = position_to_content
        self.share_projections = share_projections
        self.normalize_positions = normalize_positions
        self.absolute_positions = absolute_positions
        self.convolution = convolution
        self.convolution_groups = convolution_groups
        self.convolution_activation = convolution_activation
        super().__init__(
            vocabulary_size,
            num_segments=num_segments,
            pooler=pooler,
            layer_norm_epsilon=layer_norm_epsilon,
            **kwargs,
        )

    def _positions(self):
        return super()._positions() if self.absolute_positions else None

    def _encoder_layers(self):
        shared = {"dtype": self.dtype_policy}
        self.relative_embedding = self.relative_norm = None
        if self.relative_attention:
            self.relative_embedding = keras.layers.Embedding(
                2 * (self.num_buckets or self.max_distance),
                self.hidden_dim,
                embeddings_initializer=initializer(),
                **shared,
                name="relative_embedding",
            )
            if self.normalize_positions:
                self.relative_norm = self._norm("relative_norm")
        self.convolution_layer = self.convolution_norm = None
        if self.convolution:
            self.convolution_layer = keras.layers.Conv1D(
                self.hidden_dim,
                self.convolution,
                padding="same",
                groups=self.convolution_groups,
                kernel_initializer=initializer(),
                **shared,
                name="convolution",
            )
            self.convolution_dropout = Dropout(self.dropout, **shared, name="convolution_dropout")
            self.convolution_norm = self._norm("convolution_norm")
        return super()._encoder_layers()

    def _encoder_layer(self, number, make=DebertaEncoder, **options):
        if not self.relative_attention:
            return super()._encoder_layer(number, **options)
        names = ("num_buckets", "max_distance", *TERMS, "share_projections")
        return super()._encoder_layer(
            number, make, **{name: getattr(self, name) for name in names}, **options
        )

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if not self.built:
            for layer in (self.relative_norm, self.convolution_layer, self.convolution_norm):
                if layer is not None:
                    layer.build((None, None, self.hidden_dim))
            if self.relative_embedding is not None:
                self.relative_embedding.build((None,))
        super().build(input_shape)

    def _embed(self, token_ids, segment_ids, mask, training):
        x = super()._embed(token_ids, segment_ids, mask, training)
        # The convolution reads padding, too.
        return x * ops.cast(ops.expand_dims(mask, -1), x.dtype) if self.convolution else x

    def _shared_by_layers(self, x):
        if self.relative_embedding is None:
            return {}
        rows = ops.convert_to_tensor(self.relative_embedding.embeddings)
        return {"relative_embeddings": rows if self.relative_norm is None else self.relative_norm(rows)}

    def _after_first_layer(self, x, embedded, mask, training):
        if self.convolution_layer is None or self.convolution_norm is None:
            return x
        exists = ops.cast(ops.expand_dims(mask, -1), x.dtype)  # (B, T, 1)
        near = self.convolution_dropout(self.convolution_layer(embedded) * exists, training=training)
        near = fast_equivalent(activation_named(self.convolution_activation))(near)
        return self.convolution_norm(x + near) * exists
