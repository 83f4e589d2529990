"""BERT, of which DistilBERT, MiniLM, RoBERTa, XLM-RoBERTa, CamemBERT and ELECTRA are configurations."""

from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers import Dropout, PositionEmbedding, TransformerEncoder
from keras_attn.layers.argument_types import Activation, Inputs
from keras_attn.layers.layer_normalization import LayerNormalization
from keras_attn.layers.masks import as_mask
from keras_attn.models.presets import PresetMixin
from keras_attn.models.text_model import TextModel


@keras.saving.register_keras_serializable("keras_attn")
class Bert(PresetMixin, TextModel):
    """Bidirectional Transformer encoder (Devlin et al., 2019, arXiv:1810.04805).

    DistilBERT (Sanh et al., 2019, arXiv:1910.01108) is `num_segments=0, pooler=False` with 6 layers; MiniLM
    (Wang et al., 2020, arXiv:2002.10957) is 384 wide; RoBERTa (Liu et al., 2019, arXiv:1907.11692) is
    `position_offset=2, num_segments=1`; ELECTRA (Clark et al., 2020, arXiv:2003.10555) has an
    `embedding_dim` of its own. The presets are `"tiny"`, `"distil"`, `"minilm"`,
    `"base"` and `"large"`.

    Args:
        vocabulary_size: int, V.
        num_layers: int, L.
        num_heads: int, must divide `hidden_dim`.
        hidden_dim: int, D.
        intermediate_dim: int, size of the feed-forward networks' hidden layers.
        dropout: float, on embeddings and on what each sublayer adds.
        attention_dropout: float, on attention weights; by default `dropout`.
        max_sequence_length: int, maximum number of tokens.
        num_segments: int, number of segment types; 0 for a model without.
        pooler: whether the first token's output goes through a dense layer with tanh.
        activation: name of the feed-forward networks' activation; BERT's GELU is the exact one,
            `"gelu_approximate"` that by tanh.
        layer_norm_epsilon: float.
        pad_id: int, token that is padding when no mask is given.
        embedding_dim: int E, size of the embeddings, which a dense layer projects to D; by default they have
            the size D and no such layer.
        position_offset: int, rows of the position embeddings before that of the first token. Padding must
            follow the text: RoBERTa would count positions from the first token that is not padding.

    Call arguments:
        inputs: dict of `token_ids` (B, T) int32 and, optionally, `segment_ids` (B, T) int32 (all 0 by
            default) and `padding_mask` (B, T) boolean, `True` where there is a token.
        return_attention_scores: whether to return the weights of every layer as well.

    Returns:
        Dict of `sequence_output` (B, T, D) and, with a pooler, `pooled_output` (B, D); with
        `return_attention_scores` also `attention_scores` (L, B, H, T, T).

    Raises:
        ArgumentError: if `num_heads` does not divide `hidden_dim`, the text is longer than
            `max_sequence_length`, or segments are given to a model without.
    """

    causal = False
    # Whether normalizations have offsets.
    norm_bias = True
    inputs_read = MappingProxyType(
        {
            "token_ids": ("int32", ("batch", "length")),
            "segment_ids": ("int32", ("batch", "length")),
            "padding_mask": ("bool", ("batch", "length")),
        }
    )

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int = 12,
        num_heads: int = 12,
        hidden_dim: int = 768,
        intermediate_dim: int = 3072,
        dropout: float = 0.1,
        attention_dropout: float | None = None,
        max_sequence_length: int = 512,
        num_segments: int = 2,
        pooler: bool = True,
        activation: Activation = "gelu",
        layer_norm_epsilon: float = 1e-12,
        pad_id: int = 0,
        embedding_dim: int | None = None,
        position_offset: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.max_sequence_length = max_sequence_length
        self.num_segments = num_segments
        self.pooler = pooler
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.pad_id = pad_id
        self.embedding_dim = embedding_dim
        self.position_offset = position_offset

        shared = {"dtype": self.dtype_policy}
        self.token_embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            embedding_dim or hidden_dim,
            embeddings_initializer=initializer(),
            **shared,
            name="token_embedding",
        )
        self.position_embedding = self._positions()
        self.segment_embedding = None
        if num_segments:
            self.segment_embedding = keras.layers.Embedding(
                num_segments,
                embedding_dim or hidden_dim,
                embeddings_initializer=initializer(),
                **shared,
                name="segment_embedding",
            )
        self.embedding_norm = self._norm("embedding_norm")
        self.embedding_dropout = Dropout(dropout, **shared, name="embedding_dropout")
        self.embedding_projection = None
        if embedding_dim is not None:
            self.embedding_projection = keras.layers.Dense(
                hidden_dim, kernel_initializer=initializer(), **shared, name="embedding_projection"
            )
        self.encoder_layers = self._encoder_layers()
        self.pooler_dense = None
        if pooler:
            self.pooler_dense = keras.layers.Dense(
                hidden_dim, activation="tanh", kernel_initializer=initializer(), **shared, name="pooler_dense"
            )
        self.build()

    def _positions(self):
        """Return the layer that adds positions to the embeddings, or `None`."""
        rows = self.max_sequence_length + self.position_offset
        return PositionEmbedding(
            rows, initializer=initializer(), dtype=self.dtype_policy, name="position_embedding"
        )

    def _norm(self, name):
        return LayerNormalization(
            epsilon=self.layer_norm_epsilon, center=self.norm_bias, dtype=self.dtype_policy, name=name
        )

    def _encoder_layers(self):
        """Return the layers that have weights of their own."""
        return [self._encoder_layer(i) for i in range(self.num_layers)]

    def _encoder_layer(self, number, make=TransformerEncoder, **options):
        return make(
            self.intermediate_dim,
            self.num_heads,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            activation=self.activation,
            layer_norm_epsilon=self.layer_norm_epsilon,
            kernel_initializer=initializer(),
            dtype=self.dtype_policy,
            name=f"encoder_layer_{number}",
            **options,
        )

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        shape = (None, None, self.hidden_dim)
        embedded = (None, None, self.embedding_dim or self.hidden_dim)
        for table in (self.token_embedding, self.segment_embedding):
            if table is not None:
                table.build((None, None))
        for layer in (self.position_embedding, self.embedding_norm, self.embedding_projection):
            if layer is not None:
                layer.build(embedded)
        for layer in self.encoder_layers:
            layer.build(shape)
        if self.pooler_dense is not None:
            self.pooler_dense.build((None, self.hidden_dim))
        self.built = True

    def call(
        self, inputs: Inputs, training: bool | None = None, return_attention_scores: bool = False
    ) -> Any:
        """Encode (B, T)."""
        mask = self.padding_mask(inputs)
        x, scores = self._embed(inputs["token_ids"], inputs.get("segment_ids"), mask, training), []
        embedded, shared = x, self._shared_by_layers(x)
        for number, layer in enumerate(self._layers_in_order()):
            x = layer(
                x,
                padding_mask=mask,
                training=training,
                return_attention_scores=return_attention_scores,
                **shared,
            )
            if return_attention_scores:
                x, weights = x
                scores.append(weights)
            if number == 0:
                x = self._after_first_layer(x, embedded, mask, training)
        x = self._finished(x)
        outputs = {"sequence_output": x}
        if self.pooler_dense is not None:
            outputs["pooled_output"] = self.pooler_dense(x[:, 0])
        if return_attention_scores:
            outputs["attention_scores"] = ops.stack(scores)
        return outputs

    def _layers_in_order(self):
        """Return the layers as they are computed."""
        return self.encoder_layers

    def _shared_by_layers(self, x):
        """Return call arguments of all layers, from the embeddings (B, T, D)."""
        return {}

    def _after_first_layer(self, x, embedded, mask, training):
        """Return what the second layer reads, from the first layer's output and the embeddings (B, T, D)."""
        return x

    def _finished(self, x):
        """Return the sequence output from the last layer's."""
        return x

    def inputs_by_default(self):
        """Return the names of all inputs, or of all but the segments where the model has none."""
        return tuple(name for name in self.inputs_read if name != "segment_ids" or self.num_segments)

    def padding_mask(self, inputs):
        """Return the mask (B, T) of the inputs, or else the tokens that are not padding."""
        mask = inputs.get("padding_mask")
        if mask is None:
            return ops.not_equal(inputs["token_ids"], self.pad_id)
        return as_mask(mask, "padding_mask")

    def _embed_tokens(self, token_ids):
        return self.token_embedding(token_ids)

    def _embed(self, token_ids, segment_ids, mask, training):
        x = self._embed_all(token_ids, segment_ids)  # (B, T, E)
        x = self.embedding_dropout(self.embedding_norm(x), training=training)
        return x if self.embedding_projection is None else self.embedding_projection(x)  # (B, T, D)

    def _embed_all(self, token_ids, segment_ids):
        """Add the embeddings of tokens, positions and segments."""
        x = self._embed_tokens(token_ids)  # (B, T, E)
        if self.position_embedding is not None:
            x = x + self.position_embedding(x, start_index=self.position_offset)
        if self.segment_embedding is not None:
            segment_ids = ops.zeros_like(token_ids) if segment_ids is None else segment_ids
            x = x + self.segment_embedding(segment_ids)
        elif segment_ids is not None:
            raise ArgumentError("`segment_ids` were given to a model without segments (`num_segments=0`).")
        return x


def initializer():
    """Return BERT's initializer: truncated normal with standard deviation 0.02."""
    return keras.initializers.TruncatedNormal(stddev=0.02)
