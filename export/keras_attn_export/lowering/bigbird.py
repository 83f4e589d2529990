"""BigBird's block-sparse attention in inference graphs: time and memory grow with the text, not its square.

In evaluation every random block is block 0, so the pattern is the same for every head, and block 0, which
every query sees anyway, only counts r more times: log(1 + r) is added to its scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn_export.buckets import Sparsity
from keras_attn_export.lowering.base import MASKED
from keras_attn_export.lowering.transformer_blocks import attention


def pattern_for(config: Mapping[str, Any], length: int) -> Pattern | None:
    """Return the pattern of texts of `length` tokens, or `None` where the model's attention is dense."""
    sparsity = Sparsity.of(config)
    if sparsity is None or not sparsity.is_sparse(length):
        return None
    return Pattern(length // sparsity.block_size, sparsity.block_size, sparsity.num_random_blocks)


@dataclass(frozen=True)
class Pattern:
    """Which blocks of keys the queries of each block see.

    Attributes:
        blocks: n, of the text.
        size: tokens of a block, b.
        repeats: how many more times block 0 counts, r.
    """

    blocks: int
    size: int
    repeats: int

    def attend(self, query: Any, key: Any, value: Any, bias: Any) -> tuple[Any, None]:
        """Attend from every token to the blocks that its own block sees.

        Unlike in training, outputs of padding are not set to 0: no token attends to them.

        Args:
            query: (H, N, dh), scaled; N = n·b.
            key: (H, N, dh).
            value: (H, N, dh).
            bias: (1, N), added to scores.

        Returns:
            Outputs (H, N, dh), and no attention weights.
        """
        heads, _, depth = query.shape
        size, inner = self.size, self.blocks - 2
        edges = tf.concat([query[:, :size], query[:, -size:]], 1)  # (H, 2b, dh)
        outer, _ = attention(edges, key, value, bias)
        own, of_block = self._seen()
        near_bias = tf.gather(tf.reshape(bias, [self.blocks, size]), own.reshape(-1))  # (5m, b)
        near_bias = tf.reshape(near_bias, [inner, 5, size]) + of_block  # (m, 5, b)

        def seen(x: Any) -> Any:
            blocks = tf.reshape(x, [heads, self.blocks, size, depth])
            blocks = tf.gather(blocks, own.reshape(-1), axis=1)  # (H, 5m, b, dh)
            return tf.reshape(blocks, [heads, inner, 5 * size, depth])

        rows = tf.reshape(query[:, size:-size], [heads, inner, size, depth])
        scores = tf.matmul(rows, seen(key), transpose_b=True)  # (H, m, b, 5b)
        attention_weights = tf.nn.softmax(scores + tf.reshape(near_bias, [inner, 1, 5 * size]))
        mixed = tf.reshape(tf.matmul(attention_weights, seen(value)), [heads, inner * size, depth])
        return tf.concat([outer[:, :size], mixed, outer[:, size:]], 1), None

    def bias_of(self, chosen: Callable[[Any], Any], bias: Any) -> Any:
        """Return the bias of a few rows over all keys: one dense row costs no more.

        Args:
            chosen: picks the rows of (N, ...).
            bias: (1, N), added to every row.

        Returns:
            (M, N).
        """
        of_token = np.repeat(np.arange(self.blocks, dtype=np.int32), self.size)
        rows = tf.gather(self._table(), chosen(tf.constant(of_token)))  # (M, n)
        rows = rows[:, :, None] + tf.reshape(bias, [1, self.blocks, self.size])  # (M, n, b)
        return tf.reshape(rows, [-1, self.blocks * self.size])

    def _seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the blocks that each inner block sees, int32 (m, 5), and the bias of their scores."""
        block = np.arange(1, self.blocks - 1, dtype=np.int32)
        own = np.stack([0 * block, block - 1, block, block + 1, 0 * block + self.blocks - 1], 1)
        bias = np.zeros((*own.shape, 1), np.float32)
        bias[:, 0] = np.log1p(self.repeats)
        # There the neighbour in the window is the first or the last block, which is already listed.
        bias[0, 1] = bias[-1, 3] = MASKED
        return own, bias

    def _table(self) -> np.ndarray:
        """Return the bias of the scores between two blocks, float32 (n, n)."""
        table = np.full((self.blocks, self.blocks), MASKED, np.float32)
        own, bias = self._seen()
        for row, (seen, added) in enumerate(zip(own, bias[..., 0], strict=True), start=1):
            np.maximum.at(table[row], seen, added)
        table[[0, -1]] = 0
        return table
