"""The Transformer's inference graphs.

`encode_S` reads the source and projects every decoder layer's cross-attention keys and values once.
`step_S_R` decodes one token for R rows that share one cache: slot t*R+r holds what row r wrote at time t,
and `self_bias` says which slots are a row's own past, so that beams never move in memory. The step returns
the new key and value rows only; the host writes them into the cache in place.

Query, key and value are one matrix product, 1/sqrt(dh) is folded into the query's weights, and attention to
the cache and to the current token is computed apart, so that no cache is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    layer_norm,
    linear,
    log_probabilities,
    lookup,
)

_ACTIVATIONS = {
    "relu": tf.nn.relu,
    "swish": tf.nn.silu,
    "silu": tf.nn.silu,
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
}
_KNOWN = {
    "hidden_dim": None,
    "intermediate_dim": None,
    "num_heads": None,
    "num_encoder_layers": None,
    "num_decoder_layers": None,
    "max_sequence_length": None,
    "dropout": None,
    "attention_dropout": None,
    "activation": tuple(_ACTIVATIONS),
    "normalize_first": (True, False),
    "position_encoding": ("sine", "sine-halves", "learned"),
    "scale_embedding": (True, False),
    "share_embeddings": (True, False),
    "tie_output": (True, False),
    "output_bias": (True, False),
    "layer_norm_epsilon": None,
}


def lower(
    config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], rows: Sequence[int]
) -> dict[str, Signature]:
    """Build `encode_S` and `step_S_R` for each bucket and number of rows.

    Raises:
        ValueError: for a configuration this lowering does not know.
    """
    check_config(config, _KNOWN)
    longest = max(max(bucket.source, bucket.target) for bucket in buckets)
    model = _Transformer(config, weights, longest)
    signatures = {}
    for bucket in buckets:
        signatures[bucket.encode] = model.encode(bucket.source)
        for count in rows:
            signatures[bucket.step(count)] = model.step(bucket, count)
    return signatures


def sine_positions(length: int, depth: int, halves: bool) -> np.ndarray:
    """Tabulate the sinusoids (Vaswani et al., 2017, 3.5): (length, depth), sines first if `halves`."""
    angles = np.arange(length)[:, None] / 10000.0 ** (2 * np.arange((depth + 1) // 2) / depth)
    sines, cosines = np.sin(angles), np.cos(angles[:, : depth // 2])
    table = np.zeros((length, depth), np.float32)
    split = (depth + 1) // 2
    table[:, slice(0, split) if halves else slice(0, None, 2)] = sines
    table[:, slice(split, None) if halves else slice(1, None, 2)] = cosines
    return table


@dataclass
class _Transformer:
    config: Mapping[str, Any]
    weights: Weights
    longest: int

    @property
    def heads(self) -> int:
        return self.config["num_heads"]

    @property
    def head_dim(self) -> int:
        return self.config["hidden_dim"] // self.heads

    def encode(self, length: int) -> Signature:
        """Build token_ids, source_mask (1, S) -> source_bias (1, S), cross keys and values (H, S, dh)."""

        def function(token_ids: Any, source_mask: Any) -> dict[str, Any]:
            bias = additive_mask(source_mask)  # (1, S)
            x = self._embed(self._source_table, tf.reshape(token_ids, [length]))
            x = x + self._positions("encoder_position")[:length]  # (S, D)
            for i in range(self.config["num_encoder_layers"]):
                x = self._encoder_layer(x, bias, f"encoder_layer_{i}")
            x = self._final_norm(x, "encoder_norm")
            outputs = {"source_bias": bias}
            for i in range(self.config["num_decoder_layers"]):
                path = f"decoder_layer_{i}/cross_attention"
                keys, values = self._project(x, path, ("key", "value"))
                outputs[f"cross_key_{i:02d}"] = self._split_heads(keys)  # (H, S, dh)
                outputs[f"cross_value_{i:02d}"] = self._split_heads(values)
            return outputs

        return Signature(
            function, {"token_ids": ((1, length), tf.int32), "source_mask": ((1, length), tf.float32)}
        )

    def step(self, bucket: Bucket, rows: int) -> Signature:
        """Build tokens (R,), position (1,), self_bias (R, R*T), memory, caches -> scores (R, V), rows."""
        slots, layers = rows * bucket.target, self.config["num_decoder_layers"]
        cross, cache = (self.heads, bucket.source, self.head_dim), (self.heads, slots, self.head_dim)
        inputs: dict[str, tuple[Sequence[int], Any]] = {
            "tokens": ((rows,), tf.int32),
            "position": ((1,), tf.int32),
            "self_bias": ((rows, slots), tf.float32),
            "source_bias": ((1, bucket.source), tf.float32),
        }
        for i in range(layers):
            inputs[f"cross_key_{i:02d}"] = inputs[f"cross_value_{i:02d}"] = (cross, tf.float32)
            inputs[f"key_cache_{i:02d}"] = inputs[f"value_cache_{i:02d}"] = (cache, tf.float32)

        def function(
            tokens: Any, position: Any, self_bias: Any, source_bias: Any, **memory: Any
        ) -> dict[str, Any]:
            x = self._embed(self._target_table, tokens)
            x = x + tf.gather(self._positions("decoder_position"), position)  # (R, D) + (1, D)
            outputs: dict[str, Any] = {}
            alignment: Any = None
            for i in range(layers):
                state = {name: memory[f"{name}_{i:02d}"] for name in _STEP_MEMORY}
                x, key, value, alignment = self._decoder_layer(
                    x, self_bias, source_bias, state, f"decoder_layer_{i}"
                )
                outputs[f"key_row_{i:02d}"], outputs[f"value_row_{i:02d}"] = key, value  # (H, R, dh)
            x = self._final_norm(x, "decoder_norm")
            outputs["scores"] = log_probabilities(self.weights, x, *self._output_layer)
            outputs["alignment"] = tf.reshape(tf.reduce_mean(alignment, 0), [rows, bucket.source])
            return outputs

        return Signature(function, inputs)

    @property
    def _target_table(self) -> np.ndarray:
        return self.weights["token_embedding/embeddings"]

    @property
    def _source_table(self) -> np.ndarray:
        shared = self.config["share_embeddings"]
        return self._target_table if shared else self.weights["source_embedding/embeddings"]

    @property
    def _output_layer(self) -> tuple[np.ndarray, np.ndarray | None]:
        matrix = self._target_table if self.config["tie_output"] else self.weights["output_matrix"]
        return matrix, self.weights["final_logits_bias"] if self.config["output_bias"] else None

    def _positions(self, name: str) -> Any:
        # One table for all buckets, long enough for the largest.
        if self.config["position_encoding"] == "learned":
            return self.weights.constant(self.weights[f"{name}/embeddings"][: self.longest])
        halves = self.config["position_encoding"] == "sine-halves"
        return self.weights.constant(sine_positions(self.longest, self.config["hidden_dim"], halves))

    def _embed(self, table: np.ndarray, ids: Any) -> Any:
        x = lookup(self.weights.constant(table), ids)  # (N, D)
        return x * np.float32(self.config["hidden_dim"] ** 0.5) if self.config["scale_embedding"] else x

    def _norm(self, x: Any, path: str) -> Any:
        return layer_norm(self.weights, x, path, self.config["layer_norm_epsilon"])

    def _final_norm(self, x: Any, path: str) -> Any:
        return self._norm(x, path) if self.config["normalize_first"] else x

    def _residual(self, x: Any, sublayer: Any, norm: str) -> tuple[Any, Any]:
        """Add `sublayer(x)` to x, normalizing before or after; the sublayer returns (output, extra)."""
        first = self.config["normalize_first"]
        added, extra = sublayer(self._norm(x, norm) if first else x)
        return (x + added if first else self._norm(x + added, norm)), extra

    def _project(self, x: Any, path: str, parts: Sequence[str]) -> list[Any]:
        """Project (N, D) to queries, keys and values (N, D) in one product; queries come scaled."""
        depth = self.config["hidden_dim"]
        kernels, biases = [], []
        for part in parts:
            scale = self.head_dim**-0.5 if part == "query" else 1.0
            kernels.append(self.weights[f"{path}/{part}/kernel"].reshape(depth, depth) * scale)
            biases.append(self.weights[f"{path}/{part}/bias"].reshape(depth) * scale)
        y = linear(self.weights, x, np.concatenate(kernels, 1), np.concatenate(biases))
        return [y] if len(parts) == 1 else tf.split(y, len(parts), -1)

    def _split_heads(self, x: Any) -> Any:
        """(N, D) -> (H, N, dh)."""
        count = x.shape[0]
        if count == 1:
            return tf.reshape(x, [self.heads, 1, self.head_dim])
        return tf.transpose(tf.reshape(x, [count, self.heads, self.head_dim]), [1, 0, 2])

    def _merge_heads(self, x: Any, path: str) -> Any:
        """Project attention outputs (H, N, dh) back to (N, D)."""
        count, depth = x.shape[1], self.config["hidden_dim"]
        x = x if count == 1 else tf.transpose(x, [1, 0, 2])
        kernel = self.weights[f"{path}/attention_output/kernel"].reshape(depth, depth)
        return linear(
            self.weights, tf.reshape(x, [count, depth]), kernel, self.weights[f"{path}/attention_output/bias"]
        )

    def _feed_forward(self, x: Any, path: str) -> tuple[Any, None]:
        def dense(x: Any, name: str) -> Any:
            kernel, bias = (self.weights[f"{path}/feedforward_{name}/{part}"] for part in ("kernel", "bias"))
            return linear(self.weights, x, kernel, bias)

        hidden = _ACTIVATIONS[self.config["activation"]](dense(x, "intermediate_dense"))
        return dense(hidden, "output_dense"), None

    def _encoder_layer(self, x: Any, bias: Any, path: str) -> Any:
        def attend(x: Any) -> tuple[Any, None]:
            projected = self._project(x, f"{path}/self_attention_layer", ("query", "key", "value"))
            query, key, value = (self._split_heads(part) for part in projected)  # (H, S, dh)
            attended, _ = attention(query, key, value, bias)
            return self._merge_heads(attended, f"{path}/self_attention_layer"), None

        x, _ = self._residual(x, attend, f"{path}/self_attention_layer_norm")
        return self._residual(x, lambda x: self._feed_forward(x, path), f"{path}/feedforward_layer_norm")[0]

    def _decoder_layer(
        self, x: Any, self_bias: Any, source_bias: Any, state: Mapping[str, Any], path: str
    ) -> tuple[Any, Any, Any, Any]:
        """Return x (R, D), the new key and value rows (H, R, dh), and the shares of the source (H, R, S)."""

        def attend_to_past(x: Any) -> tuple[Any, tuple[Any, Any]]:
            projected = self._project(x, f"{path}/self_attention", ("query", "key", "value"))
            query, key, value = (self._split_heads(part) for part in projected)  # (H, R, dh)
            attended = attention_with_cache(
                query, key, value, state["key_cache"], state["value_cache"], self_bias
            )
            return self._merge_heads(attended, f"{path}/self_attention"), (key, value)

        def attend_to_source(x: Any) -> tuple[Any, Any]:
            (query,) = self._project(x, f"{path}/cross_attention", ("query",))
            attended, shares = attention(
                self._split_heads(query), state["cross_key"], state["cross_value"], source_bias
            )
            return self._merge_heads(attended, f"{path}/cross_attention"), shares

        x, (key, value) = self._residual(x, attend_to_past, f"{path}/self_attention_layer_norm")
        x, shares = self._residual(x, attend_to_source, f"{path}/cross_attention_layer_norm")
        x, _ = self._residual(x, lambda x: self._feed_forward(x, path), f"{path}/feedforward_layer_norm")
        return x, key, value, shares


_STEP_MEMORY = ("cross_key", "cross_value", "key_cache", "value_cache")


def _compare(query: Any, key: Any) -> Any:
    """Score queries (H, N, dh) against keys (H, S, dh): (H, N, S)."""
    if query.shape[1] == 1:
        # For one query a product and a sum cost less than a matrix product's set-up.
        return tf.reshape(tf.reduce_sum(query * key, -1), [key.shape[0], 1, key.shape[1]])
    return tf.matmul(query, key, transpose_b=True)


def _mix(shares: Any, value: Any) -> Any:
    """Sum values (H, S, dh) by shares (H, N, S): (H, N, dh)."""
    if shares.shape[1] == 1:
        column = tf.reshape(shares, [value.shape[0], value.shape[1], 1])
        return tf.reduce_sum(column * value, 1, keepdims=True)
    return tf.matmul(shares, value)


def attention(query: Any, key: Any, value: Any, bias: Any) -> tuple[Any, Any]:
    """Attend with scaled queries (H, N, dh) to (H, S, dh): outputs (H, N, dh) and shares (H, N, S)."""
    shares = tf.nn.softmax(_compare(query, key) + bias)
    return _mix(shares, value), shares


def attention_with_cache(query: Any, key: Any, value: Any, keys: Any, values: Any, bias: Any) -> Any:
    """Attend from each row to its past in the cache (H, R*T, dh) and to itself: (H, R, dh)."""
    past = _compare(query, keys) + bias  # (H, R, R*T)
    present = tf.reduce_sum(query * key, -1, keepdims=True)  # (H, R, 1)
    shares = tf.nn.softmax(tf.concat([past, present], -1))
    past, present = tf.split(shares, [keys.shape[1], 1], -1)
    return _mix(past, values) + present * value
