"""The common blocks of GPT-2's graphs, which continue a text or encode one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn_export.buckets import Bucket
from keras_attn_export.lowering.base import MASKED, additive_mask, lookup
from keras_attn_export.lowering.transformer_blocks import ACTIVATIONS, Blocks

GPT2 = {
    **dict.fromkeys(("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "max_sequence_length")),
    **dict.fromkeys(("dropout", "attention_dropout", "local_window", "layer_norm_epsilon")),
    "activation": tuple(ACTIVATIONS),
}
"""The arguments of a backbone `GPT2`, for `check_config`."""


@dataclass
class GPT2Blocks(Blocks):
    """The blocks of GPT-2; its `config` must also have `normalize_first=True`.

    Attributes:
        buckets: lengths that become signatures.
    """

    buckets: list[Bucket]

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
        words = lookup(self.weights.constant(self.table), ids)
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
