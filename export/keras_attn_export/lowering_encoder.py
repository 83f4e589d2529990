"""The inference graphs of BERT and its family, one signature for each length and task.

`run_T` takes token_ids and padding_mask (1, T), and gives what the task is about: `scores` of the labels,
`embedding`, or `scores` of the words behind the mask at `position`. `heads_T`, where it is asked for, gives
every head's attention as well. The texts are single ones, so that the vectors of segment 0 are part of the
positions'; a last layer that is asked for one row computes that row alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn_export.buckets import Bucket
from keras_attn_export.lowering import (
    Signature,
    Weights,
    additive_mask,
    check_config,
    log_probabilities,
    lookup,
)
from keras_attn_export.lowering_bigbird import pattern_for
from keras_attn_export.lowering_blocks import ACTIVATIONS, Blocks

_BERT = {
    **dict.fromkeys(("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "max_sequence_length")),
    **dict.fromkeys(("dropout", "attention_dropout", "num_segments", "pooler", "layer_norm_epsilon")),
    "activation": tuple(ACTIVATIONS),
}
_BIGBIRD = {**_BERT, **dict.fromkeys(("block_size", "num_random_blocks", "scale_embedding"))}
_BACKBONES = {"Bert": _BERT, "BigBird": _BIGBIRD}
_POOLER = "pooler_dense"

Chosen = Callable[[Any], Any] | None


def lower_classifier(
    config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], heads: bool = False
) -> dict[str, Signature]:
    """Build a `TextClassifier`'s signatures: token_ids, padding_mask -> scores (1, C)."""
    encoder = _encoder(config, weights, buckets, {"labels", "pooling", "hidden_activation", "dropout"})
    pooling = config["pooling"]
    if pooling != "pooled":
        weights.leave_out(_POOLER)

    def finish(x: Any, mask: Any) -> dict[str, Any]:
        x = tf.nn.tanh(encoder.dense(x, _POOLER)) if pooling == "pooled" else _pool(x, mask, pooling)
        if config["hidden_activation"] is not None:
            x = ACTIVATIONS[config["hidden_activation"]](encoder.dense(x, "hidden_dense"))
        return {"scores": tf.nn.log_softmax(encoder.dense(x, "output_dense"))}

    chosen = _first if pooling in ("pooled", "cls") else None
    return encoder.signatures(finish, chosen, heads)


def lower_embedder(
    config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], heads: bool = False
) -> dict[str, Signature]:
    """Build a `TextEmbedder`'s signatures: token_ids, padding_mask -> embedding (1, D)."""
    encoder = _encoder(config, weights, buckets, {"pooling", "normalize"})
    weights.leave_out(_POOLER)

    def finish(x: Any, mask: Any) -> dict[str, Any]:
        x = _pool(x, mask, config["pooling"])  # (1, D)
        if config["normalize"]:
            x = x * tf.math.rsqrt(tf.maximum(tf.reduce_sum(x * x, -1, keepdims=True), 1e-24))
        return {"embedding": x}

    return encoder.signatures(finish, _first if config["pooling"] == "cls" else None, heads)


def lower_masked_lm(
    config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], heads: bool = False
) -> dict[str, Signature]:
    """Build a `MaskedLM`'s signatures: token_ids, padding_mask, position (1,) -> scores (1, V)."""
    encoder = _encoder(config, weights, buckets, {"tie_output"})
    weights.leave_out(_POOLER)

    def finish(x: Any, mask: Any) -> dict[str, Any]:
        del mask
        x = ACTIVATIONS[encoder.config["activation"]](encoder.dense(x, "head/intermediate_dense"))
        # The layer's own epsilon, which is BERT's here.
        x = encoder.norm(x, "head/intermediate_layer_norm")
        tied = config["tie_output"]
        matrix = weights["token_embedding/embeddings"] if tied else weights["head/output_kernel"].T
        return {"scores": log_probabilities(weights, x, matrix, weights["head/output_bias"])}

    return encoder.signatures(finish, None, heads, at_position=True)


def _encoder(
    config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], known: set[str]
) -> _Encoder:
    """Check the configuration of a task and of its backbone; give the backbone's graph.

    Raises:
        ValueError: for a configuration this lowering does not know.
    """
    check_config(config, {"backbone": None, **dict.fromkeys(known)})
    backbone = config["backbone"]
    kind = backbone["class_name"]
    if kind not in _BACKBONES:
        raise ValueError(f"a backbone {kind} cannot be lowered (supported: {', '.join(_BACKBONES)})")
    check_config(backbone["config"], _BACKBONES[kind])
    encoder = _Encoder(backbone["config"], weights, list(buckets))
    encoder.calibrate()
    return encoder


def _first(x: Any) -> Any:
    return x[:1]


def _pool(x: Any, mask: Any, pooling: str) -> Any:
    """Make one vector (1, D) of (T, D), by a mask (1, T) of ones and zeros."""
    if pooling == "cls":
        return _first(x)
    if pooling == "max":
        # Transposed last: the converter swaps the operands of 1 - mask when it moves a transposition over it.
        return tf.reduce_max(x + tf.transpose(additive_mask(mask)), 0, keepdims=True)
    number = tf.maximum(tf.reduce_sum(mask, -1, keepdims=True), 1e-9)  # (1, 1)
    total = tf.reduce_sum(x * tf.transpose(mask), 0, keepdims=True)
    return total / (number if pooling == "mean" else tf.sqrt(number))


@dataclass
class _Encoder(Blocks):
    buckets: list[Bucket]

    def calibrate(self, texts: int = 8, tokens: int = 4096, seed: int = 0) -> None:
        """Measure the amplitudes of channels with made-up texts, of about so many tokens at most.

        Which channels are large is a matter of the weights: words at random find them as well as real texts.
        """
        twin = dataclasses.replace(self, weights=self.weights.again(), calibrating=True)
        rng = np.random.default_rng(seed)
        length = self.buckets[0].source
        vocabulary_size = len(self.weights["token_embedding/embeddings"])
        for _ in range(min(texts, max(1, tokens // length))):
            ids = tf.constant(rng.integers(0, vocabulary_size, length), tf.int32)
            twin.run(ids, tf.ones((1, length)), None)

    def signatures(
        self,
        finish: Callable[[Any, Any], dict[str, Any]],
        chosen: Chosen,
        heads: bool,
        at_position: bool = False,
    ) -> dict[str, Signature]:
        """Build `run_T` for each length, and `heads_T` if `heads`.

        Args:
            finish: from outputs (M, D) and mask (1, T) to the task's outputs.
            chosen: picks the rows of the last layer that `finish` needs.
            heads: whether the attention of all heads is to be exported as well.
            at_position: whether the row at an input `position` is chosen.
        """
        built = {}
        for bucket in self.buckets:
            built[bucket.encode] = self._signature(bucket.source, finish, chosen, at_position, heads=False)
            if heads:
                built[bucket.heads] = self._signature(bucket.source, finish, chosen, at_position, heads=True)
        return built

    def _signature(
        self, length: int, finish: Any, chosen: Chosen, at_position: bool, heads: bool
    ) -> Signature:
        def function(token_ids: Any, padding_mask: Any, position: Any = None) -> dict[str, Any]:
            pick = (lambda x: tf.gather(x, position)) if at_position else chosen
            # With heads, every row of every layer is wanted.
            x, shares = self.run(tf.reshape(token_ids, [length]), padding_mask, None if heads else pick)
            outputs = finish(pick(x) if heads and pick else x, padding_mask)
            return {**outputs, "attention": tf.stack(shares)} if heads else outputs

        inputs: dict[str, tuple[Sequence[int], Any]] = {
            "token_ids": ((1, length), tf.int32),
            "padding_mask": ((1, length), tf.float32),
        }
        if at_position:
            inputs["position"] = ((1,), tf.int32)
        return Signature(function, inputs)

    def run(self, ids: Any, padding_mask: Any, chosen: Chosen) -> tuple[Any, list[Any]]:
        """Encode ids (T,): the last layer's rows, (T, D) or what is chosen, and shares (H, T, T) by layer.

        Where BigBird is sparse there are no shares.
        """
        bias, shares = additive_mask(padding_mask), []
        x = self._embed(ids)  # (T, D)
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
            shares.append(weights)  # (H, T, T)
        return x, shares

    def _embed(self, ids: Any) -> Any:
        """Embed ids (T,) with positions and segment 0: (T, D)."""
        table = self.weights["token_embedding/embeddings"]
        x = lookup(self.weights.constant(table), ids)
        if self.config.get("scale_embedding"):
            x = x * float(self.config["hidden_dim"] ** 0.5)
        longest = max(bucket.source for bucket in self.buckets)
        added = self.weights["position_embedding/embeddings"][:longest]
        if self.config["num_segments"]:
            added = added + self.weights["segment_embedding/embeddings"][0]
        # One table for all lengths.
        return self.norm(x + self.weights.constant(added)[: ids.shape[0]], "embedding_norm")
