"""GPT-2's inference graphs.

`encode_S` reads a prompt, all but its last token, and returns every layer's keys and values. `step_S_R` feeds
one token to R rows: each attends to the prompt, which they share and which never changes, to its own past in
a cache like the Transformer's (see `lowering.transformer`), and to itself. Prompts are padded at their end,
where earlier positions do not see it. `heads_S`, with the option `heads`, returns all heads' attention.
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
    MASKED,
    Signature,
    Weights,
    additive_mask,
    check_config,
    lookup,
    next_token,
    positions_of,
)
from keras_attn_export.lowering.transformer_blocks import ACTIVATIONS, Blocks, attend_to_memories, attention

# The arguments of a backbone `GPT2`.
_GPT2 = {
    **dict.fromkeys(("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "max_sequence_length")),
    **dict.fromkeys(("dropout", "attention_dropout", "local_window", "layer_norm_epsilon")),
    "activation": tuple(ACTIVATIONS),
}


def lower_causal_lm(
    config: Mapping[str, Any],
    weights: Weights,
    buckets: Sequence[Bucket],
    rows: Sequence[int],
    heads: bool = False,
) -> dict[str, Signature]:
    """Build `encode_S` and `step_S_R` of a `CausalLM` for each bucket and number of rows.

    With `heads` also `heads_S`: token_ids, source_mask (1, S) -> attention (L, H, S, S).

    Raises:
        ArgumentError: for a configuration this lowering does not know.
    """
    check_config(config, {"backbone": None, "tie_output": (True, False)})
    backbone = config["backbone"]
    if backbone["class_name"] != "GPT2":
        raise ArgumentError(f"a backbone {backbone['class_name']} cannot be lowered (supported: GPT2)")
    check_config(backbone["config"], _GPT2)
    settings = {**backbone["config"], "normalize_first": True}
    model = _LanguageModel(settings, weights, list(buckets), bool(config["tie_output"]))
    model.calibrate()
    signatures = {}
    for bucket in buckets:
        signatures[bucket.encode] = model.encode(bucket.source)
        for count in rows:
            for target in bucket.targets:
                signatures[bucket.step(count, target)] = model.step(bucket.source, target, count)
        if heads:
            signatures[bucket.heads] = model.attention(bucket.source)
    return signatures


@dataclass
class _LanguageModel(Blocks):
    buckets: list[Bucket]
    tied: bool

    @property
    def table(self) -> np.ndarray:
        """Word vectors (V, D)."""
        return self.weights["token_embedding/embeddings"]

    @property
    def longest(self) -> int:
        """Positions of the longest text that a signature can hold."""
        return max(bucket.source + bucket.target for bucket in self.buckets)

    def embed(self, ids: Any, positions: Any) -> Any:
        """Embed ids (N,) at positions (N,) or (1,): (N, D)."""
        table = self.weights["position_embedding/embeddings"][: self.longest]  # one table for all
        words = lookup(self.weights.table(self.table), ids)
        return words + tf.gather(self.weights.constant(table), positions)

    def window(self, layer: int) -> int | None:
        """Return how many tokens a layer's positions see, their own counted; `None` for all."""
        return self.config["local_window"] if layer % 2 else None

    def seen(self, mask: Any) -> Callable[[int], Any]:
        """Return the function from a layer to the bias of its scores, (T, T), for a mask (1, T).

        It is computed from the mask: tables of T times T numbers would be megabytes of each file.
        """
        position = tf.cumsum(mask, axis=1)  # (1, T); padding is at the end
        distance = position - tf.transpose(position)  # positive where a token comes later
        later = additive_mask(mask) + tf.clip_by_value(distance, 0.0, 1.0) * MASKED

        def bias(layer: int) -> Any:
            window = self.window(layer)
            if window is None:
                return later
            return later + tf.clip_by_value(1.0 - window - distance, 0.0, 1.0) * MASKED

        return bias

    def calibrate(self, texts: int = 8, seed: int = 0) -> None:
        """Measure the amplitudes of channels with random texts, as for encoders."""
        twin = dataclasses.replace(self, weights=self.weights.without_constants(), calibrating=True)
        rng = np.random.default_rng(seed)
        length = self.buckets[0].source
        for _ in range(texts):
            twin.read(tf.constant(rng.integers(0, len(self.table), length), tf.int32), tf.ones((1, length)))

    def encode(self, length: int) -> Signature:
        """Build token_ids, source_mask (1, S) -> prompt_bias (1, S), prompt_length (1,), keys and values."""

        def function(token_ids: Any, source_mask: Any) -> dict[str, Any]:
            outputs = {
                "prompt_bias": additive_mask(source_mask),
                "prompt_length": tf.cast(tf.reduce_sum(source_mask, -1), tf.int32),
            }
            memories, _ = self.read(tf.reshape(token_ids, [length]), source_mask)
            for i, (keys, values) in enumerate(memories):
                outputs[f"prompt_key_{i:02d}"] = tf.transpose(keys, [0, 2, 1])  # (H, dh, S)
                outputs[f"prompt_value_{i:02d}"] = tf.transpose(values, [0, 2, 1])
            return outputs

        return Signature(function, _text(length))

    def attention(self, length: int) -> Signature:
        """Build token_ids, source_mask (1, S) -> attention (L, H, S, S)."""

        def function(token_ids: Any, source_mask: Any) -> dict[str, Any]:
            _, attention_weights = self.read(tf.reshape(token_ids, [length]), source_mask)
            return {"attention": tf.stack(attention_weights)}

        return Signature(function, _text(length))

    def read(self, ids: Any, mask: Any) -> tuple[list[tuple[Any, Any]], list[Any]]:
        """Read ids (S,); each position sees those before it.

        Returns:
            Keys and values (H, S, dh), and attention weights (H, S, S), of every layer.
        """
        x = self.embed(ids, positions_of(ids))  # (S, D)
        memories, attention_weights, seen = [], [], self.seen(mask)
        for i in range(self.config["num_layers"]):
            bias = seen(i)

            def attend(x: Any, path: str, bias: Any = bias) -> tuple[Any, tuple[Any, Any, Any]]:
                query, key, value = self._project(x, path)
                attended, weights = attention(query, key, value, bias)
                return self.merge_heads(attended, f"{path}/self_attention"), (key, value, weights)

            x, (keys, values, weights) = self._layer(x, i, attend)
            memories.append((keys, values))
            attention_weights.append(weights)
        return memories, attention_weights

    def step(self, source: int, target: int, rows: int) -> Signature:
        """Build tokens (R,), position (1,), self_bias (R, R*T), prompt, caches -> scores, rows."""
        slots, layers = rows * target, self.config["num_layers"]
        prompt, cache = (self.heads, self.head_dim, source), (self.heads, self.head_dim, slots)
        inputs: dict[str, tuple[Sequence[int], Any]] = {
            "tokens": ((rows,), tf.int32),
            "position": ((1,), tf.int32),
            "self_bias": ((rows, slots), tf.float32),
            "prompt_bias": ((1, source), tf.float32),
            "prompt_length": ((1,), tf.int32),
        }
        for i in range(layers):
            inputs[f"prompt_key_{i:02d}"] = inputs[f"prompt_value_{i:02d}"] = (prompt, tf.float32)
            inputs[f"key_cache_{i:02d}"] = inputs[f"value_cache_{i:02d}"] = (cache, tf.float32)

        def function(
            tokens: Any, position: Any, self_bias: Any, prompt_bias: Any, prompt_length: Any, **memory: Any
        ) -> dict[str, Any]:
            absolute = position + prompt_length  # (1,)
            x = self.embed(tokens, absolute)  # (R, D)
            outputs: dict[str, Any] = {}
            for i in range(layers):
                biases = prompt_bias, self_bias
                if self.window(i):
                    slot_steps = np.repeat(np.arange(target), rows)
                    biases = (
                        prompt_bias + self._too_far(np.arange(source), absolute, i),
                        self_bias + self._too_far(slot_steps, position, i),
                    )
                state = [memory[f"{name}_{i:02d}"] for name in _MEMORY]
                memories = [(*state[:2], biases[0]), (*state[2:], biases[1])]

                def attend(x: Any, path: str, memories: Any = memories) -> tuple[Any, Any]:
                    fused = self.project_fused(x, f"{path}/self_attention", _PARTS)
                    query, key, value = self.step_heads(fused)
                    attended = attend_to_memories(query, key, value, memories)
                    # Keys and values, (R, 2D).
                    return self.merge_heads(attended, f"{path}/self_attention"), fused[:, x.shape[1] :]

                x, outputs[f"row_{i:02d}"] = self._layer(x, i, attend)
            x = self.norm(x, "layer_norm")
            matrix = self.table if self.tied else self.weights["output_matrix"]
            return {**outputs, **next_token(self.weights, x, matrix, None, rows)}

        return Signature(function, inputs)

    def _project(self, x: Any, path: str) -> list[Any]:
        projected = self.project(x, f"{path}/self_attention", _PARTS)
        return [self.split_heads(part) for part in projected]  # (H, N, dh)

    def _layer(self, x: Any, layer: int, attend: Any) -> tuple[Any, Any]:
        """Apply a block to (N, D); return its outputs, and the second result of `attend`."""
        path = f"decoder_layer_{layer}"
        x, memory = self.residual(x, lambda x: attend(x, path), f"{path}/self_attention_layer_norm")
        x, _ = self.residual(x, lambda x: self.feed_forward(x, path), f"{path}/feedforward_layer_norm")
        return x, memory

    def _too_far(self, positions: np.ndarray, current: Any, layer: int) -> Any:
        """Mask the positions (S,) that are a window or more before the current one (1,): (1, S)."""
        first = tf.cast(current, tf.float32) - float(self.window(layer) or 0) + 0.5
        distance = positions[None].astype(np.float32) - first  # at least 0.5 where a position is near enough
        return tf.minimum(distance, 0.0) * np.float32(-2 * MASKED)


def _text(length: int) -> dict[str, tuple[Sequence[int], Any]]:
    return {"token_ids": ((1, length), tf.int32), "source_mask": ((1, length), tf.float32)}


_PARTS = ("query", "key", "value")
_MEMORY = ("prompt_key", "prompt_value", "key_cache", "value_cache")
