"""The parts of every lowering: trained arrays, tracked constants, and basic blocks of inference graphs.

A lowering is a function `lower(config, weights, buckets, **options) -> {name: Signature}`: pure TensorFlow
built from the model's configuration and arrays, without Keras. Its graphs may differ from the training graph,
because every export is measured against the trained model step by step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

from keras_attn.errors import ArgumentError
from keras_attn_export.buckets import Bucket

if TYPE_CHECKING:
    from keras_attn_export.tracing.outside_matrices import OutsideMatrices

MASKED = -1e9
"""Added to masked scores; finite, so that no row can become NaN."""

LARGEST = np.float32(3e38)
SUPPRESSED = 4
"""Suppressed tokens that a search may have and still find its candidates among the best of a step."""
_SMALLEST_BLOCK = 16
_IGNORED_CONFIGURATION = frozenset({"name", "trainable", "dtype", "vocabulary_size", "pad_id"})


@dataclass(frozen=True)
class Signature:
    """A graph to be exported.

    Attributes:
        function: from inputs to named outputs.
        inputs: shapes, all known, and types by name.
        tables: what it reads besides the model's variables.
    """

    function: Callable[..., dict[str, Any]]
    inputs: Mapping[str, tuple[Sequence[int], Any]]
    tables: Sequence[Any] = ()


class Lowering(Protocol):
    """What `convert` calls."""

    def __call__(
        self, config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], **options: Any
    ) -> dict[str, Signature]:
        """Build all signatures; the options are those of `Steps`, and `heads` for language models."""
        ...


@dataclass(frozen=True)
class Steps:
    """The kinds of steps that a translator is lowered to, for each bucket.

    Attributes:
        rows: numbers of beams of one sentence.
        batches: numbers of sentences decoded together, and of beams of each.
        shortlist: number of candidates of the steps that score only these, or 0; see `lowering.shortlist`.
    """

    rows: Sequence[int]
    batches: Sequence[Sequence[int]] = ()
    shortlist: int = 0


class Weights:
    """The trained arrays, by variable path below the model's name.

    `constant` turns arrays (as trained, or fused and folded) into tracked TensorFlow variables that all
    signatures share; the converter freezes them into one buffer each. Those of `product` and `table` may be
    kept outside of the graphs, see `tflite.matrix_store`.

    Args:
        arrays: by variable path.
        outside: keeps matrices outside of the graphs; `None` makes constants of them.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], outside: OutsideMatrices | None = None) -> None:
        self._arrays = arrays
        self._outside = outside
        self._read: set[str] = set()
        self._constants: dict[bytes, tf.Variable] = {}

    def __getitem__(self, path: str) -> np.ndarray:
        """Return the float32 array of a variable.

        Raises:
            KeyError: when the model has no such variable.
        """
        if path not in self._arrays:
            raise KeyError(f"the model has no weight {path!r}; it has {sorted(self._arrays)}")
        self._read.add(path)
        return np.asarray(self._arrays[path], np.float32)

    def __contains__(self, path: str) -> bool:
        return path in self._arrays

    def without_constants(self) -> Weights:
        """Return the same arrays without constants, for graphs that are not saved."""
        return Weights(self._arrays)

    def constant(self, array: np.ndarray) -> Any:
        """Return a tracked float32 variable; equal arrays share one."""
        array = np.ascontiguousarray(array, np.float32)
        key = hashlib.sha256(repr(array.shape).encode() + array.tobytes()).digest()
        if key not in self._constants:
            with tf.init_scope():  # Called while a graph (or a loop's body) is being traced.
                self._constants[key] = tf.Variable(tf.constant(array), trainable=False)
        return self._constants[key]

    def table(self, array: np.ndarray) -> Any:
        """Return a matrix (V, D) whose rows are looked up, or multiplied."""
        if self._outside is not None:
            return self._outside.tensor(np.asarray(array, np.float32))
        return self.constant(array)

    def product(self, x: Any, kernel: np.ndarray) -> Any:
        """Multiply x (N, I) by kernel (I, O): (N, O)."""
        if self._outside is not None:
            return tf.matmul(x, self.table(kernel.T), transpose_b=True)
        return tf.matmul(x, self.constant(kernel))

    @property
    def tracked(self) -> list[Any]:
        """All constants, to be attached to the module that is saved."""
        return list(self._constants.values())

    def ignore(self, path: str) -> None:
        """Mark the weights below `path` as not needed by the export."""
        self._read.update(name for name in self._arrays if name.startswith(f"{path}/"))

    @property
    def unread(self) -> list[str]:
        """Paths that the lowering has not read: a sign that it computes another model."""
        return sorted(set(self._arrays) - self._read)


def check_config(config: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Check that a configuration is one that this lowering knows.

    Args:
        config: the model's constructor arguments.
        known: argument -> `None` (anything), or a collection of accepted values.

    Raises:
        ArgumentError: naming every unknown argument and unsupported value at once.
    """
    unknown = [key for key in config if key not in known and key not in _IGNORED_CONFIGURATION]
    problems = [f"unknown argument {key!r}" for key in unknown]
    problems += [f"missing argument {key!r}" for key in known if key not in config]
    problems += [
        f"{key}={config[key]!r} (supported: {', '.join(map(str, values))})"
        for key, values in known.items()
        if values is not None and key in config and config[key] not in values
    ]
    if problems:
        raise ArgumentError("this model cannot be lowered: " + "; ".join(problems))


# AI Edge recognizes this composite and makes it EMBEDDING_LOOKUP, which (unlike GATHER) it quantizes: with a
# scale per row, in the same bytes that a projection tied to the table uses.
@tf.function(experimental_implements="embedding_matmul")
def _embedding_lookup(table: Any, ids: Any) -> Any:
    return tf.gather(table, ids)


def lookup(table: Any, ids: Any) -> Any:
    """Look ids (N,) int32 up in a table (V, D): (N, D)."""
    return _embedding_lookup(table, ids)


def positions_of(ids: Any) -> Any:
    """Return the positions of tokens ids (T,), from 0 on: (T,) int32.

    The minimum is always 0. Without it the converter would compute the look-up, and each signature would have
    its part of the table, instead of all of them sharing one. It stays in 32 bits: rounded to 8,
    positions cost a sentence encoder some of its nearest neighbours.
    """
    return tf.range(ids.shape[0]) + tf.minimum(ids, 0)


def linear(
    weights: Weights, x: Any, kernel: np.ndarray, bias: np.ndarray | None = None, path: str = "linear"
) -> Any:
    """Compute x (N, I) · kernel (I, O) + bias (O,): one FULLY_CONNECTED, named by its path."""
    with tf.name_scope(path):
        y = weights.product(x, kernel)
        return y if bias is None else y + weights.constant(bias)


def layer_norm(weights: Weights, x: Any, path: str, epsilon: float) -> Any:
    """Normalize the last axis, with the layer's gamma and beta."""
    gamma, beta = (weights.constant(weights[f"{path}/{name}"]) for name in ("gamma", "beta"))
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(centred * centred, -1, keepdims=True)
    # In this order the converter cannot fold gamma into the next matrix, whose rows would quantize worse.
    return centred * (tf.math.rsqrt(variance + epsilon) * gamma) + beta


def next_token(
    weights: Weights, hidden: Any, matrix: np.ndarray, bias: np.ndarray | None, beams: int
) -> dict[str, Any]:
    """Score the next token of each row: logits = hidden (R, D) · matrix (V, D)ᵀ + bias.

    Returns:
        `scores` (R, V), the logits; `normalizer` (R, 1), their log-sum-exp; and for several beams of a
        sentence, `top_tokens` and `top_scores` (R, K), the best of each row.
    """
    return scored(_logits(weights, hidden, matrix, bias), beams)


def scored(logits: Any, beams: int) -> dict[str, Any]:
    """Return the outputs of a step for logits (R, V): see `next_token`."""
    outputs = {"scores": logits}
    if beams > 1:
        count = min(2 * beams + SUPPRESSED, logits.shape[1])
        outputs["top_scores"], outputs["top_tokens"], largest = _top(logits, count)
    else:
        largest = tf.reduce_max(logits, -1, keepdims=True)
    # The largest probability is 1 / sum(exp(logits - largest)), and one operator reads less than three.
    probability = tf.reduce_max(tf.nn.softmax(logits), -1, keepdims=True)
    return {**outputs, "normalizer": largest - tf.math.log(probability)}


def _logits(weights: Weights, hidden: Any, matrix: np.ndarray, bias: np.ndarray | None) -> Any:
    # The minimum changes nothing; it keeps the converter from folding a normalization's gamma into the
    # matrix, which could then no longer share the embedding's bytes.
    hidden = tf.minimum(hidden, LARGEST)
    logits = tf.matmul(hidden, weights.table(matrix), transpose_b=True)
    return logits if bias is None else logits + weights.constant(from_largest(bias))


def from_largest(bias: np.ndarray) -> np.ndarray:
    """Return the bias (V,) of logits with 0 as its largest: see `WordScores.log_probabilities`."""
    return bias - bias.max()


def _top(logits: Any, count: int) -> tuple[Any, Any, Any]:
    """Find the best `count` of logits (R, V): values and indices, (R, K), descending; and the largest, (R,
    1).

    In two stages: the best are in the blocks whose maxima are the best (an exact search, except that among
    equal last ones any may be chosen). Maxima are fast; a partial sort reads slowly.
    """
    rows, vocabulary = logits.shape
    block = _block(vocabulary, count)
    beyond = -vocabulary % block
    if vocabulary < count * block:
        values, indices = tf.math.top_k(logits, count)
        return values, indices, values[:, :1]
    if beyond:
        logits = tf.concat([logits, tf.fill([rows, beyond], np.float32(MASKED))], -1)
    blocks = logits.shape[1] // block
    blocked = tf.reshape(logits, [rows * blocks, block])  # once: with many rows it is an expensive copy
    maxima = tf.reshape(tf.reduce_max(blocked, -1), [rows, blocks])
    _, chosen = tf.math.top_k(maxima, count)  # (R, K)
    first = tf.constant(np.arange(rows)[:, None] * blocks, tf.int32)
    candidates = tf.gather(blocked, tf.reshape(chosen + first, [-1]))  # (R * K, block)
    values, indices = tf.math.top_k(tf.reshape(candidates, [rows, count * block]), count)
    # Index among the candidates -> block -> token.
    within = tf.constant(np.arange(rows)[:, None] * count, tf.int32)
    number = tf.reshape(indices // block + within, [-1])
    number = tf.reshape(tf.gather(tf.reshape(chosen, [-1]), number), [rows, count])
    return values, number * block + indices % block, tf.reduce_max(maxima, -1, keepdims=True)


def _block(vocabulary: int, count: int) -> int:
    """Return the size of blocks of V logits with which sorting reads least: V/b maxima, then K*b candidates.

    A size that divides V may read somewhat more, since padding is a copy.
    """

    def read(size: int) -> float:
        return vocabulary / size + count * size

    best = max(_SMALLEST_BLOCK, round((vocabulary / count) ** 0.5))
    dividing = [size for size in range(_SMALLEST_BLOCK, 2 * best + 1) if vocabulary % size == 0]
    return min((size for size in dividing if read(size) < 1.5 * read(best)), key=read, default=best)


def additive_mask(mask: Any) -> Any:
    """Turn a mask of ones and zeros into 0 and -1e9, to be added to scores."""
    return (1.0 - mask) * MASKED
