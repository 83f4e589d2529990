"""The signatures of a translator of the user's own class, traced from its `start` and `step`.

`encode_S` takes token_ids (1, S) int32 and source_mask (1, S) float32 and returns what `start` returns: the
memory, and the state before the first step, whose caches have room for the bucket's target tokens. A step
takes tokens (R,), the memory (1, ...) and the state (R, ...) of the R beams of one sentence; it returns
the new state, the scores, and the alignment if the model has one. The state is returned whole: a lowered
step, which writes one row of its caches in place, takes less time where they are long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from keras_attn.errors import ArgumentError
from keras_attn_export.buckets import Bucket
from keras_attn_export.lowering.base import Signature, scored

_Fields = Mapping[str, tuple[str, tuple[int, ...], str]]
"""Name in the signatures -> the model's name, shape without rows, type."""


def trace(model: Any, buckets: Sequence[Mapping[str, Any]], rows: Sequence[int]) -> dict[str, Signature]:
    """Return the signatures of each length.

    Args:
        model: the translator.
        buckets: fields of `Bucket`.
        rows: numbers of beams of one sentence.

    Raises:
        ArgumentError: `start` or `step` does not keep the protocol of `keras_attn.models.EncoderDecoder`.
    """
    signatures: dict[str, Signature] = {}
    for bucket in (Bucket(**each) for each in buckets):
        traced = _Bucket(model, bucket.source, bucket.target)
        signatures[bucket.encode] = traced.encode()
        for count in rows:
            signatures[bucket.step(count)] = traced.step(count)
    return signatures


class _Bucket:
    """A model with sources of S tokens and T steps.

    Attributes:
        memory, state: fields of what `start` returns.
    """

    def __init__(self, model: Any, length: int, target: int) -> None:
        self.model, self.length, self.target = model, length, target
        found: list[Any] = []

        def look(ids: Any, mask: Any) -> Any:
            found.extend(self._start(ids, mask))
            return tf.constant(0)

        specs = [tf.TensorSpec((1, length), tf.int32), tf.TensorSpec((1, length), tf.bool)]
        tf.function(look, input_signature=specs, autograph=False).get_concrete_function()
        self.memory, self.state = (
            {
                f"{kind}_{i:02}": _described(name, tensor)
                for i, (name, tensor) in enumerate(sorted(tensors.items()))
            }
            for kind, tensors in zip(("memory", "state"), found, strict=True)
        )

    def _start(self, ids: Any, mask: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        returned = self.model.start(ids, mask, self.target)
        if not (
            isinstance(returned, tuple)
            and len(returned) == 2
            and all(isinstance(each, Mapping) for each in returned)
        ):
            raise ArgumentError(
                f"{type(self.model).__name__}.start must return two dicts of tensors, memory and state, not "
                f"{type(returned).__name__}"
            )
        memory, state = (dict(each) for each in returned)
        return memory, state

    def encode(self) -> Signature:
        """Build token_ids, source_mask (1, S) -> memory and state, (1, ...)."""

        def function(token_ids: Any, source_mask: Any) -> dict[str, Any]:
            memory, state = self._start(token_ids, source_mask > 0.5)
            return {**_stored(self.memory, memory), **_stored(self.state, state)}

        shape = (1, self.length)
        return Signature(function, {"token_ids": (shape, tf.int32), "source_mask": (shape, tf.float32)})

    def step(self, rows: int) -> Signature:
        """Build tokens (R,), memory, state -> next state, scores, alignment."""
        inputs: dict[str, tuple[Sequence[int], Any]] = {"tokens": ((rows,), tf.int32)}
        inputs |= {name: ((1, *shape), _kept(kind)) for name, (_, shape, kind) in self.memory.items()}
        inputs |= {name: ((rows, *shape), _kept(kind)) for name, (_, shape, kind) in self.state.items()}

        def function(tokens: Any, **tensors: Any) -> dict[str, Any]:
            memory = _read(self.memory, tensors)
            if rows > 1:
                memory = {name: tf.repeat(tensor, rows, 0) for name, tensor in memory.items()}
            returned = self.model.step(tokens, memory, _read(self.state, tensors))
            if not isinstance(returned, tuple) or len(returned) != 3:
                raise ArgumentError(
                    f"{type(self.model).__name__}.step must return scores, alignment (or None) and the new "
                    "state"
                )
            scores, alignment, state = returned
            outputs = {f"next_{name}": tensor for name, tensor in _stored(self.state, dict(state)).items()}
            if alignment is not None:
                outputs["alignment"] = tf.reshape(tf.cast(alignment, tf.float32), [rows, self.length])
            return {**outputs, **_scores(tf.reshape(tf.cast(scores, tf.float32), [rows, -1]), rows)}

        return Signature(function, inputs)


def _scores(scores: Any, rows: int) -> dict[str, Any]:
    """Return the outputs for log-probabilities (R, V), without a normalizer."""
    return {name: value for name, value in scored(scores, rows).items() if name != "normalizer"}


def _described(name: str, tensor: Any) -> tuple[str, tuple[int, ...], str]:
    shape = tuple(tensor.shape)
    if None in shape or not shape or shape[0] != 1:
        raise ArgumentError(
            f"start: {name!r} has shape {shape} for one sentence: its first axis must be of sentences, "
            "and all sizes must be known from the source's length and max_length"
        )
    return name, shape[1:], tensor.dtype.name


def _kept(kind: str) -> Any:
    return tf.int32 if kind.startswith(("int", "uint")) else tf.float32


def _stored(
    fields: Mapping[str, tuple[str, tuple[int, ...], str]], tensors: Mapping[str, Any]
) -> dict[str, Any]:
    """Return tensors by their names in signatures, of the types that a file has."""
    missing = sorted(name for name, _, _ in fields.values() if name not in tensors)
    more = sorted(tensors.keys() - {name for name, _, _ in fields.values()})
    if missing or more:
        raise ArgumentError(f"step: the new state lacks {missing} and has {more} beside what start returned")
    return {key: tf.cast(tensors[name], _kept(kind)) for key, (name, _, kind) in fields.items()}


def _read(
    fields: Mapping[str, tuple[str, tuple[int, ...], str]], tensors: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a signature's tensors by the model's names, of the model's types."""
    return {
        name: tensors[key] > 0.5 if kind == "bool" else tf.cast(tensors[key], kind)
        for key, (name, _, kind) in fields.items()
    }
