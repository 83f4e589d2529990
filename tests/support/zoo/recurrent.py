"""Recurrent models, with masks and without."""

import keras
from keras import layers

from zoo.case import WORDS, Case, floats, ids, series

LENGTHS = [5, 9]


def masked_lstm():
    return keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(WORDS, 8, mask_zero=True),
            layers.LSTM(8),
            layers.Dense(3, activation="softmax"),
        ]
    )


def bidirectional_tagger():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(WORDS, 8, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
    x = layers.Bidirectional(layers.GRU(5, return_sequences=True), merge_mode="sum")(x)
    return keras.Model(tokens, layers.TimeDistributed(layers.Dense(4, activation="softmax"))(x))


def masked_series():
    return keras.Sequential(
        [
            keras.Input((None, 3)),
            layers.Masking(-10.0),
            layers.GRU(7, return_sequences=True),
            layers.SimpleRNN(6),
            layers.Dense(1),
        ]
    )


def stacked_cells():
    cells = [layers.LSTMCell(6), layers.GRUCell(5), layers.SimpleRNNCell(4)]
    return keras.Sequential([keras.Input((8, 3)), layers.RNN(cells), layers.Dense(2)])


def backwards():
    x = inputs = keras.Input((8, 3))
    x = layers.GRU(6, go_backwards=True, return_sequences=True, reset_after=False)(x)
    x = layers.LSTM(5, go_backwards=True, recurrent_dropout=0.2, dropout=0.1, unroll=True)(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def states():
    """One layer's state begins another's, and is an output."""
    inputs = keras.Input((None, 3), name="series")
    sequence, hidden, carry = layers.LSTM(6, return_sequences=True, return_state=True)(inputs)
    after, last = layers.GRU(6, return_sequences=True, return_state=True)(sequence, initial_state=hidden)
    return keras.Model(inputs, {"sequence": after, "state": [hidden, carry, last]})


def conv_lstm():
    return keras.Sequential(
        [
            keras.Input((4, 6, 6, 2)),
            layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True),
            layers.ConvLSTM2D(2, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def time_series():
    """A forecast of the next steps, from normalized values."""
    normalize = layers.Normalization()
    normalize.adapt(5 + 2 * keras.random.normal((200, 3), seed=1))
    return keras.Sequential(
        [
            keras.Input((12, 3)),
            normalize,
            layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="relu"),
            layers.LSTM(8, return_sequences=True),
            layers.LSTM(8),
            layers.Dense(4 * 3),
            layers.Reshape((4, 3)),
        ]
    )


def teacher():
    """An autoencoder of series: one code repeated for a decoder."""
    return keras.Sequential(
        [
            keras.Input((7, 3)),
            layers.LSTM(8),
            layers.RepeatVector(7),
            layers.LSTM(8, return_sequences=True),
            layers.TimeDistributed(layers.Dense(3)),
        ]
    )


CASES = {
    "masked_lstm": Case(masked_lstm, ids, LENGTHS, padded=True),
    "bidirectional_tagger": Case(bidirectional_tagger, ids, LENGTHS, padded=True),
    "masked_series": Case(masked_series, series(3), LENGTHS, padded=True),
    "stacked_cells": Case(stacked_cells, floats(8, 3)),
    "backwards": Case(backwards, floats(8, 3)),
    "states": Case(states, series(3), LENGTHS),
    "conv_lstm": Case(conv_lstm, floats(4, 6, 6, 2)),
    "time_series": Case(time_series, lambda rng, n, length: 5 + 2 * floats(12, 3)(rng, n, length)),
    "series_autoencoder": Case(teacher, floats(7, 3)),
}
