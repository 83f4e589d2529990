"""RNNsearch's inference graphs, and those of the fixed-vector baseline.

`encode_S` embeds the source, computes the gates' input terms for all words in one product per direction, and
runs both directions in one loop. `step_S_R` is one step of the decoder for R rows: attention over the
annotations (whose keys were projected once), the gated unit, and the maxout output. Products that do not
depend on each other are fused into one. `batch_S_T_NxB` is the same step for B rows of each of N sentences.
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
    linear,
    lookup,
    next_token,
)
from keras_attn_export.lowering.shortlist import SELECT, candidate_inputs, next_candidate, select

_KNOWN: dict[str, Any] = dict.fromkeys(("embedding_dim", "hidden_dim", "maxout_dim", "dropout"))


def lower_rnnsearch(
    config: Mapping[str, Any],
    weights: Weights,
    buckets: Sequence[Bucket],
    **options: Any,
) -> dict[str, Signature]:
    """Build `encode_S` and `step_S_R` of RNNsearch for each bucket, and the steps that `Steps` adds.

    Raises:
        ArgumentError: for a configuration this lowering does not know.
    """
    check_config(config, {**_KNOWN, "attention_dim": None})
    return _signatures(_Recurrent(config, weights, attends=True), buckets, Steps(**options))


def lower_seq2seq(
    config: Mapping[str, Any],
    weights: Weights,
    buckets: Sequence[Bucket],
    **options: Any,
) -> dict[str, Signature]:
    """Build the same for the RNN encoder-decoder.

    Raises:
        ArgumentError: for a configuration this lowering does not know.
    """
    check_config(config, _KNOWN)
    return _signatures(_Recurrent(config, weights, attends=False), buckets, Steps(**options))


def _signatures(model: _Recurrent, buckets: Sequence[Bucket], steps: Steps) -> dict[str, Signature]:
    signatures = {}
    for bucket in buckets:
        signatures[bucket.encode] = model.encode(bucket.source)
        for count in steps.rows:
            signatures[bucket.step(count)] = model.step(bucket.source, count)
            if steps.shortlist:
                signatures[bucket.short(count)] = model.step(bucket.source, count, steps.shortlist)
        for batch in (BatchSize(*sizes) for sizes in steps.batches):
            signatures[bucket.batch_step(batch, bucket.target)] = model.batch_step(bucket.source, batch)
    if steps.shortlist:
        signatures[SELECT] = select(model.weights, *model.output_layer, steps.shortlist)
    return signatures


@dataclass
class _Recurrent:
    config: Mapping[str, Any]
    weights: Weights
    attends: bool

    @property
    def units(self) -> int:
        return self.config["hidden_dim"]

    def encode(self, length: int) -> Signature:
        """Build token_ids, source_mask (1, S) -> the inputs of the steps that depend on the source."""

        def function(token_ids: Any, source_mask: Any) -> dict[str, Any]:
            words = self._embed("source_embedding", tf.reshape(token_ids, [length]))  # (S, E)
            mask = tf.reshape(source_mask, [length, 1])
            if not self.attends:
                (context,) = self._run(words, mask, ["gru/gru_cell"])[0]  # (1, H)
                return {"context": context, "state": self._initial_state(context)}
            directions = ["encoder/forward_gru/gru_cell", "encoder/backward_gru/gru_cell"]
            (_, last), annotations = self._run(words, mask, directions)
            keys = linear(self.weights, annotations, self.weights["attention/key_kernel"])  # (S, U)
            return {
                "source_bias": additive_mask(source_mask),  # (1, S)
                "annotations": annotations,  # (S, 2H)
                "keys": keys,
                # The backward direction has read the whole source when it reaches the first word.
                "state": self._initial_state(last),  # (1, H)
            }

        return Signature(
            function, {"token_ids": ((1, length), tf.int32), "source_mask": ((1, length), tf.float32)}
        )

    def _embed(self, name: str, ids: Any) -> Any:
        return lookup(self.weights.table(self.weights[f"{name}/embeddings"]), ids)

    def _initial_state(self, last: Any) -> Any:
        kernel, bias = (self.weights[f"initial_state/{name}"] for name in ("kernel", "bias"))
        return tf.tanh(linear(self.weights, last, kernel, bias))

    def _run(self, words: Any, mask: Any, cells: Sequence[str]) -> tuple[list[Any], Any]:
        """Run one or two directions over words (S, E): last states (1, H) each, and all states (S, H or 2H).

        Padding does not change a state, so that padding after the text has no effect.
        """
        length, units = words.shape[0], self.units
        inputs = [
            linear(self.weights, words, self.weights[f"{cell}/kernel"], self.weights[f"{cell}/bias"])
            for cell in cells
        ]  # (S, 3H)
        positions = tf.constant(np.arange(length)[:, None], tf.int32)  # (S, 1)

        def advance(time: Any, *carried: Any) -> list[Any]:
            states, collected = carried[: len(cells)], carried[len(cells) :]
            new_states, new_collected = [], []
            for i, cell in enumerate(cells):
                at = tf.reshape(time if i == 0 else length - 1 - time, [1])
                here = tf.gather(mask, at)  # (1, 1)
                kernel = self.weights[f"{cell}/recurrent_kernel"]
                new = self._gated_unit(tf.gather(inputs[i], at), states[i], kernel, keep_gate=True)
                new = states[i] + here * (new - states[i])
                new_states.append(new)
                # There is no operator that writes a row in place, so the row is added to zeros.
                new_collected.append(collected[i] + tf.cast(tf.equal(positions, at), tf.float32) * new)
            return [time + 1, *new_states, *new_collected]

        start = [tf.zeros([1, units]) for _ in cells] + [tf.zeros([length, units]) for _ in cells]
        _, *results = tf.while_loop(lambda time, *_: time < length, advance, [tf.constant(0), *start])
        states, collected = results[: len(cells)], results[len(cells) :]
        return states, collected[0] if len(cells) == 1 else tf.concat(collected, -1)

    def _gated_unit(self, inputs: Any, state: Any, recurrent_kernel: np.ndarray, keep_gate: bool) -> Any:
        """Compute the next state (N, H) from the inputs' terms (N, 3H): update gate, reset gate, candidate.

        Keras' GRU keeps the state where the update gate is open (`keep_gate`), the paper's unit replaces it.
        """
        units = self.units
        gates = inputs[:, : 2 * units] + linear(self.weights, state, recurrent_kernel[:, : 2 * units])
        update, reset = tf.split(tf.sigmoid(gates), 2, -1)
        candidate = tf.tanh(
            inputs[:, 2 * units :] + linear(self.weights, reset * state, recurrent_kernel[:, 2 * units :])
        )
        return candidate + update * (state - candidate) if keep_gate else state + update * (candidate - state)

    @property
    def output_layer(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (V, l) and bias (V,)."""
        return self.weights["output_matrix"], self.weights["output_bias"]

    def step(self, length: int, rows: int, shortlist: int = 0) -> Signature:
        """Build tokens (R,), state (R, H), memory -> next_state (R, H), scores, alignment (R, S).

        With a `shortlist` the memory also holds the output layer of that many candidates.
        """
        inputs = self._step_inputs(rows)
        if self.attends:
            inputs["source_bias"] = ((1, length), tf.float32)
            inputs["annotations"] = ((length, 2 * self.units), tf.float32)
            inputs["keys"] = ((length, self.config["attention_dim"]), tf.float32)
        else:
            inputs["context"] = ((1, self.units), tf.float32)
        output = candidate_inputs(self.config["maxout_dim"], shortlist) if shortlist else {}
        inputs |= output

        def function(tokens: Any, state: Any, **memory: Any) -> dict[str, Any]:
            candidates = {name: memory.pop(name) for name in output}
            outputs = {}
            if self.attends:
                context, outputs["alignment"] = self._attend(state, rows=rows, length=length, **memory)
            else:
                context = memory["context"]  # (1, H), the same for every row
            return {**outputs, **self._decode(tokens, state, context, rows, candidates)}

        return Signature(function, inputs)

    def batch_step(self, length: int, batch: BatchSize) -> Signature:
        """Build tokens (N*B,), state (N*B, H), memory of each sentence -> the same for N*B rows."""
        inputs = self._step_inputs(batch.rows)
        if self.attends:
            inputs["source_bias"] = ((batch.sentences, length), tf.float32)
            inputs["annotations"] = ((batch.sentences, length, 2 * self.units), tf.float32)
            inputs["keys"] = ((batch.sentences, length, self.config["attention_dim"]), tf.float32)
        else:
            inputs["context"] = ((batch.sentences, self.units), tf.float32)

        def function(tokens: Any, state: Any, **memory: Any) -> dict[str, Any]:
            if not self.attends:
                context = memory["context"]  # (N, H)
                if batch.beams > 1:
                    context = tf.repeat(context, batch.beams, 0)  # (N*B, H)
                return self._decode(tokens, state, context, batch.beams)
            context, alignment = self._attend_by_sentence(state, batch, length, **memory)
            return {**self._decode(tokens, state, context, batch.beams), "alignment": alignment}

        return Signature(function, inputs)

    def _step_inputs(self, rows: int) -> dict[str, tuple[Sequence[int], Any]]:
        return {"tokens": ((rows,), tf.int32), "state": ((rows, self.units), tf.float32)}

    def _decode(
        self, tokens: Any, state: Any, context: Any, beams: int, candidates: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Compute next_state (R, H) and the next token's scores, or those of only the candidates."""
        gates, pre = self._combine(tokens, state, context)
        next_state = self._gated_unit(gates, state, self.weights["recurrent_kernel"], keep_gate=False)
        pairs = tf.reshape(pre, [tokens.shape[0], self.config["maxout_dim"], 2])
        hidden = tf.reduce_max(pairs, -1)  # (R, l)
        if candidates:
            return {"next_state": next_state, **next_candidate(hidden, candidates)}
        return {"next_state": next_state, **next_token(self.weights, hidden, *self.output_layer, beams)}

    def _attend(
        self, state: Any, *, source_bias: Any, annotations: Any, keys: Any, rows: int, length: int
    ) -> tuple[Any, Any]:
        """Attend additively (Bahdanau et al., 2015, A.1.2): context (R, 2H) and alignment (R, S)."""
        compared = self._compare(self._query(state)[:, None, :], keys[None])
        alignment = tf.nn.softmax(tf.reshape(compared, [rows, length]) + source_bias)
        if rows == 1:
            attention_weights = tf.reshape(alignment, [length, 1])
            return tf.reduce_sum(attention_weights * annotations, 0, keepdims=True), alignment
        return tf.matmul(alignment, annotations), alignment

    def _attend_by_sentence(
        self, state: Any, batch: BatchSize, length: int, *, source_bias: Any, annotations: Any, keys: Any
    ) -> tuple[Any, Any]:
        """Attend from the rows of each sentence to its own annotations: context and alignment (N*B, ...)."""
        sentences, beams = batch.sentences, batch.beams
        query = tf.reshape(self._query(state), [sentences, beams, 1, -1])
        scores = tf.reshape(self._compare(query, keys[:, None]), [sentences, beams, length])
        attention_weights = tf.nn.softmax(scores + source_bias[:, None])  # (N, B, S)
        if beams == 1:
            context = tf.reduce_sum(tf.reshape(attention_weights, [sentences, length, 1]) * annotations, 1)
        else:
            context = tf.reshape(tf.matmul(attention_weights, annotations), [batch.rows, 2 * self.units])
        return context, tf.reshape(attention_weights, [batch.rows, length])

    def _query(self, state: Any) -> Any:
        return linear(self.weights, state, self.weights["attention/query_kernel"])  # (R, U)

    def _compare(self, query: Any, keys: Any) -> Any:
        """Score queries (..., 1, U) against keys (..., S, U): (..., S)."""
        vector = self.weights.constant(self.weights["attention/score_vector"][:, 0])
        return tf.reduce_sum(tf.tanh(query + keys) * vector, -1)

    def _combine(self, tokens: Any, state: Any, context: Any) -> tuple[Any, Any]:
        """Sum the terms of word, context and previous state: gates (R, 3H) and maxout layer (R, 2l)."""
        units, depth = self.units, 2 * self.config["maxout_dim"]

        def pair(source: str, name: str) -> np.ndarray:
            arrays = [self.weights[f"{source}_{part}/{name}"] for part in ("gates", "output")]
            return np.concatenate(arrays, -1)

        words = self._embed("target_embedding", tokens)  # (R, E)
        both = linear(self.weights, words, pair("word", "kernel"), pair("word", "bias"))
        both = both + linear(self.weights, context, pair("context", "kernel"))  # (R, 3H + 2l)
        gates, pre = tf.split(both, [3 * units, depth], -1)
        return gates, pre + linear(self.weights, state, self.weights["state_output/kernel"])
