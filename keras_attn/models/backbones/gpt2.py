"""GPT-2, of which GPT-3's layer pattern is a configuration."""

from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers import Dropout, PositionEmbedding, TransformerDecoder
from keras_attn.layers.argument_types import Activation, Inputs
from keras_attn.layers.embedding_table import embedding_table
from keras_attn.layers.masks import as_mask
from keras_attn.models.presets import PresetMixin
from keras_attn.models.text_model import TextModel
from keras_attn.models.word_logits import WordScores


@keras.saving.register_keras_serializable("keras_attn")
class GPT2(WordScores, PresetMixin, TextModel):
    """Decoder-only Transformer (Radford et al., 2019, "Language Models are Unsupervised Multitask Learners").

    GPT-3 (Brown et al., 2020, arXiv:2005.14165, section 2.1) lets every other layer see a band of
    `local_window` tokens only. The presets are `"tiny"`, `"base"` (the published gpt2), `"medium"`,
    `"large"`, `"xl"`, `"gpt3-small"` and `"gpt3-medium"`.

    Padding may stand before or after a text: positions are counted from its first token.

    Args:
        vocabulary_size: int, V.
        num_layers: int, L.
        num_heads: int, must divide `hidden_dim`.
        hidden_dim: int, D.
        intermediate_dim: int, size of the feed-forward networks' hidden layers.
        dropout: float, on embeddings and on what each sublayer adds.
        attention_dropout: float, on attention weights; by default `dropout`.
        max_sequence_length: int, maximum number of tokens.
        local_window: int, the second, fourth ... layer sees only this many tokens, its own counted; `None`
            for all tokens in all layers.
        activation: name of the feed-forward networks' activation; the published one is the GELU by tanh.
        layer_norm_epsilon: float.
        pad_id: int, token that is padding when no mask is given; by default none is.

    Call arguments:
        inputs: dict of `token_ids` (B, T) int32 and, optionally, `padding_mask` (B, T) boolean, `True` where
            there is a token.
        return_attention_scores: whether to return the weights of every layer as well.

    Returns:
        Dict of `sequence_output` (B, T, D); with `return_attention_scores` also `attention_scores`
        (L, B, H, T, T).

    Raises:
        ArgumentError: if `num_heads` does not divide `hidden_dim`, or the text is longer than
            `max_sequence_length`.
    """

    xla_on_tensorflow = True
    # Read by the tasks over a backbone: each token sees those before it, and there are no segments.
    causal, pooler, num_segments, norm_bias = True, False, 0, True
    inputs_read = MappingProxyType(
        {
            "token_ids": ("int32", ("batch", "length")),
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
        max_sequence_length: int = 1024,
        local_window: int | None = None,
        activation: Activation = "gelu_approximate",
        layer_norm_epsilon: float = 1e-5,
        pad_id: int | None = None,
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
        self.local_window = local_window
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.pad_id = pad_id

        shared = {"dtype": self.dtype_policy}
        self.token_embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=initializer(),
            **shared,
            name="token_embedding",
        )
        self.position_embedding = PositionEmbedding(
            max_sequence_length, initializer=initializer(), **shared, name="position_embedding"
        )
        self.embedding_dropout = Dropout(dropout, **shared, name="embedding_dropout")
        self.decoder_layers = [
            TransformerDecoder(
                intermediate_dim,
                num_heads,
                dropout=dropout,
                attention_dropout=attention_dropout,
                activation=activation,
                layer_norm_epsilon=layer_norm_epsilon,
                kernel_initializer=initializer(),
                normalize_first=True,
                sliding_window=local_window if i % 2 else None,
                **shared,
                name=f"decoder_layer_{i}",
            )
            for i in range(num_layers)
        ]
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, **shared, name="layer_norm"
        )
        self.build()

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        shape = (None, None, self.hidden_dim)
        self.token_embedding.build((None, None))
        for layer in (self.position_embedding, *self.decoder_layers, self.layer_norm):
            layer.build(shape)
        # Radford et al., section 2.3: the weights of residual layers are scaled by the depth.
        for layer in self.decoder_layers:
            for dense in (layer._self_attention_layer._output_dense, layer._feedforward_output_dense):
                dense.kernel.assign(dense.kernel * (2 * self.num_layers) ** -0.5)
        self.built = True

    @property
    def output_embeddings(self):
        """Return the token embeddings (V, D), and `None` for the bias."""
        return embedding_table(self.token_embedding), None

    def call(
        self, inputs: Inputs, training: bool | None = None, return_attention_scores: bool = False
    ) -> Any:
        """Read (B, T), each position seeing only those before it."""
        token_ids, mask = inputs["token_ids"], self.padding_mask(inputs)
        length = token_ids.shape[1]
        if isinstance(length, int) and length > self.max_sequence_length:
            raise ArgumentError(
                f"`token_ids` has {length} positions, but `max_sequence_length` is "
                f"{self.max_sequence_length}: cut the texts."
            )
        x, scores = self._embed(token_ids, None if mask is None else positions_of(mask), training), []
        for layer in self.decoder_layers:
            x = layer(
                x,
                decoder_padding_mask=mask,
                training=training,
                return_attention_scores=return_attention_scores,
            )
            if return_attention_scores:
                x, weights = x
                scores.append(weights["self"])
        outputs = {"sequence_output": self.layer_norm(x)}
        if return_attention_scores:
            outputs["attention_scores"] = ops.stack(scores)
        return outputs

    def padding_mask(self, inputs):
        """Return the mask (B, T) of the inputs, or the tokens that are not padding; `None` if all exist."""
        mask = inputs.get("padding_mask")
        if mask is not None:
            return as_mask(mask, "padding_mask")
        return None if self.pad_id is None else ops.not_equal(inputs["token_ids"], self.pad_id)

    def _embed(self, token_ids, positions, training=None):
        x = self.token_embedding(token_ids)  # (B, T, D)
        return self.embedding_dropout(x + self.position_embedding(x, positions=positions), training=training)

    def start(self, token_ids, padding_mask, max_length):
        """Fill the caches with the beginning of a text.

        The first step takes the next token: pass all but the last token of a prompt here.

        Args:
            token_ids: int32 tensor (B, S); S may be 0.
            padding_mask: boolean tensor (B, S), `True` where there is a token.
            max_length: int, number of steps that may follow.

        Returns:
            `(memory, state)`: two dicts of tensors with leading dimension B.

        Raises:
            ArgumentError: if S and `max_length` are more than `max_sequence_length`.
        """
        batch, length = ops.shape(token_ids)
        if isinstance(length, int) and length + max_length > self.max_sequence_length:
            raise ArgumentError(
                f"`token_ids` has {length} positions and `max_length` is {max_length}, together more than "
                f"the `max_sequence_length` of {self.max_sequence_length}: give less."
            )
        mask = as_mask(padding_mask, "padding_mask")
        # Padding is moved to the front, so that the next token follows the last one.
        order = ops.argsort(ops.arange(length, dtype="int32") + length * ops.cast(mask, "int32"), axis=1)
        token_ids, mask = (ops.take_along_axis(each, order, axis=1) for each in (token_ids, mask))
        room, head_dim = length + max_length, self.hidden_dim // self.num_heads
        empty = ops.zeros((batch, 2, room, self.num_heads, head_dim), self.compute_dtype)
        state = {"position": ops.full((batch,), length, "int32")}
        state |= {cache_name(i): empty for i in range(self.num_layers)}
        if not isinstance(length, int) or length:
            _, state = self._read(token_ids, positions_of(mask), 0, _until(mask, room), state)
        return {"mask": mask}, state

    def read_token(self, tokens, memory, state):
        """Read one token per row, all rows at the same position: vectors (R, D), `None`, new state."""
        index = state["position"][0]
        pads = ops.sum(ops.cast(ops.logical_not(memory["mask"]), "int32"), axis=1)  # (R,)
        positions = ops.expand_dims(state["position"] - pads, 1)  # (R, 1)
        mask = _until(memory["mask"], ops.shape(state[cache_name(0)])[2])
        x, new_state = self._read(ops.expand_dims(tokens, 1), positions, index, mask, state)
        return x[:, 0], None, {**new_state, "position": state["position"] + 1}

    def _read(self, token_ids, positions, index, mask, state):
        """Run (R, T) from position `index` on, and write it into the caches, which `mask` (R, S') masks."""
        x, new_state = self._embed(token_ids, positions), dict(state)
        for i, layer in enumerate(self.decoder_layers):
            x, new_state[cache_name(i)] = layer(
                x,
                decoder_padding_mask=mask,
                self_attention_cache=state[cache_name(i)],
                self_attention_cache_update_index=index,
            )
        return self.layer_norm(x), new_state


def initializer():
    """Return GPT-2's initializer: normal with standard deviation 0.02."""
    return keras.initializers.RandomNormal(stddev=0.02)


def cache_name(layer):
    """Return the name of a layer's cache (R, 2, S', H, dh) in the state."""
    return f"self_{layer:02d}"


def positions_of(mask):
    """Return the positions (B, T) of the tokens that exist, from 0 on."""
    return ops.maximum(ops.cumsum(ops.cast(mask, "int32"), axis=1) - 1, 0)


def _until(mask, length):
    """Extend a mask (R, S) by `True` to (R, length)."""
    rows, given = ops.shape(mask)
    return ops.concatenate([mask, ops.ones((rows, length - given), "bool")], axis=1)
