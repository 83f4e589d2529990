"""The inference graphs of BERT and its family, and of GPT-2 as an encoder: a signature for each length.

`encode_T` takes token_ids and padding_mask (1, T), and returns the task's output: `scores` of the labels,
`embedding`, or `scores` of the words for the mask at `position`. `heads_T`, with the option `heads`, also
returns every head's attention. A classifier of `pairs` also takes segment_ids (1, T); other texts are single,
so that the vectors of segment 0 are added to the positions'. A last layer of which one row is needed computes
only that row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn.errors import ArgumentError
from keras_attn_export.buckets import Bucket
from keras_attn_export.lowering.base import (
    Signature,
    Weights,
    additive_mask,
    check_config,
    linear,
    log_probabilities,
    lookup,
    positions_of,
)
from keras_attn_export.lowering.bigbird import pattern_for
from keras_attn_export.lowering.gpt2_blocks import GPT2, GPT2Blocks
from keras_attn_export.lowering.transformer_blocks import ACTIVATIONS, Blocks

_BERT = {
    **dict.fromkeys(("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "max_sequence_length")),
    **dict.fromkeys(("dropout", "attention_dropout", "num_segments", "pooler", "layer_norm_epsilon")),
    "activation": tuple(ACTIVATIONS),
    "embedding_dim": (None,),
    "position_offset": (0,),
}
_BIGBIRD = {**_BERT, **dict.fromkeys(("block_size", "num_random_blocks", "scale_embedding"))}
_BACKBONES = {"Bert": _BERT, "BigBird": _BIGBIRD, "GPT2": GPT2}
_POOLER = "pooler_dense"

Chosen = Callable[[Any], Any] | None
"""Picks rows, (N, ...) -> (M, ...); `None` for all."""
Chooser = Callable[[Any, Any], Chosen]
"""Returns a `Chosen` for a mask (1, T) and the input `position`, if there is one."""


def lower_classifier(
    config: Mapping[str, Any],
    weights: Weights,
    buckets: Sequence[Bucket],
    heads: bool = False,
    pairs: bool = False,
) -> dict[str, Signature]:
    """Build a `TextClassifier`'s signatures: token_ids, padding_mask (and segment_ids) -> scores (1, C).

    Raises:
        ArgumentError: for a configuration this lowering does not know.
    """
    known = {
        **dict.fromkeys(("labels", "pooling", "hidden_activation", "dropout", "use_bias")),
        **{"hidden_use_bias": (True,), "hidden_norm": (False,), "multi_label": (False,)},
    }
    encoder = _encoder(config, weights, buckets, known)
    pooling = config["pooling"]
    if pooling != "pooled":
        weights.ignore(_POOLER)

    def finish(x: Any, mask: Any) -> dict[str, Any]:
        x = tf.nn.tanh(encoder.dense(x, _POOLER)) if pooling == "pooled" else _pool(x, mask, pooling)
        if config["hidden_activation"] is not None:
            x = ACTIVATIONS[config["hidden_activation"]](encoder.dense(x, "hidden_dense"))
        bias = weights["output_dense/bias"] if config["use_bias"] else None
        return {"scores": tf.nn.log_softmax(linear(weights, x, weights["output_dense/kernel"], bias))}

    return encoder.signatures(finish, _chooser(pooling), heads, pairs)


def lower_embedder(
    config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], heads: bool = False
) -> dict[str, Signature]:
    """Build a `TextEmbedder`'s signatures: token_ids, padding_mask -> embedding (1, D)."""
    # Prompts are part of the texts, and a similarity compares the outputs.
    outside = ("prompts", "default_prompt", "similarity")
    known = {**dict.fromkeys(("pooling", "normalize", "dimensions", *outside)), "dense": ([],)}
    encoder = _encoder(config, weights, buckets, known)
    weights.ignore(_POOLER)

    def finish(x: Any, mask: Any) -> dict[str, Any]:
        x = _pool(x, mask, config["pooling"])  # (1, D)
        if config["normalize"]:
            x = x * tf.math.rsqrt(tf.maximum(tf.reduce_sum(x * x, -1, keepdims=True), 1e-24))
        return {"embedding": x[:, : config["dimensions"]]}

    return encoder.signatures(finish, _chooser(config["pooling"]), heads)


def lower_masked_lm(
    config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], heads: bool = False
) -> dict[str, Signature]:
    """Build a `MaskedLM`'s signatures: token_ids, padding_mask, position (1,) -> scores (1, V)."""
    known = {
        "tie_output": None,
        "next_sentence": None,
        "hidden_activation": (None,),
        "hidden_use_bias": (True,),
    }
    encoder = _encoder(config, weights, buckets, known)
    for path in (_POOLER, "next_sentence_dense"):
        weights.ignore(path)

    def finish(x: Any, mask: Any) -> dict[str, Any]:
        del mask
        x = ACTIVATIONS[encoder.config["activation"]](encoder.dense(x, "head/intermediate_dense"))
        # The layer's own epsilon, which is BERT's here.
        x = encoder.norm(x, "head/intermediate_layer_norm")
        tied = config["tie_output"]
        matrix = weights["token_embedding/embeddings"] if tied else weights["head/output_kernel"].T
        return {"scores": log_probabilities(weights, x, matrix, weights["head/output_bias"])}

    return encoder.signatures(finish, _at_position, heads, at_position=True)


def _encoder(
    config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], known: Mapping[str, Any]
) -> _Encoder:
    """Check the configuration of a task and of its backbone; return the backbone's graph.

    Raises:
        ArgumentError: for a configuration this lowering does not know.
    """
    check_config(config, {"backbone": None, **known})
    backbone = config["backbone"]
    kind = backbone["class_name"]
    if kind not in _BACKBONES:
        raise ArgumentError(f"a backbone {kind} cannot be lowered (supported: {', '.join(_BACKBONES)})")
    check_config(backbone["config"], _BACKBONES[kind])
    if kind == "GPT2":
        encoder = _CausalEncoder({**backbone["config"], "normalize_first": True}, weights, list(buckets))
    else:
        encoder = _Encoder(backbone["config"], weights, list(buckets))
    encoder.calibrate()
    return encoder


def _chooser(pooling: str) -> Chooser | None:
    """Return the chooser of the last layer's row that is pooled; `None` if all are."""
    return {"pooled": _first, "cls": _first, "last": _last}.get(pooling)


def _first(mask: Any, position: Any) -> Chosen:
    del mask, position
    return lambda x: x[:1]


def _last(mask: Any, position: Any) -> Chosen:
    del position
    last = tf.cast(tf.reduce_sum(mask, -1), tf.int32) - 1  # (1,), as padding is at the end
    return lambda x: tf.gather(x, last)


def _at_position(mask: Any, position: Any) -> Chosen:
    del mask
    return lambda x: tf.gather(x, position)


def _pool(x: Any, mask: Any, pooling: str) -> Any:
    """Pool (T, D), or the row that was chosen, to one vector (1, D), by a mask (1, T) of ones and zeros."""
    if pooling in ("cls", "last"):
        return x
    if pooling == "max":
        # Transposed last: the converter swaps the operands of 1 - mask when it moves a transposition over it.
        return tf.reduce_max(x + tf.transpose(additive_mask(mask)), 0, keepdims=True)
    number = tf.maximum(tf.reduce_sum(mask, -1, keepdims=True), 1e-9)  # (1, 1)
    total = tf.reduce_sum(x * tf.transpose(mask), 0, keepdims=True)
    return total / (number if pooling == "mean" else tf.sqrt(number))


@dataclass
class _Encoder(Blocks):
    buckets: list[Bucket]

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(bucket.source for bucket in self.buckets)

    def calibrate(self, texts: int = 8, tokens: int = 4096, seed: int = 0) -> None:
        """Measure the amplitudes of channels with random texts, of at most about `tokens` tokens in all.

        Which channels are large depends on the weights: random words find them as well as real texts.
        """
        twin = dataclasses.replace(self, weights=self.weights.without_constants(), calibrating=True)
        rng = np.random.default_rng(seed)
        length = self.buckets[0].source
        vocabulary_size = len(self.weights["token_embedding/embeddings"])
        for _ in range(min(texts, max(1, tokens // length))):
            ids = tf.constant(rng.integers(0, vocabulary_size, length), tf.int32)
            twin.run(ids, tf.ones((1, length)), None)

    def signatures(
        self,
        finish: Callable[[Any, Any], dict[str, Any]],
        chooser: Chooser | None,
        heads: bool,
        pairs: bool = False,
        at_position: bool = False,
    ) -> dict[str, Signature]:
        """Build `encode_T` for each length, and `heads_T` if `heads`.

        Args:
            finish: from outputs (M, D) and mask (1, T) to the task's outputs.
            chooser: picks the rows of the last layer that `finish` needs; `None` for all.
            heads: whether to export the attention of all heads as well.
            pairs: whether there is an input `segment_ids`.
            at_position: whether there is an input `position`.
        """
        built = {}
        for bucket in self.buckets:
            shape = (1, bucket.source)
            inputs: dict[str, tuple[Sequence[int], Any]] = {
                "token_ids": (shape, tf.int32),
                "padding_mask": (shape, tf.float32),
                **({"segment_ids": (shape, tf.int32)} if pairs else {}),
                **({"position": ((1,), tf.int32)} if at_position else {}),
            }
            built[bucket.encode] = Signature(self._function(finish, chooser, heads=False), inputs)
            if heads:
                built[bucket.heads] = Signature(self._function(finish, chooser, heads=True), inputs)
        return built

    def _function(self, finish: Any, chooser: Chooser | None, heads: bool) -> Callable[..., dict[str, Any]]:
        def function(
            token_ids: Any, padding_mask: Any, position: Any = None, segment_ids: Any = None
        ) -> dict[str, Any]:
            pick = chooser and chooser(padding_mask, position)
            ids, segments = (each if each is None else each[0] for each in (token_ids, segment_ids))
            # With heads, every row of every layer is needed.
            x, attention_weights = self.run(ids, padding_mask, None if heads else pick, segments)
            outputs = finish(pick(x) if heads and pick else x, padding_mask)
            return {**outputs, "attention": tf.stack(attention_weights)} if heads else outputs

        return function

    def run(self, ids: Any, padding_mask: Any, chosen: Chosen, segments: Any = None) -> tuple[Any, list[Any]]:
        """Encode ids (T,): the last layer's rows, (T, D) or the chosen ones, and attention weights (H, T, T)
        by layer.

        Segments (T,) are all 0 by default. Where BigBird is sparse there are no weights.
        """
        bias, attention_weights = additive_mask(padding_mask), []
        x = self._embed(ids, segments)  # (T, D)
        pattern = pattern_for(self.config, ids.shape[0])
        last = self.config["num_layers"] - 1
        for i in range(last + 1):
            path, pick = f"encoder_layer_{i}", chosen if i == last else None
            if pattern is None:
                x, weights = self.encoder_layer(x, bias, path, pick)
            elif pick is None:
                x, weights = self.encoder_layer(x, bias, path, attend=pattern.attend)
            else:
                x, weights = self.encoder_layer(x, pattern.bias_of(pick, bias), path, pick)
            attention_weights.append(weights)  # (H, T, T)
        return x, attention_weights

    def _embed(self, ids: Any, segments: Any) -> Any:
        """Embed ids (T,) with positions and segments, by default 0: (T, D)."""
        table = self.weights["token_embedding/embeddings"]
        x = lookup(self.weights.constant(table), ids)
        if self.config.get("scale_embedding"):
            x = x * float(self.config["hidden_dim"] ** 0.5)
        added = self.weights["position_embedding/embeddings"][: self.longest]
        if segments is not None:
            x = x + lookup(self.weights.constant(self.weights["segment_embedding/embeddings"]), segments)
        elif self.config["num_segments"]:
            added = added + self.weights["segment_embedding/embeddings"][0]
        positions = tf.gather(self.weights.constant(added), positions_of(ids))  # one table for all lengths
        return self.norm(x + positions, "embedding_norm")


@dataclass
class _CausalEncoder(_Encoder, GPT2Blocks):
    def run(self, ids: Any, padding_mask: Any, chosen: Chosen, segments: Any = None) -> tuple[Any, list[Any]]:
        """Encode ids (T,); each position sees those before it: see `_Encoder.run`."""
        del segments
        x, attention_weights, seen = self.embed(ids, positions_of(ids)), [], self.seen(padding_mask)
        last = self.config["num_layers"] - 1
        for i in range(last + 1):
            pick, bias = chosen if i == last else None, seen(i)
            bias = bias if pick is None else pick(bias)
            name = f"decoder_layer_{i}"
            x, weights = self.encoder_layer(x, bias, name, pick, attention_name="self_attention")
            attention_weights.append(weights)  # (H, T, T)
        return self.norm(x, "layer_norm"), attention_weights
