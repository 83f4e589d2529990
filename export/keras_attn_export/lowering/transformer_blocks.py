"""The Transformer blocks of decoders' inference graphs, and of the encoders of translators.

Query, key and value are one matrix product, 1/sqrt(dh) is folded into the query's weights, and attention to
a cache and to the current token is computed separately, so that no cache is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn_export.lowering.base import LARGEST, Weights, layer_norm, linear
from keras_attn_export.tflite.smoothing import channel_scales

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": tf.nn.relu,
    "swish": tf.nn.silu,
    "silu": tf.nn.silu,
    "tanh": tf.nn.tanh,
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "gelu_approximate": lambda x: tf.nn.gelu(x, approximate=True),
}
"""TensorFlow's functions by their names in configurations."""


@dataclass
class Blocks:
    """Blocks over (N, D) rows of one text, read from a model's weights.

    Attributes:
        config: with `num_heads`, `hidden_dim`, `activation`, `layer_norm_epsilon` and, for pre-norm models,
            `normalize_first`.
        weights: the trained arrays.
        amplitudes: by path, the largest value of each channel of a matrix's input, (D,); see `smooth_linear`.
        calibrating: whether `amplitudes` is being measured.
    """

    config: Mapping[str, Any]
    weights: Weights
    amplitudes: dict[str, np.ndarray] = field(default_factory=dict, kw_only=True)
    calibrating: bool = field(default=False, kw_only=True)

    @property
    def heads(self) -> int:
        """Number of heads, H."""
        return self.config["num_heads"]

    @property
    def head_dim(self) -> int:
        """Size of a head, dh."""
        return self.config.get("key_dim") or self.config["hidden_dim"] // self.heads

    @property
    def inner(self) -> int:
        """Size of all heads side by side, H*dh."""
        return self.heads * self.head_dim

    @property
    def query_scale(self) -> float:
        """Factor of the queries."""
        return self.head_dim**-0.5

    def optional(self, path: str) -> np.ndarray | None:
        """Return the array of a variable that not every model has."""
        if path in self.weights:
            return self.weights[path]
        return None

    def norm(self, x: Any, path: str) -> Any:
        """Normalize (N, D)."""
        return layer_norm(self.weights, x, path, self.config["layer_norm_epsilon"])

    def residual(self, x: Any, sublayer: Any, norm: str) -> tuple[Any, Any]:
        """Add `sublayer(x)` to x, normalizing before or after; the sublayer returns (output, extra)."""
        first = self.config.get("normalize_first", False)
        added, extra = sublayer(self.norm(x, norm) if first else x)
        return (x + added if first else self.norm(x + added, norm)), extra

    def dense(self, x: Any, path: str) -> Any:
        """Apply a dense layer: (N, I) to (N, O)."""
        return linear(self.weights, x, self.weights[f"{path}/kernel"], self.optional(f"{path}/bias"), path)

    def smooth_linear(self, x: Any, path: str, kernel: np.ndarray, bias: np.ndarray | None) -> Any:
        """Compute x (N, I) · kernel (I, O) + bias, with large channels scaled down where amplitudes are
        known.

        A few channels of a normalized tensor are far larger than the others, which get only a few of the 256
        steps of int8: see `tflite.smoothing`.
        """
        if self.calibrating:
            largest = np.abs(x.numpy()).max(axis=0)
            self.amplitudes[path] = np.maximum(self.amplitudes.get(path, 0), largest)
        elif path in self.amplitudes:
            scale = channel_scales(self.amplitudes[path], np.abs(kernel).max(1))
            # The minimum changes nothing; without it the converter would fold the scale back into the matrix.
            x = tf.minimum(x * self.weights.constant(1 / scale), LARGEST)
            kernel = kernel * scale[:, None]
        return linear(self.weights, x, kernel, bias, path)

    def project(self, x: Any, path: str, parts: Sequence[str]) -> list[Any]:
        """Project (N, D) to queries, keys and values (N, H*dh) in one product; queries come scaled."""
        y = self.project_fused(x, path, parts)
        return [y] if len(parts) == 1 else tf.split(y, len(parts), -1)

    def project_fused(self, x: Any, path: str, parts: Sequence[str]) -> Any:
        """Project (N, D) to queries, keys and values side by side, (N, n*H*dh); queries come scaled."""
        depth = self.config["hidden_dim"]
        kernels, biases = [], []
        for part in parts:
            scale = self.query_scale if part == "query" else 1.0
            kernels.append(self.weights[f"{path}/{part}/kernel"].reshape(depth, self.inner) * scale)
            bias = self.optional(f"{path}/{part}/bias")
            if bias is not None:
                biases.append(bias.reshape(self.inner) * scale)
        joined = np.concatenate(biases) if biases else None
        return self.smooth_linear(x, path, np.concatenate(kernels, 1), joined)

    def split_heads(self, x: Any) -> Any:
        """Split (N, H*dh) into heads (H, N, dh)."""
        count = x.shape[0]
        if count == 1:
            return tf.reshape(x, [self.heads, 1, self.head_dim])
        return tf.transpose(tf.reshape(x, [count, self.heads, self.head_dim]), [1, 0, 2])

    def step_heads(self, x: Any) -> list[Any]:
        """Split the fused projections (R, n*H*dh) of a step into n parts of heads.

        Each is (H, R, dh), or (H, dh, 1) for one row: as a column it needs no reshape to meet memories.
        """
        rows, parts = x.shape[0], x.shape[1] // self.inner
        if rows == 1:
            x = tf.reshape(x, [parts * self.heads, self.head_dim, 1])
        else:
            x = tf.transpose(tf.reshape(x, [rows, parts * self.heads, self.head_dim]), [1, 0, 2])
        return [x] if parts == 1 else tf.split(x, parts, 0)

    def memory_heads(self, x: Any) -> Any:
        """Lay out keys or values (S, H*dh) as in the memories of steps: (H, dh, S)."""
        return tf.transpose(tf.reshape(x, [x.shape[0], self.heads, self.head_dim]), [1, 2, 0])

    def merge_heads(self, x: Any, path: str) -> Any:
        """Project attention outputs (H, N, dh), or (H, dh, 1), back to (N, D)."""
        return self.attention_output(self.join_heads(x), path)

    def join_heads(self, x: Any) -> Any:
        """Lay heads side by side: (H, N, dh), or (H, dh, 1), to (N, H*dh)."""
        count = 1 if _is_column(x) else x.shape[1]
        x = x if count == 1 else tf.transpose(x, [1, 0, 2])
        return tf.reshape(x, [count, self.inner])

    def attention_output(self, joined: Any, path: str) -> Any:
        """Project the joined heads of an attention, (N, H*dh) to (N, D)."""
        path = f"{path}/attention_output"
        kernel = self.weights[f"{path}/kernel"].reshape(self.inner, self.config["hidden_dim"])
        return linear(self.weights, joined, kernel, self.optional(f"{path}/bias"), path)

    def feed_forward(self, x: Any, path: str) -> tuple[Any, None]:
        """Apply the feed-forward network to (N, D)."""
        first = f"{path}/feedforward_intermediate_dense"
        hidden = self.smooth_linear(x, first, self.weights[f"{first}/kernel"], self.optional(f"{first}/bias"))
        hidden = ACTIVATIONS[self.config["activation"]](hidden)
        return self.dense(hidden, f"{path}/feedforward_output_dense"), None

    def encoder_layer(self, x: Any, bias: Any, path: str) -> Any:
        """Apply an encoder block to x (N, D), with a bias (1, N) or (H, N, N) added to scores: (N, D)."""
        attention_path = f"{path}/self_attention_layer"

        def attend(x: Any) -> tuple[Any, None]:
            projected = self.project(x, attention_path, ("query", "key", "value"))
            query, key, value = (self.split_heads(part) for part in projected)  # (H, N, dh)
            attended, _ = attention(query, key, value, bias)
            return self.merge_heads(attended, attention_path), None

        x, _ = self.residual(x, attend, f"{path}/self_attention_layer_norm")
        x, _ = self.residual(x, lambda x: self.feed_forward(x, path), f"{path}/feedforward_layer_norm")
        return x


def attention(query: Any, key: Any, value: Any, bias: Any) -> tuple[Any, Any]:
    """Attend with scaled queries (H, N, dh) to (H, S, dh): outputs (H, N, dh) and weights (H, N, S)."""
    attention_weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + bias)
    return tf.matmul(attention_weights, value), attention_weights


Memory = tuple[Any, Any, Any]
"""The memory of a step: keys (H, dh, S), values (H, dh, S), and a bias (1 or R, S) that masks."""


def attend_to_memory(query: Any, memory: Memory) -> tuple[Any, Any]:
    """Attend from the rows of a step (see `Blocks.step_heads`): outputs like the query, weights (H, R, S)."""
    keys, values, bias = memory
    attention_weights = tf.nn.softmax(_compare_step(query, keys) + bias)
    return _mix_step(attention_weights, values), attention_weights


def attend_to_memories(query: Any, key: Any, value: Any, memories: Sequence[Memory]) -> Any:
    """Attend from each row of a step to memories and to itself: outputs like the query.

    Args:
        query: of the rows, from `Blocks.step_heads`.
        key: of the rows themselves.
        value: likewise.
        memories: none is copied.
    """
    past = [_compare_step(query, keys) + bias for keys, _, bias in memories]  # (H, R, S) each
    present = tf.reduce_sum(query * key, 1 if _is_column(query) else 2, keepdims=True)  # (H, R, 1)
    attention_weights: Any = tf.nn.softmax(tf.concat([*past, present], -1))
    # Slices: a split into unequal parts would break XNNPACK's graph in two.
    ends = np.cumsum([0, *(keys.shape[2] for keys, _, _ in memories)])
    mixed = attention_weights[..., ends[-1] :] * value
    for (_, values, _), first, end in zip(memories, ends, ends[1:], strict=False):
        mixed = _mix_step(attention_weights[..., first:end], values) + mixed
    return mixed


def _is_column(query: Any) -> bool:
    """Return whether a step has one row, whose heads are columns: (H, dh, 1) instead of (H, 1, dh)."""
    return query.shape[2] == 1


def _compare_step(query: Any, keys: Any) -> Any:
    """Score the rows of a step against keys (H, dh, S): (H, R, S)."""
    if _is_column(query):
        # For one row a product and a sum cost less than a matrix product's set-up.
        return tf.reduce_sum(query * keys, 1, keepdims=True)
    return tf.matmul(query, keys)


def _mix_step(attention_weights: Any, values: Any) -> Any:
    """Sum values (H, dh, S) by attention weights (H, R, S): shaped like the query."""
    if attention_weights.shape[1] == 1:
        return tf.reduce_sum(attention_weights * values, 2, keepdims=True)
    return tf.matmul(attention_weights, values, transpose_b=True)
