"""Attention: Keras' layers and ours."""

import keras
import numpy as np
from keras import layers, ops

import keras_attn
from keras_attn import layers as ours
from zoo.case import WORDS, Case, ids, series

LENGTHS = [5, 9]


def keras_transformer():
    """Multi-head attention that gets its mask from the embedding."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(WORDS, 8, mask_zero=True)(tokens)
    for _ in range(2):
        seen = layers.MultiHeadAttention(2, 4)(x, x)
        x = layers.LayerNormalization()(x + seen)
        x = layers.LayerNormalization()(x + layers.Dense(8)(layers.Dense(16, activation="gelu")(x)))
    return keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def causal_groups():
    x = inputs = keras.Input((None, 8))
    x = x + layers.GroupQueryAttention(4, 4, 2)(x, x, use_causal_mask=True)
    x = x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    return keras.Model(inputs, layers.Dense(2)(x))


def luong():
    """Dot-product and additive attention with the masks of two inputs, and scores."""
    words = keras.Input((6,), dtype="int32", name="words")
    question = keras.Input((4,), dtype="int32", name="question")
    table = layers.Embedding(WORDS, 8, mask_zero=True)
    memory = layers.LSTM(8, return_sequences=True)(table(words))
    query = layers.LSTM(8, return_sequences=True)(table(question))
    one = layers.Attention(use_scale=True)([query, memory])
    two, scores = layers.AdditiveAttention()([query, memory], return_attention_scores=True)
    x = layers.GlobalAveragePooling1D()(layers.Concatenate()([query, one, two]))
    return keras.Model([words, question], [layers.Dense(2)(x), scores])


def two_texts(rng, count, length):
    words, question = ids(rng, count, 6), ids(rng, count, 4)
    words[:, 4:] = 0
    question[0, 2:] = 0
    return [words, question]


def our_encoder():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = ours.TokenAndPositionEmbedding(WORDS, 9, 8, mask_zero=True)(tokens)
    x = ours.TransformerEncoder(16, 2)(x)
    x = ours.TransformerEncoder(16, 2, normalize_first=True)(x)
    return keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def our_rotary():
    inputs = keras.Input((9, 8))
    x = inputs + ours.PositionEmbedding(9)(inputs)
    x = ours.RotaryEmbedding()(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def our_bahdanau():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(WORDS, 8, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.GRU(4, return_sequences=True))(x)
    query = layers.GlobalMaxPooling1D()(x)
    found = ours.BahdanauAttention(6)([query, x])
    return keras.Model(tokens, layers.Dense(2)(found))


def our_classifier():
    backbone = keras_attn.models.Bert(WORDS, 1, 2, 8, 16, max_sequence_length=9)
    model = MyClassifier(backbone, ["no", "yes"])
    model({"token_ids": ops.ones((1, 4), "int32")})
    return model


def text_inputs(rng, count, length):
    tokens = ids(rng, count, length)
    mask = np.ones(tokens.shape, bool)
    return {"token_ids": tokens, "padding_mask": mask, "segment_ids": np.zeros_like(tokens)}


class MyClassifier(keras_attn.models.TextClassifier):
    """A subclass of ours that adds nothing."""


CASES = {
    "keras_transformer": Case(keras_transformer, ids, LENGTHS),
    "causal_groups": Case(causal_groups, series(8), LENGTHS, padded=True),
    "luong": Case(luong, two_texts),
    "our_encoder": Case(our_encoder, ids, LENGTHS, padded=True),
    "our_rotary": Case(our_rotary, lambda rng, n, _: series(8)(rng, n, 9)),
    "our_classifier": Case(our_classifier, text_inputs, LENGTHS, padded=True, task="prediction"),
    "our_bahdanau": Case(our_bahdanau, ids, LENGTHS, padded=True),
}
