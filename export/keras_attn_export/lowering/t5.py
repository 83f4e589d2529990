"""T5's inference graphs: those of the Transformer, with biases of attention for distances.

A bias depends on the distance between two tokens, so that a step needs the position of what each slot of a
cache holds. For one row slot i holds position i. Beams free slots and use them again: they keep the position
of each slot in one more cache, `key_cache_NN` behind the layers', which hosts write in place as the others.
Layers that share a bias look it up once a step, and the encoder's once a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn.layers.positions.relative_position_bias import distance_buckets
from keras_attn_export.buckets import Bucket
from keras_attn_export.lowering.base import Signature, Steps, Weights, check_config
from keras_attn_export.lowering.batch_attention import BatchAttention, Inputs
from keras_attn_export.lowering.transformer import (
    StepAttention,
    TransformerGraphs,
    longest_of,
    signatures_of,
)
from keras_attn_export.lowering.transformer_blocks import ACTIVATIONS

_KNOWN = {
    "hidden_dim": None,
    "intermediate_dim": None,
    "num_heads": None,
    "num_encoder_layers": None,
    "num_decoder_layers": None,
    "key_dim": None,
    "num_buckets": None,
    "max_distance": None,
    "gated": (True, False),
    "activation": tuple(ACTIVATIONS),
    "share_position_bias": (True, False),
    "tie_output": (True, False),
    "scale_output": (True, False),
    "dropout": None,
    "attention_dropout": None,
    "layer_norm_epsilon": None,
}
# What `Transformer` has as arguments, and T5 decides.
_LAYOUT = {"normalize_first": True, "scale_embedding": False, "share_embeddings": True, "output_bias": False}


def lower(
    config: Mapping[str, Any], weights: Weights, buckets: Sequence[Bucket], **options: Any
) -> dict[str, Signature]:
    """Build the signatures of `lowering.transformer.lower` for a `T5`.

    Raises:
        ArgumentError: for a configuration this lowering does not know.
    """
    check_config(config, _KNOWN)
    graphs = _T5({**config, **_LAYOUT}, weights, longest_of(buckets))
    return signatures_of(graphs, buckets, Steps(**options))


@dataclass
class _T5(TransformerGraphs):
    @property
    def query_scale(self) -> float:
        return 1.0

    def norm(self, x: Any, path: str) -> Any:
        """Normalize (N, D) by its root mean square; the decoder's last norm also scales the output."""
        scale = self.weights[f"{path}/scale"]
        if path == "decoder_norm" and self.config["scale_output"]:
            scale = scale * self.config["hidden_dim"] ** -0.5
        mean = tf.reduce_mean(x * x, -1, keepdims=True)
        # In this order the converter cannot fold the scale into the next matrix, as in `base.layer_norm`.
        return x * (tf.math.rsqrt(mean + self.config["layer_norm_epsilon"]) * self.weights.constant(scale))

    def feed_forward(self, x: Any, path: str) -> tuple[Any, None]:
        """Apply the feed-forward network to (N, D); both products of a gated one are one matrix."""
        if not self.config["gated"]:
            return super().feed_forward(x, path)
        path = f"{path}/gated_feedforward"
        kernels = [self.weights[f"{path}/{name}_dense/kernel"] for name in ("intermediate", "gate")]
        both = self.smooth_linear(x, path, np.concatenate(kernels, 1), None)  # (N, 2I)
        hidden, gates = tf.split(both, 2, -1)
        hidden = ACTIVATIONS[self.config["activation"]](hidden) * gates
        return self.dense(hidden, f"{path}/output_dense"), None

    def _add_positions(self, x: Any, half: str, positions: Any) -> Any:
        return x

    def encoder_biases(self, bias: Any, token_ids: Any) -> list[Any]:
        """Return biases (H, S, S): a diagonal for each distance."""
        size = token_ids.shape[1]
        # It is 0. Without it the converter would compute the biases, and keep all of them.
        nothing = tf.cast(tf.minimum(token_ids[0, :1], 0), tf.float32)

        def spread(table: np.ndarray) -> Any:
            """Lay the biases of distances in rows, each of which begins one distance earlier."""
            row = self.weights.constant(table) + nothing  # of distances from 1 - S to S, (H, 2S)
            rows = tf.tile(row, [1, size])[:, : size * (2 * size - 1)]
            rows = tf.reshape(rows, [self.heads, size, 2 * size - 1])
            return rows[:, :, size - 1 :] + bias  # (H, S, S)

        found = [spread(table) for table in self._tables("encoder", np.arange(1 - size, size + 1))]
        return self._for_each_layer("encoder", found)

    def further_inputs(self, attention: StepAttention, target: int) -> Inputs:
        """Return the cache of the slots' positions, where slots are used again."""
        if attention.beams == 1:
            return {}
        slots = attention.beams * target
        batch = isinstance(attention, BatchAttention)
        shape = (attention.batch.sentences, 1, slots, 1) if batch else (1, 1, slots)
        return {f"key_cache_{self._last}": (shape, tf.float32)}

    def further_outputs(self, position: Any, attention: StepAttention) -> dict[str, Any]:
        """Return the row of that cache: the position of each row's token."""
        if attention.beams == 1:
            return {}
        rows = attention.batch.rows if isinstance(attention, BatchAttention) else attention.beams
        # A row is of a key and a value, of which only the first is kept.
        column = tf.reshape(tf.cast(position, tf.float32), [-1, 1])
        return {f"row_{self._last}": tf.broadcast_to(column, [rows, 2])}

    def step_biases(
        self, self_bias: Any, position: Any, memory: Mapping[str, Any], attention: StepAttention
    ) -> list[Any]:
        """Return biases (H, R, slots), or (N, H, B, slots) in a batch."""
        distances, masks = self._distances(self_bias, position, memory, attention)  # (N, slots)
        sentences, slots = distances.shape
        # Heads of a sentence alone have no axis of sentences.
        first = [sentences] if isinstance(attention, BatchAttention) else []
        found = []
        for table in self._tables("decoder", -np.arange(self.longest + 1)):
            bias = tf.gather(self.weights.constant(table.T), tf.reshape(distances, [-1]))  # (N * slots, H)
            bias = tf.transpose(tf.reshape(bias, [sentences, slots, self.heads]), [0, 2, 1])
            found.append(tf.reshape(bias, [*first, self.heads, 1, slots]) + masks)
        return self._for_each_layer("decoder", found)

    def _distances(
        self, self_bias: Any, position: Any, memory: Mapping[str, Any], attention: StepAttention
    ) -> tuple[Any, Any]:
        """Return each sentence's distances to its slots, (N, slots), and the mask that is added to biases."""
        slots = self_bias.shape[1]
        if not isinstance(attention, BatchAttention):
            sentences, masks = 1, self_bias
        else:
            sentences = attention.batch.sentences
            masks = tf.reshape(self_bias, [sentences, 1, attention.beams, slots])
        at = tf.reshape(position, [sentences, -1])[:, :1]  # of a sentence's beams, (N, 1)
        if attention.beams == 1:
            held = tf.range(slots)[None]
        else:
            held = tf.cast(tf.reshape(memory[f"key_cache_{self._last}"], [sentences, slots]), tf.int32)
        # What slots hold that follow, or that nothing has been written to, is masked.
        return tf.minimum(tf.maximum(at - held, 0), self.longest), masks

    @property
    def _last(self) -> str:
        return f"{self.config['num_decoder_layers']:02d}"

    def _tables(self, half: str, distances: np.ndarray) -> list[np.ndarray]:
        """Return the biases of distances (N,), one table (H, N) for the half or one for each of its layers.

        In the decoder they are less those of the token itself, to which so nothing need be added: a softmax
        does not change by a constant.
        """
        encoder, layers = half == "encoder", self.config[f"num_{half}_layers"]
        paths = [f"{half}_layer_{i}/position_bias" for i in range(layers)]
        if self.config["share_position_bias"]:
            paths = [f"{half}_position_bias"]
        buckets = distance_buckets(
            distances, self.config["num_buckets"], self.config["max_distance"], bidirectional=encoder
        )
        found = [self.weights[f"{path}/table/embeddings"] for path in paths]  # (buckets, H)
        return [(table[buckets] - (0 if encoder else table[0])).T for table in found]

    def _for_each_layer(self, half: str, found: list[Any]) -> list[Any]:
        return found * self.config[f"num_{half}_layers"] if len(found) == 1 else found
