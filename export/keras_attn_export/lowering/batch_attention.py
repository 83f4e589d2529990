"""Attention in the steps of a batch: N sentences at different positions, B beams of each.

Row n*B+b of a step is beam b of sentence n. The beams of a sentence share its source and its slots, among
which slot t*B+b holds what beam b wrote at time t; sentences share only weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_attn_export.buckets import BatchSize

Inputs = dict[str, tuple[Sequence[int], Any]]


@dataclass(frozen=True)
class BatchAttention:
    """Attention of the rows of a batch to memories (N, H, M, dh), none of which is copied.

    Attributes:
        batch: its sentences and beams.
        heads: H.
        head_dim: dh.
    """

    batch: BatchSize
    heads: int
    head_dim: int

    @property
    def beams(self) -> int:
        """Beams of a sentence, B."""
        return self.batch.beams

    def inputs(self, source: int, target: int, layers: int) -> Inputs:
        """Return the inputs of a step: tokens, position, biases, and the memories of each layer."""
        sentences, rows, slots = self.batch.sentences, self.batch.rows, self.beams * target
        inputs: Inputs = {
            "tokens": ((rows,), tf.int32),
            "position": ((rows,), tf.int32),
            "self_bias": ((rows, slots), tf.float32),
            "source_bias": ((sentences, source), tf.float32),
        }
        for i in range(layers):
            for name in ("cross_key", "cross_value", "key_cache", "value_cache"):
                length = source if name.startswith("cross") else slots
                inputs[f"{name}_{i:02d}"] = ((sentences, self.heads, length, self.head_dim), tf.float32)
        return inputs

    def split(self, fused: Any) -> list[Any]:
        """Split fused projections (N*B, n*H*dh) into n parts (N, H, B, dh)."""
        sentences, beams = self.batch.sentences, self.beams
        parts = fused.shape[1] // (self.heads * self.head_dim)
        if beams == 1:
            x = tf.reshape(fused, [sentences, parts * self.heads, 1, self.head_dim])
        else:
            x = tf.reshape(fused, [sentences, beams, parts * self.heads, self.head_dim])
            x = tf.transpose(x, [0, 2, 1, 3])
        return [x] if parts == 1 else tf.split(x, parts, 1)

    def merge(self, attended: Any) -> Any:
        """Lay heads side by side: (N, H, B, dh) -> (N*B, H*dh)."""
        x = attended if self.beams == 1 else tf.transpose(attended, [0, 2, 1, 3])
        return tf.reshape(x, [self.batch.rows, self.heads * self.head_dim])

    def to_past(self, query: Any, key: Any, value: Any, memory: Mapping[str, Any], bias: Any) -> Any:
        """Attend to the cache and to itself, (N, H, B, dh), under a bias (N*B, slots) or (N, H, B, slots)."""
        past = self._compare(query, memory["key_cache"]) + self._by_sentence(bias)
        present = tf.reduce_sum(query * key, 3, keepdims=True)  # (N, H, B, 1)
        attention_weights: Any = tf.nn.softmax(tf.concat([past, present], 3))
        slots = past.shape[3]
        return (
            self._mix(attention_weights[..., :slots], memory["value_cache"])
            + attention_weights[..., slots:] * value
        )

    def to_source(self, query: Any, memory: Mapping[str, Any], bias: Any) -> tuple[Any, Any]:
        """Attend to the source under a bias (N, S): outputs (N, H, B, dh) and weights (N, H, B, S)."""
        scores = self._compare(query, memory["cross_key"])
        attention_weights = tf.nn.softmax(scores + tf.reshape(bias, [bias.shape[0], 1, 1, bias.shape[1]]))
        return self._mix(attention_weights, memory["cross_value"]), attention_weights

    def _by_sentence(self, bias: Any) -> Any:
        if len(bias.shape) == 4:
            return bias
        return tf.reshape(bias, [self.batch.sentences, 1, self.beams, bias.shape[1]])

    def _compare(self, query: Any, keys: Any) -> Any:
        """Score queries (N, H, B, dh) against keys (N, H, M, dh): (N, H, B, M)."""
        if self.beams > 1:
            return tf.matmul(query, keys, transpose_b=True)
        # For one query a product and a sum cost less than a matrix product, which repacks the keys.
        return tf.reshape(tf.reduce_sum(query * keys, 3), [*keys.shape[:2], 1, keys.shape[2]])

    def _mix(self, attention_weights: Any, values: Any) -> Any:
        """Sum values (N, H, M, dh) by attention weights (N, H, B, M): (N, H, B, dh)."""
        if self.beams > 1:
            return tf.matmul(attention_weights, values)
        column = tf.reshape(attention_weights, [*values.shape[:3], 1])
        return tf.reduce_sum(column * values, 2, keepdims=True)
