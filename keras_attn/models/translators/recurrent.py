"""RNNsearch and its baseline without attention, which share a decoder."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers import BahdanauAttention, Dropout
from keras_attn.layers.masks import as_mask
from keras_attn.models.presets import PresetMixin
from keras_attn.models.translators.encoder_decoder import EncoderDecoder


def gated_unit(inputs, state, recurrent_kernel):
    """Compute one step of the gated hidden unit (Bahdanau et al., 2015, appendix A.1.1).

    Args:
        inputs: everything that does not depend on the state, (B, 3H): update gate, reset gate, candidate.
        state: s of the previous step, (B, H).
        recurrent_kernel: U, (H, 3H), in the same order.

    Returns:
        s of this step, (B, H): (1 - z) s + z tanh(W x + U (r s)).
    """
    units = state.shape[-1]
    gates = inputs[:, : 2 * units] + ops.matmul(state, recurrent_kernel[:, : 2 * units])
    update, reset = ops.split(ops.sigmoid(gates), 2, axis=-1)
    candidate = inputs[:, 2 * units :] + ops.matmul(reset * state, recurrent_kernel[:, 2 * units :])
    return (1 - update) * state + update * ops.tanh(candidate)


class RecurrentTranslator(PresetMixin, EncoderDecoder):
    """Gated recurrent encoder and decoder with deep output; subclasses define what a step sees of the source.

    Args:
        vocabulary_size: int, V, shared by source and target.
        embedding_dim: int, size of the token embeddings, E.
        hidden_dim: int, units of each recurrent direction, H.
        maxout_dim: int, units of the maxout hidden layer of the output, l.
        dropout: float, on token embeddings, on annotations and before the output layer.
        pad_id: int, source token that is padding when no mask is given.
    """

    bidirectional: bool
    # Keras' scan collects its results in a list of unknown length there, which XLA refuses.
    xla_on_tensorflow = False

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int = 128,
        hidden_dim: int = 128,
        maxout_dim: int = 128,
        dropout: float = 0.0,
        pad_id: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.maxout_dim = maxout_dim
        self.dropout = dropout
        self.pad_id = pad_id

        self.source_embedding = self._table("source_embedding")
        self.target_embedding = self._table("target_embedding")
        self.encoder = self._encoder()
        self.initial_state = self._dense("initial_state", hidden_dim, activation="tanh")
        # Word, context and previous state enter the gates and the maxout layer; only the words' terms have
        # biases, so that each sum has one.
        self.word_gates = self._dense("word_gates", 3 * hidden_dim)
        self.context_gates = self._dense("context_gates", 3 * hidden_dim, use_bias=False)
        self.word_output = self._dense("word_output", 2 * maxout_dim)
        self.context_output = self._dense("context_output", 2 * maxout_dim, use_bias=False)
        self.state_output = self._dense("state_output", 2 * maxout_dim, use_bias=False)
        self.embedding_dropout = Dropout(dropout, dtype=self.dtype_policy, name="embedding_dropout")
        self.annotation_dropout = Dropout(dropout, dtype=self.dtype_policy, name="annotation_dropout")
        self.output_dropout = Dropout(dropout, dtype=self.dtype_policy, name="output_dropout")
        self.build()

    def _table(self, name):
        # As large as the GRUs' values. With Keras' default, a twentieth of that, no source position stands
        # out at first, and attention takes at least twice as long to learn.
        return keras.layers.Embedding(
            self.vocabulary_size,
            self.embedding_dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
            dtype=self.dtype_policy,
            name=name,
        )

    def _dense(self, name, units, **kwargs):
        return keras.layers.Dense(units, dtype=self.dtype_policy, name=name, **kwargs)

    def _encoder(self):
        # The published unit resets the state before the recurrent product.
        gru = keras.layers.GRU(
            self.hidden_dim, return_sequences=True, reset_after=False, dtype=self.dtype_policy, name="gru"
        )
        if not self.bidirectional:
            return gru
        return keras.layers.Bidirectional(gru, dtype=self.dtype_policy, name="encoder")

    @property
    def context_dim(self):
        """Depth of what a step sees of the source."""
        return self.hidden_dim * (2 if self.bidirectional else 1)

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        words, context, state = (
            (None, None, self.embedding_dim),
            (None, self.context_dim),
            (None, self.hidden_dim),
        )
        self.source_embedding.build((None, None))
        self.target_embedding.build((None, None))
        self.encoder.build(words)
        self.initial_state.build(state)
        for layer, shape in (
            (self.word_gates, words),
            (self.word_output, words),
            (self.context_gates, context),
            (self.context_output, context),
            (self.state_output, state),
        ):
            layer.build(shape)
        self.recurrent_kernel = self.add_weight(
            shape=(self.hidden_dim, 3 * self.hidden_dim), initializer="orthogonal", name="recurrent_kernel"
        )
        self.output_matrix = self.add_weight(
            shape=(self.vocabulary_size, self.maxout_dim), initializer="glorot_uniform", name="output_matrix"
        )
        self.output_bias = self.add_weight(
            shape=(self.vocabulary_size,), initializer="zeros", name="output_bias"
        )
        self.built = True

    @property
    def output_embeddings(self):
        """Return the output matrix (V, l) and the bias (V,)."""
        return ops.convert_to_tensor(self.output_matrix), ops.convert_to_tensor(self.output_bias)

    def attend(self, state, memory):
        """Attend to the source from a decoder state.

        Args:
            state: s of the previous step, (B, H), or those before several steps, (B, T, H).
            memory: what `encode` returned.

        Returns:
            `(context, weights)`: (B, context_dim), and (B, S) or `None`; with attention, both have the
            states' axis T.
        """
        raise NotImplementedError

    def _recur(self, word_gates, state, memory):
        """Return the next state (B, H) and the `(context, weights)` it was computed with."""
        context, weights = self.attend(state, memory)
        inputs = word_gates + self.context_gates(context)
        # In the compute dtype: steps are decoded outside of calls, where Keras does not cast weights.
        kernel = ops.cast(self.recurrent_kernel, self.compute_dtype)
        return gated_unit(inputs, state, kernel), context, weights

    def _deep_output(self, words, states, contexts, training):
        """Combine word, previous state and context by maxout: (..., l) (appendix A.2.2)."""
        pre = self.word_output(words) + self.state_output(states) + self.context_output(contexts)
        pairs = ops.reshape(pre, (*ops.shape(pre)[:-1], self.maxout_dim, 2))  # (..., l, 2)
        return self.output_dropout(ops.max(pairs, axis=-1), training=training)

    def decode(self, token_ids, memory, training=None, return_attention_scores=False, padding_mask=None):
        """Decode (B, T) by one scan over the target; padding does not change the state."""
        words = self.embedding_dropout(self.target_embedding(token_ids), training=training)  # (B, T, E)
        gates = ops.transpose(self.word_gates(words), (1, 0, 2))  # (T, B, 3H)
        first = memory["state"]  # (B, H)
        # One tensor is carried and collected: the TensorFlow backend requires both to have one shape.
        empty = ops.zeros((ops.shape(first)[0], self.context_dim), first.dtype)
        carry = ops.concatenate([first, empty], axis=-1)  # (B, H + context)

        def advance(carry, given):
            word_gates, exists = given if masked else (given, True)
            state, context, _ = self._recur(word_gates, carry[:, : self.hidden_dim], memory)
            carry = ops.where(exists, ops.concatenate([state, context], axis=-1), carry)
            return carry, carry

        masked = padding_mask is not None
        if masked:
            exists = as_mask(padding_mask, "decoder_padding_mask")
            exists = ops.expand_dims(ops.transpose(exists), -1)  # (T, B, 1)
            gates = (gates, exists)
        _, seen = ops.scan(advance, carry, gates)  # (T, B, H + context)
        states, contexts = ops.split(ops.transpose(seen, (1, 0, 2)), [self.hidden_dim], axis=-1)
        before = ops.concatenate(
            [ops.expand_dims(first, 1), states[:, :-1]], axis=1
        )  # those before each step
        weights = self.attend(before, memory)[1] if return_attention_scores else None
        return self._deep_output(words, before, contexts, training), weights

    def start(self, source_ids, source_mask, max_length):
        """Encode; a recurrent state does not depend on `max_length`."""
        del max_length
        memory = self.encode(source_ids, source_mask)
        state = {"state": memory.pop("state")}
        return memory, state

    def read_token(self, tokens, memory, state):
        """Decode one token per row, with the same layers as `decode`."""
        words = self.target_embedding(tokens)  # (R, E)
        new_state, context, weights = self._recur(self.word_gates(words), state["state"], memory)
        hidden = self._deep_output(words, state["state"], context, False)
        return hidden, weights, {"state": new_state}


@keras.saving.register_keras_serializable("keras_attn")
class RNNSearch(RecurrentTranslator):
    """Bahdanau, Cho and Bengio, 2015 (arXiv:1409.0473): a bidirectional encoder, and attention at every step.

    The published sizes are the preset `"base"`.

    Args:
        vocabulary_size: int, V, shared by source and target.
        attention_dim: int, units U that compare a state with an annotation.
        **kwargs: `RecurrentTranslator`'s further arguments.
    """

    bidirectional = True

    def __init__(self, vocabulary_size: int, attention_dim: int = 128, **kwargs: Any) -> None:
        self.attention_dim = attention_dim
        super().__init__(vocabulary_size, **kwargs)

    def build(self, input_shape=None):
        """Create all weights."""
        if self.built:
            return
        annotations = (None, None, self.context_dim)
        self.attention = BahdanauAttention(self.attention_dim, dtype=self.dtype_policy, name="attention")
        self.attention.build([(None, self.hidden_dim), annotations])
        super().build(input_shape)

    def encode(self, source_ids, source_mask, training=None):
        """Encode (B, S): annotations (B, S, 2H), their projected keys (B, S, U), the first state (B, H)."""
        words = self.embedding_dropout(self.source_embedding(source_ids), training=training)
        source_mask = as_mask(source_mask, "encoder_padding_mask")
        annotations = self.encoder(words, mask=source_mask)  # (B, S, 2H)
        # The backward direction has read the whole source when it reaches the first word (A.1.1).
        state = self.initial_state(annotations[:, 0, self.hidden_dim :])
        annotations = self.annotation_dropout(annotations, training=training)
        keys = self.attention.project_keys(annotations)
        return {"annotations": annotations, "keys": keys, "mask": source_mask, "state": state}

    def attend(self, state, memory):
        """Attend to the annotations."""
        return self.attention(
            [state, memory["annotations"]],
            mask=[None, memory["mask"]],
            projected_keys=memory["keys"],
            return_attention_scores=True,
        )


@keras.saving.register_keras_serializable("keras_attn")
class Seq2SeqRNN(RecurrentTranslator):
    """The RNN Encoder-Decoder without attention (Cho et al., 2014, arXiv:1406.1078): RNNsearch's baseline.

    The encoder reads the source once; the decoder sees only its last state. The arguments are
    `RecurrentTranslator`'s.
    """

    bidirectional = False

    def encode(self, source_ids, source_mask, training=None):
        """Encode (B, S) into one vector (B, H) and the first state (B, H)."""
        words = self.embedding_dropout(self.source_embedding(source_ids), training=training)
        states = self.encoder(words, mask=as_mask(source_mask, "encoder_padding_mask"))  # (B, S, H)
        # Padding does not change the state, so that the last one is that of the last token.
        context = states[:, -1]
        return {
            "context": self.annotation_dropout(context, training=training),
            "state": self.initial_state(context),
        }

    def attend(self, state, memory):
        """Return the same vector at every step."""
        del state
        return memory["context"], None
