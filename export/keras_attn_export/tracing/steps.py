"""The signatures of a translator or language model of one's own: its `start` and `step`, traced.

`encode_S` takes token_ids (1, S) int32 and source_mask (1, S) float32, and returns the tensors of the memory
and of the first state. `step_S_T_R` takes tokens (R,), the memory of each row and the state, and returns the
next state, the scores and the alignment, by the names that `keras_attn.device.search.kv_cache.Step` reads; of
the state's caches it returns only the new rows. `batch_S_T_NxB` is the same step for B rows of each of N
sentences.

All tensors are float32, which every runtime copies alike. Masks are biases, -1e9 where they are False, so
that a step for longer sources ignores what lies beyond a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from keras import tree

from keras_attn.device.search.kv_cache import SLOT
from keras_attn.errors import ArgumentError
from keras_attn.models.word_logits import WordScores
from keras_attn_export.buckets import BatchSize, Bucket
from keras_attn_export.lowering.base import LARGEST, MASKED, Signature, Steps, scored


def trace(model: Any, buckets: Sequence[Mapping[str, Any]], **options: Any) -> dict[str, Signature]:
    """Return the signatures of each bucket.

    Args:
        model: `keras_attn.models.EncoderDecoder`.
        buckets: fields of `Bucket`.
        options: those of `Steps`, but a shortlist.
    """
    steps, signatures = Steps(**options), {}
    for bucket in (Bucket(**each) for each in buckets):
        traced = {}

        def sized(target: int, bucket: Bucket = bucket, traced: dict[int, Any] = traced) -> _TracedSteps:
            if target not in traced:
                traced[target] = _TracedSteps(model, bucket.source, target)
            return traced[target]

        signatures[bucket.encode] = sized(bucket.target).encode()
        for rows in steps.rows:
            for target in bucket.targets:
                signatures[bucket.step(rows, target)] = sized(target).step(BatchSize(1, rows), by_row=True)
        for batch in (BatchSize(*sizes) for sizes in steps.batches):
            for target in bucket.batch_targets(batch):
                signatures[bucket.batch_step(batch, target)] = sized(target).step(batch, by_row=False)
    return signatures


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the memory or the state, and what it is at the border of a signature.

    Attributes:
        path: how the model names it, for messages.
        name: of inputs and outputs.
        shape: of one row, without the axis of rows.
        dtype: in the model.
        zero: whether it always begins with zeros, which the device writes itself.
        axis: of a cache's rows, in the model; `None` for other entries.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: Any
    zero: bool
    axis: int | None = None

    @property
    def border_shape(self) -> tuple[int, ...]:
        """The shape of one row outside: batches turn encode's tensors of three axes, which need not be."""
        return _border(self.shape)

    def returned(self, rows: int) -> tuple[int, ...]:
        """The shape of what a step returns of it: all, or one row of a cache."""
        if self.axis is None:
            return (rows, *self.shape)
        return (rows, *self.shape[: self.axis - 1], 1, *self.shape[self.axis :])

    def out(self, tensor: Any) -> Any:
        """Return the model's tensor as the device keeps it."""
        if self.dtype == tf.bool:
            tensor = (1.0 - tf.cast(tensor, tf.float32)) * MASKED
        return tf.reshape(tf.cast(tensor, tf.float32), [tensor.shape[0], *_border(tuple(tensor.shape[1:]))])

    def back(self, tensor: Any) -> Any:
        """Return what the device keeps as the model's tensor."""
        tensor = tf.reshape(tensor, [tensor.shape[0], *self.shape])
        return tensor > MASKED / 2 if self.dtype == tf.bool else tf.cast(tensor, self.dtype)


class _TracedSteps:
    """A model's signatures for at most `source` tokens to read and `target` steps."""

    def __init__(self, model: Any, source: int, target: int):
        self._model, self._length, self._target = model, source, target
        self._source = {
            "token_ids": ((1, source), tf.int32),
            "source_mask": ((1, source), tf.float32),
        }
        self._memory: list[_Tensor] = []
        self._state: list[_Tensor] = []
        self._structures: tuple[Any, Any] = (None, None)
        specs = [tf.TensorSpec(*each) for each in self._source.values()]
        tf.function(self._describe, autograph=False).get_concrete_function(*specs)

    def _start(self, token_ids: Any, source_mask: Any) -> Any:
        return self._model.start(token_ids, source_mask > 0.5, self._target)

    def _describe(self, token_ids: Any, source_mask: Any) -> None:
        started = self._start(token_ids, source_mask)
        if not isinstance(started, tuple) or len(started) != 2:
            raise ArgumentError(
                f"{_named(self._model)}.start must return (memory, state), two dicts of tensors, "
                f"not {type(started).__name__}"
            )
        self._check_caches(started[1])
        self._structures = started
        self._memory, self._state = (
            [self._described(side, i, path, tensor) for i, (path, tensor) in enumerate(_leaves(side, part))]
            for side, part in zip(("memory", "state"), started, strict=True)
        )

    def _check_caches(self, state: Any) -> None:
        caches, name = self._model.caches, _named(self._model)
        if not caches:
            return
        if not isinstance(state, Mapping) or not {*caches, "position"} <= state.keys():
            raise ArgumentError(
                f"{name}.start must return a state, a dict, of {', '.join(caches)}, which `caches` names, "
                "and of `position` (B,) int32, how many rows of them are filled"
            )
        for cache, axis in caches.items():
            if not 0 < axis < len(state[cache].shape):
                raise ArgumentError(
                    f"{name}.caches: {cache!r} has no axis {axis} of rows; its shape is {state[cache].shape}"
                )

    def _described(self, side: str, number: int, path: str, tensor: Any) -> _Tensor:
        tensor = tf.convert_to_tensor(tensor)
        if tensor.shape.rank in (None, 0) or None in tensor.shape.as_list() or tensor.shape[0] != 1:
            raise ArgumentError(
                f"{_named(self._model)}.start: {path} has the shape {tensor.shape} for one sentence; its "
                "first axis must be the sentences, and the others known when the model is traced"
            )
        value, caches = tf.get_static_value(tensor), self._model.caches if side == "state" else {}
        position = bool(caches) and path == "state['position']"
        axis = next((axis for name, axis in caches.items() if path == f"state[{name!r}]"), None)
        return _Tensor(
            path,
            SLOT if position else f"{side}_{number:02d}" + ("_bias" if tensor.dtype == tf.bool else ""),
            tuple(tensor.shape[1:]),
            tensor.dtype,
            side == "state" and tensor.dtype != tf.bool and value is not None and not np.any(value),
            axis,
        )

    def encode(self) -> Signature:
        """Build token_ids, source_mask (1, S) -> memory and first state, without what begins with zeros."""

        def function(token_ids: Any, source_mask: Any) -> dict[str, Any]:
            memory, state = (tree.flatten(part) for part in self._start(token_ids, source_mask))
            tensors = zip([*self._memory, *self._state], [*memory, *state], strict=True)
            return {each.name: each.out(tensor) for each, tensor in tensors if not each.zero}

        return Signature(function, self._source)

    def step(self, batch: BatchSize, by_row: bool) -> Signature:
        """Build tokens (R,), memory, state (R, ...) -> next state, scores (R, V), alignment (R, S).

        The memory is that of each row, or (`by_row` is False) of each sentence.
        """
        rows = batch.rows
        kept = rows if by_row else batch.sentences
        inputs: dict[str, tuple[Sequence[int], Any]] = {"tokens": ((rows,), tf.int32)}
        inputs |= {each.name: ((kept, *each.border_shape), tf.float32) for each in self._memory}
        inputs |= {each.name: ((rows, *each.border_shape), tf.float32) for each in self._state}

        def function(tokens: Any, **given: Any) -> dict[str, Any]:
            memory = [each.back(_repeated(given[each.name], rows)) for each in self._memory]
            state = [each.back(given[each.name]) for each in self._state]
            packed = (
                tree.pack_sequence_as(structure, part)
                for structure, part in zip(self._structures, (memory, state), strict=True)
            )
            with (
                mock.patch.object(WordScores, "log_probabilities", _logits),
                mock.patch.object(WordScores, "with_rows", _only_rows),
            ):
                scores, alignment, new = self._model.step(tokens, *packed)
            self._check_scores(scores, rows)
            outputs = self._next(new, rows)
            if alignment is not None:
                outputs["alignment"] = tf.reshape(tf.cast(alignment, tf.float32), [rows, self._length])
            return {**outputs, **scored(tf.cast(scores, tf.float32), batch.beams)}

        return Signature(function, inputs)

    def _next(self, new: Any, rows: int) -> dict[str, Any]:
        found, wanted = dict(_leaves("state", new)), {each.path: each for each in self._state}
        if set(found) != set(wanted):
            raise ArgumentError(
                f"{_named(self._model)}.step returns a state of {', '.join(found) or 'nothing'}, but takes "
                f"one of {', '.join(wanted) or 'nothing'}: return every tensor of the state"
            )
        outputs = {}
        for path, each in wanted.items():
            tensor, shape = tf.convert_to_tensor(found[path]), each.returned(rows)
            if tuple(tensor.shape) != shape or tensor.dtype != each.dtype:
                rule = (
                    "a state keeps its type and its shape; let `start` make it for max_length steps"
                    if each.axis is None
                    else f"it is one of `caches`, of which a step returns one row, at axis {each.axis}"
                )
                raise ArgumentError(
                    f"{_named(self._model)}.step returns {path} as {tensor.dtype.name} "
                    f"{tuple(tensor.shape)}, but `start` began with {each.dtype.name} "
                    f"{(rows, *each.shape)}, so that it must be {shape}: {rule}"
                )
            outputs[f"{'next' if each.axis is None else 'row'}_{each.name}"] = each.out(tensor)
        return outputs

    def _check_scores(self, scores: Any, rows: int) -> None:
        shape = (rows, self._model.vocabulary_size)
        if tuple(scores.shape) != shape:
            raise ArgumentError(
                f"{_named(self._model)}.step returns scores of shape {tuple(scores.shape)}, not {shape}: "
                "one for each token of the vocabulary"
            )


def _border(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, *shape) if len(shape) == 2 else shape


def _only_rows(self: Any, old: Any, new: Any) -> Any:
    """Return what a step adds to caches, which the device writes into them."""
    return new


def _logits(self: Any, hidden: Any) -> Any:
    """Return the logits (R, V) where `WordScores.log_probabilities` normalizes: the device normalizes."""
    matrix, bias = self.output_embeddings
    hidden = tf.minimum(tf.cast(hidden, tf.float32), LARGEST)  # see `lowering.base`
    logits = tf.matmul(hidden, tf.cast(tf.convert_to_tensor(matrix), tf.float32), transpose_b=True)
    if bias is None:
        return logits
    bias = tf.cast(tf.convert_to_tensor(bias), tf.float32)
    return logits + (bias - tf.reduce_max(bias))


def _repeated(tensor: Any, rows: int) -> Any:
    """Give each row the memory of its sentence."""
    return tensor if tensor.shape[0] == rows else tf.repeat(tensor, rows // tensor.shape[0], 0)


def _leaves(side: str, structure: Any) -> list[tuple[str, Any]]:
    return [
        (side + "".join(f"[{key!r}]" for key in path), tensor)
        for path, tensor in tree.flatten_with_path(structure)
    ]


def _named(model: Any) -> str:
    return type(model).__name__
