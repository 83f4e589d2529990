"""Reusable Keras layers, by what they do.

Attention
    `BahdanauAttention`          additive attention as published, with its own W, U and v
    `MultiHeadAttention`         drop-in for Keras' layer
    `CachedMultiHeadAttention`   the same with a key/value cache for decoding
    `dot_product_attention`, `additive_scores`   the mathematics as free functions
Positions and tokens
    `PositionEmbedding`, `SinePositionEncoding`, `TokenAndPositionEmbedding`
Transformer blocks
    `TransformerEncoder`, `TransformerDecoder`, `FeedForward`
Cheap random numbers
    `Dropout`                    drop-in for Keras' layer with a hashed mask
"""

from keras_attn.layers.bahdanau_attention import BahdanauAttention, additive_scores
from keras_attn.layers.dot_product import dot_product_attention
from keras_attn.layers.dropout import Dropout
from keras_attn.layers.feed_forward import FeedForward
from keras_attn.layers.multi_head_attention import CachedMultiHeadAttention, MultiHeadAttention
from keras_attn.layers.position_embedding import PositionEmbedding, TokenAndPositionEmbedding
from keras_attn.layers.sine_position_encoding import SinePositionEncoding, sine_table
from keras_attn.layers.transformer_decoder import TransformerDecoder
from keras_attn.layers.transformer_encoder import TransformerEncoder

__all__ = [
    "BahdanauAttention",
    "CachedMultiHeadAttention",
    "Dropout",
    "FeedForward",
    "MultiHeadAttention",
    "PositionEmbedding",
    "SinePositionEncoding",
    "TokenAndPositionEmbedding",
    "TransformerDecoder",
    "TransformerEncoder",
    "additive_scores",
    "dot_product_attention",
    "sine_table",
]
