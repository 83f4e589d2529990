"""Reusable Keras layers, by what they do.

Attention
    `BahdanauAttention`          additive attention as published, with its own W, U and v
    `MultiHeadAttention`         drop-in for Keras' layer
    `CachedMultiHeadAttention`   the same with a key/value cache for decoding
    `RotaryAttention`            the same with rotary positions, and with local windows
    `DisentangledAttention`      scores of contents and of relative positions, as in DeBERTa
    `BigBirdAttention`           block-sparse attention, linear in the length
    `dot_product_attention`, `additive_scores`   the mathematics as free functions
    `step_attention`, `filled_slots`             the same for one new token, to a cache and to itself
    `attention_kernel`           which kernel computes the attention, and why
Positions and tokens
    `PositionEmbedding`, `SinePositionEncoding`, `RotaryEmbedding`, `TokenAndPositionEmbedding`
    `AlibiBias`, `RelativePositionBias`
Transformer blocks
    `TransformerEncoder`, `TransformerDecoder`, `RotaryTransformerEncoder`
    `RelativeTransformerEncoder`, `RelativeTransformerDecoder`   those of T5
    `GatedFeedForward`           feed-forward network with gated linear units
Masked language models
    `MaskedLMMaskGenerator`, `MaskedLMHead`
Cheap random numbers
    `Dropout`                    drop-in for Keras' layer with a hashed mask
"""

from keras_attn.layers.attention.bahdanau_attention import BahdanauAttention, additive_scores
from keras_attn.layers.attention.bigbird_attention import BigBirdAttention
from keras_attn.layers.attention.cached_multi_head_attention import CachedMultiHeadAttention
from keras_attn.layers.attention.disentangled_attention import DisentangledAttention
from keras_attn.layers.attention.dot_product import dot_product_attention
from keras_attn.layers.attention.kernel_choice import choose_kernel as attention_kernel
from keras_attn.layers.attention.multi_head_attention import MultiHeadAttention
from keras_attn.layers.attention.rotary_attention import RotaryAttention
from keras_attn.layers.attention.step_attention import filled_slots, step_attention
from keras_attn.layers.dropout import Dropout
from keras_attn.layers.masked_lm_head import MaskedLMHead
from keras_attn.layers.masked_lm_mask_generator import MaskedLMMaskGenerator
from keras_attn.layers.positions.alibi_bias import AlibiBias
from keras_attn.layers.positions.position_embedding import PositionEmbedding, TokenAndPositionEmbedding
from keras_attn.layers.positions.relative_position_bias import RelativePositionBias
from keras_attn.layers.positions.rotary_embedding import RotaryEmbedding
from keras_attn.layers.positions.sine_position_encoding import SinePositionEncoding, sine_table
from keras_attn.layers.transformer.gated_feed_forward import GatedFeedForward
from keras_attn.layers.transformer.relative_transformer_decoder import RelativeTransformerDecoder
from keras_attn.layers.transformer.relative_transformer_encoder import RelativeTransformerEncoder
from keras_attn.layers.transformer.rotary_transformer_encoder import RotaryTransformerEncoder
from keras_attn.layers.transformer.transformer_decoder import TransformerDecoder
from keras_attn.layers.transformer.transformer_encoder import TransformerEncoder

__all__ = [
    "AlibiBias",
    "BahdanauAttention",
    "BigBirdAttention",
    "CachedMultiHeadAttention",
    "DisentangledAttention",
    "Dropout",
    "GatedFeedForward",
    "MaskedLMHead",
    "MaskedLMMaskGenerator",
    "MultiHeadAttention",
    "PositionEmbedding",
    "RelativePositionBias",
    "RelativeTransformerDecoder",
    "RelativeTransformerEncoder",
    "RotaryAttention",
    "RotaryEmbedding",
    "RotaryTransformerEncoder",
    "SinePositionEncoding",
    "TokenAndPositionEmbedding",
    "TransformerDecoder",
    "TransformerEncoder",
    "additive_scores",
    "attention_kernel",
    "dot_product_attention",
    "filled_slots",
    "sine_table",
    "step_attention",
]


def __dir__() -> list[str]:
    return sorted(__all__)
