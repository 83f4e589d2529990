"""Rows of tables for the `Transformer`, whose parts have the same names in all of its families."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_attn.models import Transformer
from keras_attn.pretrained.architectures.layer_tensors import linear, norm
from keras_attn.pretrained.checkpoint import Tensor

PREFIX = "model."
BIAS, HEAD = "final_logits_bias", "lm_head.weight"
SHARED = "model.shared.weight"
SOURCE, TARGET = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
HALVES = ("encoder", "decoder")


def translator_tensors(model: Transformer, shared: str = SHARED, prefix: str = PREFIX) -> Iterator[Tensor]:
    """Yield a model's variables with Hugging Face's names.

    Args:
        model: the model.
        shared: the name of shared embeddings.
        prefix: that of all names but the output's.
    """
    if model.share_embeddings:
        yield Tensor(shared, model.token_embedding.embeddings)
    else:
        yield Tensor(SOURCE, model.source_embedding.embeddings)
        yield Tensor(TARGET, model.token_embedding.embeddings)
    for half in HALVES:
        yield from _around_layers(model, half, f"{prefix}{half}")
    for i, layer in enumerate(model.encoder_layers):
        yield from _self_attention(f"{prefix}encoder.layers.{i}", layer)
        yield from _feedforward(f"{prefix}encoder.layers.{i}", layer)
    for i, layer in enumerate(model.decoder_layers):
        name = f"{prefix}decoder.layers.{i}"
        yield from _self_attention(name, layer)
        yield from _attention(f"{name}.encoder_attn", layer._cross_attention_layer)
        yield from norm(f"{name}.encoder_attn_layer_norm", layer._cross_attention_layer_norm)
        yield from _feedforward(name, layer)
    if not model.tie_output:
        yield Tensor(HEAD, model.output_matrix)
    if model.output_bias:
        yield Tensor(BIAS, model.final_logits_bias, "row")


def are_sines(table: np.ndarray) -> bool:
    """Return whether vectors (N, D) are Marian's sines and cosines, within half precision."""
    depth = np.arange(0, table.shape[-1], 2)
    angles = np.arange(len(table))[:, None] / 10000 ** (depth / table.shape[-1])  # (N, ceil(D / 2))
    sines = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)[:, : table.shape[-1]]
    return bool(np.abs(table - sines).max() < 2**-8)


def are_fairseq_sines(table: np.ndarray, pad_id: int) -> bool:
    """Return whether vectors (N, D) are M2M100's sines and cosines, with zeros for padding."""
    half = table.shape[-1] // 2
    rates = 10000.0 ** (-np.arange(half) / max(1, half - 1))
    angles = np.arange(len(table))[:, None] * rates  # (N, D // 2)
    sines = np.zeros(table.shape)
    sines[:, : 2 * half] = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    sines[pad_id] = 0
    return bool(np.abs(table - sines).max() < 2**-8)


def _around_layers(model: Transformer, half: str, name: str) -> Iterator[Tensor]:
    """Yield what an encoder or a decoder has besides its layers."""
    if model.position_encoding == "learned":
        table = getattr(model, f"{half}_position").position_embeddings
        yield Tensor(f"{name}.embed_positions.weight", table)
    if model.normalize_embedding:
        yield from norm(f"{name}.layernorm_embedding", getattr(model, f"{half}_embedding_norm"))
    if model.normalize_first:
        yield from norm(f"{name}.layer_norm", getattr(model, f"{half}_norm"))


def _self_attention(name: str, layer: Any) -> Iterator[Tensor]:
    yield from _attention(f"{name}.self_attn", layer._self_attention_layer)
    yield from norm(f"{name}.self_attn_layer_norm", layer._self_attention_layer_norm)


def _attention(name: str, layer: Any) -> Iterator[Tensor]:
    yield from linear(f"{name}.q_proj", layer._query_dense, 2)
    yield from linear(f"{name}.k_proj", layer._key_dense, 2)
    yield from linear(f"{name}.v_proj", layer._value_dense, 2)
    yield from linear(f"{name}.out_proj", layer._output_dense)


def _feedforward(name: str, layer: Any) -> Iterator[Tensor]:
    yield from linear(f"{name}.fc1", layer._feedforward_intermediate_dense)
    yield from linear(f"{name}.fc2", layer._feedforward_output_dense)
    yield from norm(f"{name}.final_layer_norm", layer._feedforward_layer_norm)
