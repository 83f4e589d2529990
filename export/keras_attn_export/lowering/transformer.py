"""The Transformer's inference graphs.

`encode_S` reads the source and projects every decoder layer's cross-attention keys and values once.
`step_S_R` decodes one token for R rows that share one cache: slot t*R+r holds what row r wrote at time t,
and `self_bias` masks all slots but a row's own past, so that beams never move in memory. The step returns
only the new keys and values; the host writes them into the cache in place. `batch_S_T_NxB` is the same step
for N sentences with caches of their own (see `lowering.batch_attention`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn_export.buckets import BatchSize, Bucket
from keras_attn_export.lowering.base import (
    Signature,
    Steps,
    Weights,
    additive_mask,
    check_config,
    lookup,
    next_token,
)
from keras_attn_export.lowering.batch_attention import BatchAttention, Inputs
from keras_attn_export.lowering.shortlist import SELECT, candidate_inputs, next_candidate, select
from keras_attn_export.lowering.transformer_blocks import (
    ACTIVATIONS,
    Blocks,
    attend_to_memories,
    attend_to_memory,
)

_KNOWN = {
    "hidden_dim": None,
    "intermediate_dim": None,
    "num_heads": None,
    "num_encoder_layers": None,
    "num_decoder_layers": None,
    "max_sequence_length": None,
    "dropout": None,
    "attention_dropout": None,
    "activation": tuple(ACTIVATIONS),
    "normalize_first": (True, False),
    "position_encoding": ("sine", "sine-halves", "sine-fairseq", "learned"),
    "scale_embedding": (True, False),
    "share_embeddings": (True, False),
    "tie_output": (True, False),
    "output_bias": (True, False),
    "layer_norm_epsilon": None,
    "normalize_embedding": (True, False),
    "position_offset": None,
}


def lower(
    config: Mapping[str, Any],
    weights: Weights,
    buckets: Sequence[Bucket],
    **options: Any,
) -> dict[str, Signature]:
    """Build `encode_S` and `step_S_T_R` for each bucket, and the steps that the options add; see `Steps`.

    Raises:
        ArgumentError: for a configuration this lowering does not know.
    """
    check_config(config, _KNOWN)
    return signatures_of(TransformerGraphs(config, weights, longest_of(buckets)), buckets, Steps(**options))


def longest_of(buckets: Sequence[Bucket]) -> int:
    """Return the most tokens of any source or target."""
    return max(max(bucket.source, bucket.target) for bucket in buckets)


def signatures_of(model: TransformerGraphs, buckets: Sequence[Bucket], steps: Steps) -> dict[str, Signature]:
    """Build the signatures of each bucket."""
    signatures = {}
    for bucket in buckets:
        signatures[bucket.encode] = model.encode(bucket.source)
        for count in steps.rows:
            for target in bucket.targets:
                name = bucket.step(count, target)
                if name in signatures:
                    continue
                attention = _SentenceAttention(model, count)
                signatures[name] = model.step(bucket.step_source, target, attention)
                if steps.shortlist:
                    signatures[bucket.short(count, target)] = model.step(
                        bucket.step_source, target, attention, steps.shortlist
                    )
        for batch in (BatchSize(*sizes) for sizes in steps.batches):
            attention = BatchAttention(batch, model.heads, model.head_dim)
            for target in bucket.batch_targets(batch):
                name = bucket.batch_step(batch, target)
                if name not in signatures:
                    signatures[name] = model.step(bucket.step_source, target, attention)
    if steps.shortlist:
        signatures[SELECT] = select(model.weights, *model.output_layer, steps.shortlist)
    return signatures


def sine_positions(length: int, depth: int, encoding: str) -> np.ndarray:
    """Compute the sinusoids (Vaswani et al., 2017, 3.5) as `SinePositionEncoding` does: (length, depth)."""
    if encoding == "sine-fairseq":
        half = depth // 2
        step = np.float32(-np.log(10000) / max(1, half - 1))
        angles = np.arange(length, dtype=np.float32)[:, None] * np.exp(
            np.arange(half, dtype=np.float32) * step
        )
        table = np.zeros((length, depth), np.float32)
        table[:, : 2 * half] = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        return table
    halves = encoding == "sine-halves"
    angles = np.arange(length)[:, None] / 10000.0 ** (2 * np.arange((depth + 1) // 2) / depth)
    sines, cosines = np.sin(angles), np.cos(angles[:, : depth // 2])
    table = np.zeros((length, depth), np.float32)
    split = (depth + 1) // 2
    table[:, slice(0, split) if halves else slice(0, None, 2)] = sines
    table[:, slice(split, None) if halves else slice(1, None, 2)] = cosines
    return table


@dataclass
class TransformerGraphs(Blocks):
    """The graphs of a model.

    Attributes:
        longest: the most tokens of any signature.
    """

    longest: int

    def encode(self, length: int) -> Signature:
        """Build token_ids, source_mask (1, S) -> source_bias (1, S), cross keys and values (H, dh, S)."""

        def function(token_ids: Any, source_mask: Any) -> dict[str, Any]:
            bias = additive_mask(source_mask)  # (1, S)
            x = self._embed(self._source_table, tf.reshape(token_ids, [length]))
            x = self._add_positions(x, "encoder", slice(length))  # (S, D)
            biases = self.encoder_biases(bias, token_ids)
            for i in range(self.config["num_encoder_layers"]):
                x = self.encoder_layer(x, biases[i], f"encoder_layer_{i}")
            x = self._final_norm(x, "encoder_norm")
            outputs = {"source_bias": bias}
            for i in range(self.config["num_decoder_layers"]):
                path = f"decoder_layer_{i}/cross_attention"
                keys, values = self.project(x, path, ("key", "value"))
                outputs[f"cross_key_{i:02d}"] = self.memory_heads(keys)
                outputs[f"cross_value_{i:02d}"] = self.memory_heads(values)
            return outputs

        return Signature(
            function, {"token_ids": ((1, length), tf.int32), "source_mask": ((1, length), tf.float32)}
        )

    def step(
        self,
        source: int,
        target: int,
        attention: StepAttention,
        shortlist: int = 0,
    ) -> Signature:
        """Build tokens, position, biases, memories and caches -> scores (R, V), rows, alignment (R, S).

        With a `shortlist` the memory also holds the output layer of that many candidates.
        """
        layers = self.config["num_decoder_layers"]
        inputs = attention.inputs(source, target, layers) | self.further_inputs(attention, target)
        if shortlist:
            inputs |= candidate_inputs(self.config["hidden_dim"], shortlist)

        def function(
            tokens: Any, position: Any, self_bias: Any, source_bias: Any, **memory: Any
        ) -> dict[str, Any]:
            x = self._embed(self._target_table, tokens)
            x = self._add_positions(x, "decoder", position)  # (R, D)
            self_biases = self.step_biases(self_bias, position, memory, attention)
            outputs = self.further_outputs(position, attention)
            attention_weights: Any = None
            for i in range(layers):
                state = {name: memory[f"{name}_{i:02d}"] for name in _STEP_MEMORY}
                biases = (self_biases[i], source_bias)
                x, outputs[f"row_{i:02d}"], attention_weights = self._decoder_layer(
                    x, biases, state, f"decoder_layer_{i}", attention
                )
            x = self._final_norm(x, "decoder_norm")
            outputs["alignment"] = tf.reshape(
                tf.reduce_mean(attention_weights, -3), [tokens.shape[0], source]
            )
            if shortlist:
                return {**outputs, **next_candidate(x, memory)}
            return {**outputs, **next_token(self.weights, x, *self.output_layer, attention.beams)}

        return Signature(function, inputs)

    @property
    def _target_table(self) -> np.ndarray:
        return self.weights["token_embedding/embeddings"]

    @property
    def _source_table(self) -> np.ndarray:
        shared = self.config["share_embeddings"]
        return self._target_table if shared else self.weights["source_embedding/embeddings"]

    @property
    def output_layer(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Matrix (V, D) and bias (V,)."""
        matrix = self._target_table if self.config["tie_output"] else self.weights["output_matrix"]
        return matrix, self.weights["final_logits_bias"] if self.config["output_bias"] else None

    def further_inputs(self, attention: StepAttention, target: int) -> Inputs:
        """Return a step's inputs besides those of `attention`."""
        return {}

    def further_outputs(self, position: Any, attention: StepAttention) -> dict[str, Any]:
        """Return what a step writes into `further_inputs`."""
        return {}

    def encoder_biases(self, bias: Any, token_ids: Any) -> list[Any]:
        """Return what each encoder layer adds to scores, from the bias (1, S) that masks."""
        return [bias] * self.config["num_encoder_layers"]

    def step_biases(
        self, self_bias: Any, position: Any, memory: Mapping[str, Any], attention: StepAttention
    ) -> list[Any]:
        """Return what each decoder layer adds to the scores of its past, from the bias that masks."""
        return [self_bias] * self.config["num_decoder_layers"]

    def _add_positions(self, x: Any, half: str, positions: Any) -> Any:
        """Add to (N, D) the vectors of a slice of positions, or of positions (1 or N,)."""
        table = self._positions(f"{half}_position")
        chosen = table[positions] if isinstance(positions, slice) else tf.gather(table, positions)
        return self._embedding_norm(x + chosen, half)

    def _positions(self, name: str) -> Any:
        # One table for all buckets, long enough for the largest.
        encoding, first = self.config["position_encoding"], self.config["position_offset"]
        last = first + self.longest
        if encoding == "learned":
            return self.weights.constant(self.weights[f"{name}/embeddings"][first:last])
        return self.weights.constant(sine_positions(last, self.config["hidden_dim"], encoding)[first:])

    def _embed(self, table: np.ndarray, ids: Any) -> Any:
        x = lookup(self.weights.table(table), ids)  # (N, D)
        return x * np.float32(self.config["hidden_dim"] ** 0.5) if self.config["scale_embedding"] else x

    def _embedding_norm(self, x: Any, half: str) -> Any:
        return self.norm(x, f"{half}_embedding_norm") if self.config["normalize_embedding"] else x

    def _final_norm(self, x: Any, path: str) -> Any:
        return self.norm(x, path) if self.config["normalize_first"] else x

    def _decoder_layer(
        self,
        x: Any,
        biases: tuple[Any, Any],
        state: Mapping[str, Any],
        path: str,
        attention: StepAttention,
    ) -> tuple[Any, Any, Any]:
        """Return x (R, D), the new keys and values (R, 2*H*dh), and the attention weights over the source."""
        self_bias, source_bias = biases

        def attend_to_past(x: Any) -> tuple[Any, Any]:
            fused = self.project_fused(x, f"{path}/self_attention", ("query", "key", "value"))
            query, key, value = attention.split(fused)
            attended = attention.to_past(query, key, value, state, self_bias)
            joined = attention.merge(attended)
            return self.attention_output(joined, f"{path}/self_attention"), fused[:, self.inner :]

        def attend_to_source(x: Any) -> tuple[Any, Any]:
            (query,) = attention.split(self.project_fused(x, f"{path}/cross_attention", ("query",)))
            attended, attention_weights = attention.to_source(query, state, source_bias)
            return self.attention_output(
                attention.merge(attended), f"{path}/cross_attention"
            ), attention_weights

        x, row = self.residual(x, attend_to_past, f"{path}/self_attention_layer_norm")
        x, attention_weights = self.residual(x, attend_to_source, f"{path}/cross_attention_layer_norm")
        x, _ = self.residual(x, lambda x: self.feed_forward(x, path), f"{path}/feedforward_layer_norm")
        return x, row, attention_weights


@dataclass(frozen=True)
class _SentenceAttention:
    """Attention of the rows of one sentence, its beams, which share all memories; see `BatchAttention`."""

    blocks: Blocks
    beams: int

    def inputs(self, source: int, target: int, layers: int) -> Inputs:
        """Return the inputs of a step: tokens, position, biases, and the memories of each layer."""
        heads, size, slots = self.blocks.heads, self.blocks.head_dim, self.beams * target
        inputs: Inputs = {
            "tokens": ((self.beams,), tf.int32),
            "position": ((1,), tf.int32),
            "self_bias": ((self.beams, slots), tf.float32),
            "source_bias": ((1, source), tf.float32),
        }
        for i in range(layers):
            for name in _STEP_MEMORY:
                length = source if name.startswith("cross") else slots
                inputs[f"{name}_{i:02d}"] = ((heads, size, length), tf.float32)
        return inputs

    def split(self, fused: Any) -> list[Any]:
        return self.blocks.step_heads(fused)

    def merge(self, attended: Any) -> Any:
        return self.blocks.join_heads(attended)

    def to_past(self, query: Any, key: Any, value: Any, memory: Mapping[str, Any], bias: Any) -> Any:
        return attend_to_memories(query, key, value, [(memory["key_cache"], memory["value_cache"], bias)])

    def to_source(self, query: Any, memory: Mapping[str, Any], bias: Any) -> tuple[Any, Any]:
        return attend_to_memory(query, (memory["cross_key"], memory["cross_value"], bias))


StepAttention = _SentenceAttention | BatchAttention
"""How the rows of a step attend: those of one sentence, or those of a batch."""
_STEP_MEMORY = ("cross_key", "cross_value", "key_cache", "value_cache")
