"""The Transformer, of which the layouts of MarianMT, BART, mBART, M2M100 and PEGASUS are configurations."""

from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers import (
    Dropout,
    PositionEmbedding,
    SinePositionEncoding,
    TransformerDecoder,
    TransformerEncoder,
)
from keras_attn.layers.argument_types import Activation
from keras_attn.layers.embedding_table import embedding_table
from keras_attn.models.presets import PresetMixin
from keras_attn.models.translators.encoder_decoder import EncoderDecoder

# Position encodings, with the layouts of `SinePositionEncoding`; learned ones have none.
POSITIONS = {"sine": "interleaved", "sine-halves": "halves", "sine-fairseq": "fairseq", "learned": None}


@keras.saving.register_keras_serializable("keras_attn")
class Transformer(PresetMixin, EncoderDecoder):
    """Encoder-decoder Transformer (Vaswani et al., 2017, arXiv:1706.03762).

    MarianMT's layout is `normalize_first=False, position_encoding="sine-halves", scale_embedding=True,
    output_bias=True, activation="swish"` (or `"relu"`). BART's is `normalize_first=False,
    position_encoding="learned", position_offset=2, normalize_embedding=True, activation="gelu"`, and mBART's
    the same with `normalize_first=True`. M2M100 and NLLB have `normalize_first=True,
    position_encoding="sine-fairseq", position_offset=2`, and PEGASUS `normalize_first=True,
    position_encoding="sine-halves"`.

    Args:
        vocabulary_size: int, V, shared by source and target.
        hidden_dim: int, D.
        intermediate_dim: int, size of the feed-forward networks' hidden layers.
        num_heads: int, must divide `hidden_dim`.
        num_encoder_layers, num_decoder_layers: int.
        max_sequence_length: int, maximum number of source or target positions.
        dropout: float, on embeddings and on what each sublayer adds.
        attention_dropout: float, on attention weights.
        activation: activation of the feed-forward networks.
        normalize_first: whether to use pre-norm, with a final normalization of encoder and decoder.
        position_encoding: `"sine"`, `"sine-halves"`, `"sine-fairseq"` or `"learned"`.
        scale_embedding: whether token embeddings are multiplied by sqrt(D).
        share_embeddings: whether source and target use one table.
        tie_output: whether the output layer is the target table.
        output_bias: whether the logits have a bias (Marian's final logits bias).
        layer_norm_epsilon: float.
        pad_id: int, source token that is padding when no mask is given.
        normalize_embedding: whether embeddings with their positions are normalized, on both sides.
        position_offset: int, number of the first position; learned tables have that many further rows.

    Raises:
        ArgumentError: if `num_heads` does not divide `hidden_dim` or `position_encoding` is unknown.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int = 128,
        intermediate_dim: int = 256,
        num_heads: int = 4,
        num_encoder_layers: int = 4,
        num_decoder_layers: int = 4,
        max_sequence_length: int = 256,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        activation: Activation = "relu",
        normalize_first: bool = True,
        position_encoding: str = "sine",
        scale_embedding: bool = True,
        share_embeddings: bool = True,
        tie_output: bool = True,
        output_bias: bool = False,
        layer_norm_epsilon: float = 1e-5,
        pad_id: int = 0,
        normalize_embedding: bool = False,
        position_offset: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.num_encoder_layers = num_encoder_layers
        self.num_decoder_layers = num_decoder_layers
        self.max_sequence_length = max_sequence_length
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation = activation
        self.normalize_first = normalize_first
        self.position_encoding = position_encoding
        self.scale_embedding = scale_embedding
        self.share_embeddings = share_embeddings
        self.tie_output = tie_output
        self.output_bias = output_bias
        self.layer_norm_epsilon = layer_norm_epsilon
        self.pad_id = pad_id
        self.normalize_embedding = normalize_embedding
        self.position_offset = position_offset

        self.token_embedding = self._table("token_embedding")
        self.source_embedding = self.token_embedding if share_embeddings else self._table("source_embedding")
        self.encoder_position = self._positions("encoder_position")
        self.decoder_position = self._positions("decoder_position")
        self.encoder_embedding_norm = self._norm("encoder_embedding_norm") if normalize_embedding else None
        self.decoder_embedding_norm = self._norm("decoder_embedding_norm") if normalize_embedding else None
        self.embedding_dropout = Dropout(dropout, dtype=self.dtype_policy, name="embedding_dropout")
        self.encoder_layers = [self._block("encoder", i) for i in range(num_encoder_layers)]
        self.decoder_layers = [self._block("decoder", i) for i in range(num_decoder_layers)]
        self.encoder_norm = self._norm("encoder_norm") if normalize_first else None
        self.decoder_norm = self._norm("decoder_norm") if normalize_first else None
        self.build()

    def _table(self, name):
        return keras.layers.Embedding(
            self.vocabulary_size,
            self.hidden_dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=self.hidden_dim**-0.5),
            dtype=self.dtype_policy,
            name=name,
        )

    def _block(self, half, number) -> Any:
        """Return a block of the `"encoder"` or the `"decoder"`."""
        make = TransformerEncoder if half == "encoder" else TransformerDecoder
        return make(**self._block_arguments(), name=f"{half}_layer_{number}")

    def _block_arguments(self):
        return {
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "activation": self.activation,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "normalize_first": self.normalize_first,
            "dtype": self.dtype_policy,
        }

    @property
    def head_dim(self):
        """Size of a head."""
        return self.hidden_dim // self.num_heads

    def _positions(self, name):
        """Return the layer that adds positions to embeddings, or `None`."""
        if self.position_encoding not in POSITIONS:
            raise ArgumentError(
                f"`position_encoding` must be one of {(*POSITIONS,)}, got {self.position_encoding!r}."
            )
        layout = POSITIONS[self.position_encoding]
        if layout is None:
            rows = self.max_sequence_length + self.position_offset
            return PositionEmbedding(rows, dtype=self.dtype_policy, name=name)
        return SinePositionEncoding(layout=layout, dtype=self.dtype_policy, name=name)

    def _norm(self, name):
        return keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        shape = (None, None, self.hidden_dim)
        for table in (self.token_embedding, self.source_embedding):
            if not table.built:
                table.build((None, None))
        sides = ("position", "embedding_norm", "norm")
        for layer in (getattr(self, f"{half}_{side}") for side in sides for half in ("encoder", "decoder")):
            if layer is not None and not layer.built:
                layer.build(shape)
        for layer in self.encoder_layers:
            layer.build(shape)
        for layer in self.decoder_layers:
            layer.build(shape, shape)
        if not self.tie_output:
            self.output_matrix = self.add_weight(
                shape=(self.vocabulary_size, self.hidden_dim),
                initializer="glorot_uniform",
                name="output_matrix",
            )
        if self.output_bias:
            self.final_logits_bias = self.add_weight(
                shape=(self.vocabulary_size,), initializer="zeros", name="final_logits_bias"
            )
        self.built = True

    @property
    def output_embeddings(self):
        """Return the output matrix (V, D) and the bias (V,) or `None`."""
        tied = self.tie_output
        matrix = embedding_table(self.token_embedding) if tied else ops.convert_to_tensor(self.output_matrix)
        return matrix, self.final_logits_bias if self.output_bias else None

    def _embed(self, half, table, token_ids, training, positions=None):
        """Embed (B, T), by default at positions from 0 on, for the `"encoder"` or the `"decoder"`."""
        position, norm = getattr(self, f"{half}_position"), getattr(self, f"{half}_embedding_norm")
        x = table(token_ids)  # (B, T, D)
        if self.scale_embedding:
            x = x * ops.cast(self.hidden_dim**0.5, x.dtype)
        if position is None:
            pass
        elif positions is None:
            x = x + position(x, start_index=self.position_offset)
        else:
            x = x + position(x, positions=positions + self.position_offset)
        return self.embedding_dropout(x if norm is None else norm(x), training=training)

    def encode(self, source_ids, source_mask, training=None, scores=None):
        """Encode (B, S): the memory holds `sequence` (B, S, D) and `mask` (B, S).

        `scores` is a list that receives the weights (B, H, S, S) of each layer.
        """
        x = self._embed("encoder", self.source_embedding, source_ids, training)
        shared = self._shared_by_layers("encoder", x)
        for layer in self.encoder_layers:
            wanted = scores is not None
            x = layer(
                x, padding_mask=source_mask, training=training, return_attention_scores=wanted, **shared
            )
            if wanted:
                x, weights = x
                scores.append(weights)
        return {"sequence": self._finished("encoder", x), "mask": source_mask}

    def _shared_by_layers(self, half, x):
        """Return call arguments of all layers of a half, from its embeddings (B, T, D)."""
        return {}

    def _shared_by_steps(self, position, slots):
        """Return arguments of all layers in a step, from positions (R,) and the size of the caches."""
        return {}

    def _finished(self, half, x):
        """Return what a half returns, from its last layer's output (B, T, D)."""
        norm = getattr(self, f"{half}_norm")
        return x if norm is None else norm(x)

    def decode(
        self,
        token_ids,
        memory,
        training=None,
        return_attention_scores=False,
        padding_mask=None,
        scores=None,
    ):
        """Decode (B, T) at once; the weights are the last layer's cross-attention, averaged over heads.

        `scores` is a list that receives each layer's `{"self": (B, H, T, T), "cross": (B, H, T, S)}`.
        """
        x = self._embed("decoder", self.token_embedding, token_ids, training)
        shared, weights = self._shared_by_layers("decoder", x), None
        for layer in self.decoder_layers:
            last = layer is self.decoder_layers[-1]
            wanted = scores is not None or (return_attention_scores and last)
            x = layer(
                x,
                memory["sequence"],
                decoder_padding_mask=padding_mask,
                encoder_padding_mask=memory["mask"],
                training=training,
                return_attention_scores=wanted,
                **shared,
            )
            if wanted:
                x, found = x
                weights = ops.mean(found["cross"], axis=1)  # (B, T, S)
                if scores is not None:
                    scores.append(found)
        x = self._finished("decoder", x)
        return x, (weights if return_attention_scores else None)

    def attention_scores(self, inputs):
        """Return the weights of every head of every layer.

        Args:
            inputs: as for `call`.

        Returns:
            Dict of `encoder` (L, B, H, S, S), `decoder` (L, B, H, T, T) and `cross` (L, B, H, T, S).
        """
        encoder, decoder = [], []
        memory = self.encode(inputs["encoder_token_ids"], self.source_mask(inputs), scores=encoder)
        target_mask = inputs.get("decoder_padding_mask")
        self.decode(inputs["decoder_token_ids"], memory, padding_mask=target_mask, scores=decoder)
        return {
            "encoder": ops.stack(encoder),
            "decoder": ops.stack([each["self"] for each in decoder]),
            "cross": ops.stack([each["cross"] for each in decoder]),
        }

    @property
    def caches(self):
        """Each layer's keys and values, (R, H, T, dh), with one row a step."""
        return {f"{kind}_{i:02d}": 2 for i in range(self.num_decoder_layers) for kind in ("key", "value")}

    def start(self, source_ids, source_mask, max_length):
        """Encode, project the cross-attention's keys and values once, and create empty caches."""
        encoded = self.encode(source_ids, source_mask)
        batch = ops.shape(source_ids)[0]
        memory, state = {"mask": encoded["mask"]}, {"position": ops.zeros((batch,), "int32")}
        for i, layer in enumerate(self.decoder_layers):
            cross = layer.project_memory(encoded["sequence"])  # (B, 2, S, H, dh)
            for j, kind in enumerate(("key", "value")):
                memory[f"cross_{kind}_{i:02d}"] = ops.transpose(cross[:, j], (0, 2, 1, 3))  # (B, H, S, dh)
        shape = (batch, self.num_heads, max_length, self.head_dim)
        state |= {name: ops.zeros(shape, self.compute_dtype) for name in self.caches}
        return memory, state

    def read_token(self, tokens, memory, state):
        """Decode one token per row, each at its own position, with the same layers as `decode`."""
        position = state["position"]  # (R,)
        x = self._embed(
            "decoder",
            self.token_embedding,
            ops.expand_dims(tokens, 1),
            False,
            positions=ops.expand_dims(position, 1),
        )  # (R, 1, D)
        new_state, weights, shared = {"position": position + 1}, None, None
        for i, layer in enumerate(self.decoder_layers):
            cross = (memory[f"cross_key_{i:02d}"], memory[f"cross_value_{i:02d}"])
            caches = (state[f"key_{i:02d}"], state[f"value_{i:02d}"])
            if shared is None:
                shared = self._shared_by_steps(position, caches[0].shape[2])
            x, weights, present = layer.read_token(x, position, *caches, cross, memory["mask"], **shared)
            for kind, row in zip(("key", "value"), present, strict=True):
                new_state[f"{kind}_{i:02d}"] = ops.expand_dims(row, 2)  # (R, H, 1, dh)
        x = self._finished("decoder", x)
        return x[:, 0], ops.mean(weights, axis=1), new_state
