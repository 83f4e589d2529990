"""What the graphs of GPT-2 have in common, be it to go on with a text or to read one as an encoder does."""

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
"""The arguments of a backbone `GPT2`, as `check_config` wants them."""


@dataclass
class GPT2Blocks(Blocks):
    """The blocks of GPT-2; its `config` needs `normalize_first=True` besides.

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
        """Places of the longest text that a signature can hold."""
        return max(bucket.source + bucket.target for bucket in self.buckets)

    def embed(self, ids: Any, places: Any) -> Any:
        """Embed ids (N,) at places (N,) or (1,): (N, D)."""
        positions = self.weights["position_embedding/embeddings"][: self.longest]  # one table for all
        words = lookup(self.weights.constant(self.table), ids)
        return words + tf.gather(self.weights.constant(positions), places)

    def window(self, layer: int) -> int | None:
        """How many tokens a layer's sees, its own counted; `None` for all."""
        return self.config["local_window"] if layer % 2 else None

    def seen(self, mask: Any) -> Callable[[int], Any]:
        """Give the function from a layer to what its places add to their scores, (T, T), by a mask (1, T).

        It is computed from the mask: tables of T times T numbers would be megabytes of each file.
        """
        place = tf.cumsum(mask, axis=1)  # (1, T); padding stands at the end
        distance = place - tf.transpose(place)  # positive where a token comes later
        later = additive_mask(mask) + tf.clip_by_value(distance, 0.0, 1.0) * MASKED

        def bias(layer: int) -> Any:
            window = self.window(layer)
            if window is None:
                return later
            return later + tf.clip_by_value(1.0 - window - distance, 0.0, 1.0) * MASKED

        return bias
