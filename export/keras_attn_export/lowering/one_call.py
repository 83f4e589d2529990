"""Greedy search in one signature, for hosts that want one call per sentence instead of one per token.

`translate_S`, and `generate_S` for language models, compute `encode_S` and then run the step of one row in
a loop, as `keras_attn.device.search` does on the host: same roles of tensors, same end, same limit. Caches
are passed from iteration to iteration, which costs a little more than a host's writing in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python.xla import dynamic_update_slice  # pyright: ignore[reportMissingImports]

from keras_attn_export.buckets import Bucket
from keras_attn_export.lowering.base import MASKED, Lowering, Signature, Weights
from keras_attn_export.one_call_plan import OneCall

_SUPPRESSED = -6e4
"""Far below any logit, and finite in 16 bits too."""
_NOT_CARRIED = ("tokens", "position", "self_bias")


def lower_one_call(
    lower: Lowering, config: Mapping[str, Any], weights: Weights, one_call: OneCall
) -> dict[str, Signature]:
    """Build the signatures of `one_call`, with the graphs of another lowering.

    Args:
        lower: of the model.
        config: the model's.
        weights: the model's.
        one_call: lengths, and the options of the search.
    """
    buckets = [Bucket(source, target) for source, target in one_call.lengths]
    graphs = lower(config, weights, buckets, rows=[1])
    loops = {
        bucket.source: _Loop(graphs[bucket.encode], graphs[bucket.step(1)], weights, one_call, bucket)
        for bucket in buckets
    }
    return {one_call.signature(source): loop.signature for source, loop in loops.items()}


@dataclass(frozen=True)
class _Loop:
    encode: Signature
    step: Signature
    weights: Weights
    plan: OneCall
    bucket: Bucket

    @property
    def signature(self) -> Signature:
        """Build token_ids, source_mask (1, S), max_length (1,) and what the plan asks for, (1,) each ->
        target_ids (1, T) and its figures."""
        text = (1, self.bucket.source)
        return Signature(
            self._search,
            {
                "token_ids": (text, tf.int32),
                "source_mask": (text, tf.float32),
                "max_length": ((1,), tf.int32),
                **{name: ((1,), tf.int32) for name in self.plan.asked},
            },
        )

    def _search(self, token_ids: Any, source_mask: Any, max_length: Any, **asked: Any) -> dict[str, Any]:
        plan, target = self.plan, self.bucket.target
        length = tf.cast(tf.reduce_sum(source_mask, -1), tf.int32)  # (1,)
        limit = self._limit(length, max_length)
        if plan.start is None:
            last = tf.maximum(length - 1, 0)
            token = tf.gather(tf.reshape(token_ids, [-1]), last)
            source_mask = source_mask * tf.cast(tf.range(self.bucket.source) < last, tf.float32)
        else:
            token = asked.get("start_token", tf.constant([plan.start], tf.int32))
        first = asked.get("first_token", None if plan.first is None else tf.constant([plan.first], tf.int32))
        memory = self.encode.function(token_ids=token_ids, source_mask=source_mask)
        # An input that encode does not fill begins with zeros.
        state = {
            name: memory[name] if name in memory else tf.zeros(shape, dtype)
            for name, (shape, dtype) in self.step.inputs.items()
            if name not in _NOT_CARRIED
        }
        zero = tf.zeros([1], tf.int32)
        carried = [zero, zero, token, tf.fill([1, target], plan.pad), tf.zeros([1]), *state.values()]

        def continues(count: Any, finished: Any, *_: Any) -> Any:
            return tf.reshape(tf.logical_and(count < limit, finished < 1), [])

        def advance(count: Any, _: Any, token: Any, ids: Any, log_prob: Any, *values: Any) -> list[Any]:
            best, gained, after = self._step(count, token, dict(zip(state, values, strict=True)))
            if first is not None:
                begins = tf.cast(count < 1, tf.int32)
                best = begins * first + (1 - begins) * best
                gained = gained * tf.cast(1 - begins, tf.float32)
            ended = tf.cast(best == plan.end, tf.int32)
            written = tf.reshape(ended * plan.pad + (1 - ended) * best, [1, 1])
            ids = dynamic_update_slice(ids, written, tf.concat([zero, count], 0))
            ids = tf.ensure_shape(ids, [1, target])
            return [count + 1 - ended, ended, best, ids, log_prob + gained, *after]

        count, finished, _, ids, log_prob, *_ = tf.while_loop(continues, advance, carried)
        if plan.force_end:
            finished = tf.maximum(finished, 1)
        return {"target_ids": ids, "target_length": count, "finished": finished, "log_prob": log_prob}

    def _limit(self, length: Any, max_length: Any) -> Any:
        """Return the most tokens that the loop produces, (1,)."""
        per_token, more = self.plan.default_limit
        limit = tf.where(max_length > 0, max_length, per_token * length + more)
        # A forced end needs no step.
        return tf.minimum(limit, self.bucket.target) - int(self.plan.force_end)

    def _step(self, count: Any, token: Any, state: dict[str, Any]) -> tuple[Any, Any, list[Any]]:
        """Run a step; return the best token (1,), its log-probability (1,), and the next state."""
        inputs = {"tokens": token, **state}
        if "position" in self.step.inputs:
            inputs["position"] = count
        if "self_bias" in self.step.inputs:
            inputs["self_bias"] = tf.cast(tf.range(self.bucket.target) >= count, tf.float32)[None] * MASKED
        outputs = self.step.function(**inputs)
        logits = outputs["scores"]  # (1, V)
        best = tf.argmax(self._allowed(logits), -1, output_type=tf.int32)
        gained = tf.gather(tf.reshape(logits, [-1]), best)
        if "normalizer" in outputs:
            gained = gained - outputs["normalizer"][0]
        return best, gained, [self._after(name, value, outputs, count) for name, value in state.items()]

    def _allowed(self, logits: Any) -> Any:
        if not self.plan.suppress:
            return logits
        bias = np.zeros(logits.shape[-1], np.float32)
        bias[list(self.plan.suppress)] = _SUPPRESSED
        return logits + self.weights.constant(bias)

    def _after(self, name: str, value: Any, outputs: Mapping[str, Any], count: Any) -> Any:
        """Return an input of the next step."""
        kind, is_cache, number = name.partition("_cache_")
        if not is_cache:
            return outputs.get(f"next_{name}", value)
        heads, depth = value.shape[:2]
        row = tf.split(outputs[f"row_{number}"], 2, -1)[("key", "value").index(kind)]  # (1, H*dh)
        start = tf.concat([tf.zeros([2], tf.int32), count], 0)
        value = dynamic_update_slice(value, tf.reshape(row, [heads, depth, 1]), start)
        return tf.ensure_shape(value, [heads, depth, self.bucket.target])
