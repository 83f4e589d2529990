"""Disentangled attention: scores of contents and of relative positions."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.attention.multi_head_attention import MultiHeadAttention


def signed_buckets(distances: np.ndarray, num_buckets: int, max_distance: int) -> np.ndarray:
    """Return the buckets of signed distances (He et al., 2021, arXiv:2006.03654, section 4.1).

    Distances up to half of `num_buckets` are buckets of their own; longer ones share buckets that grow up to
    `max_distance`.

    Args:
        distances: int array, query - key.
        num_buckets: int, buckets of each sign; 0 for the distances themselves.
        max_distance: int, the longest distance that has a bucket of its own.

    Returns:
        int32 array of the same shape, negative for negative distances.
    """
    if not num_buckets:
        return distances.astype(np.int32)
    middle, length = num_buckets // 2, np.abs(distances)
    far = np.log(np.maximum(length, middle).astype(np.float32) / np.float32(middle))
    far = np.ceil(far / np.log(np.float32((max_distance - 1) / middle)) * (middle - 1)) + middle
    return np.where(length <= middle, distances, np.sign(distances) * far).astype(np.int32)


@keras.saving.register_keras_serializable("keras_attn")
class DisentangledAttention(MultiHeadAttention):
    r"""`MultiHeadAttention` whose scores also compare contents with relative positions, as in DeBERTa.

    $$A_{ij} = \frac{q_i \cdot k_j + q_i \cdot k^r_{\delta(i,j)} + k_j \cdot q^r_{\delta(i,j)}}
    {\sqrt{3 d_h}}$$

    He et al., 2021 (arXiv:2006.03654), equation 4, with the distance of i and j in both position terms.

    Args:
        num_heads: int, H.
        key_dim: int, size of each head's queries and keys, dh.
        num_buckets: int K, buckets of each sign; 0 for a row of `relative_embeddings` for each distance.
        max_distance: int; longer distances share the last row.
        content_to_position, position_to_content: whether the scores have the second and the third term.
        share_projections: whether positions are projected as contents are; else they have projections of
            their own.
        **kwargs: the further arguments of `MultiHeadAttention`.

    Call arguments:
        query, value: float tensors (B, T, D), of equal length.
        relative_embeddings: float tensor (2K, D), or (2 `max_distance`, D) with K = 0: of negative distances,
            0 and positive ones.
        value_mask, attention_mask, return_attention_scores: as for `MultiHeadAttention`.

    Returns:
        As `MultiHeadAttention`.

    Raises:
        ArgumentError: if `relative_embeddings` are missing, or as `MultiHeadAttention`.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import DisentangledAttention

        text, positions = np.ones((2, 10, 32)), np.ones((64, 32))
        layer = DisentangledAttention(num_heads=4, key_dim=8, num_buckets=32, max_distance=128)
        outputs = layer(text, text, relative_embeddings=positions)  # (2, 10, 32)
        ```
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        *args: Any,
        num_buckets: int = 256,
        max_distance: int = 512,
        content_to_position: bool = True,
        position_to_content: bool = True,
        share_projections: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_heads, key_dim, *args, **kwargs)
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.content_to_position = content_to_position
        self.position_to_content = position_to_content
        self.share_projections = share_projections
        if self.scale is not None:
            raise ArgumentError(
                "`scale`: disentangled scores are divided by their number of terms; leave it out."
            )
        self._score_scale = (key_dim * (1 + content_to_position + position_to_content)) ** -0.5

    def build(self, query_shape, value_shape, relative_embeddings_shape=None):
        """Create the projections, and those of the positions where they have their own."""
        super().build(query_shape, value_shape)
        self._position_key_dense, self._position_query_dense = self._key_dense, self._query_dense
        if not self.share_projections:
            table, heads = (None, None, query_shape[-1]), (self.num_heads, self.key_dim)
            if self.content_to_position:
                self._position_key_dense = self._projection("position_key", table, heads)
            if self.position_to_content:
                self._position_query_dense = self._projection("position_query", table, heads)

    def call(
        self,
        query: Tensor,
        value: Tensor,
        relative_embeddings: Tensor = None,
        value_mask: Tensor = None,
        attention_mask: Tensor = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Any:
        """Attend from `query` to `value`."""
        if relative_embeddings is None:
            raise ArgumentError("`relative_embeddings` (rows, depth) are missing.")
        if query.shape[1] is None or query.shape[1] != value.shape[1]:
            raise ArgumentError(
                "`query` and `value` must have the same length, which must be known; got the shapes "
                f"{tuple(query.shape)} and {tuple(value.shape)}."
            )
        queries, keys = self._query_dense(query), self._key_dense(value)  # (B, T, H, dh)
        outputs, weights = self._compute_attention(
            queries,
            keys,
            self._value_dense(value),
            attention_mask,
            training,
            return_attention_scores,
            key_mask=value_mask,
            bias=self._position_scores(queries, keys, relative_embeddings),
        )
        outputs = self._output_dense(outputs)
        return (outputs, weights) if return_attention_scores else outputs

    def compute_output_shape(self, query_shape, value_shape, relative_embeddings_shape=None):
        """Return the shape of the attended values."""
        return super().compute_output_shape(query_shape, value_shape)

    def _position_scores(self, queries, keys, table):
        """Score contents against the relative positions: (B, H, T, T), or `None` without such terms."""
        # One distance more than there are: see `_shifted`. The products are of all rows, whatever the length,
        # so that graphs of many lengths share the projected rows, which depend on the weights only.
        length, rows = queries.shape[1], ops.expand_dims(table, 0)
        farthest_first, scores = np.arange(length - 1, -length - 1, -1), []
        if self.content_to_position:
            found = _products(queries, self._position_key_dense(rows))  # (B, H, T, R)
            scores.append(_shifted(ops.take(found, self._rows(farthest_first), axis=-1)))
        if self.position_to_content:
            found = _products(keys, self._position_query_dense(rows))  # (B, H, T, R)
            scores.append(_shifted(ops.take(found, self._rows(-farthest_first), axis=-1)))
            scores[-1] = ops.swapaxes(scores[-1], 2, 3)
        if not scores:
            return None
        scale = ops.cast(self._score_scale, queries.dtype)
        return (scores[0] if len(scores) == 1 else scores[0] + scores[1]) * scale

    def _rows(self, distances):
        """Return the rows of the table for distances."""
        reach = self.num_buckets or self.max_distance
        numbers = signed_buckets(distances, self.num_buckets, self.max_distance) + reach
        return ops.convert_to_tensor(np.clip(numbers, 0, 2 * reach - 1))


def _products(contents, positions):
    """Multiply contents (B, T, H, dh) and positions (1, R, H, dh): (B, H, T, R)."""
    return ops.matmul(ops.transpose(contents, (0, 2, 1, 3)), ops.transpose(positions, (0, 2, 3, 1)))


def _shifted(scores):
    """Align scores by distance (B, H, T, 2T) to (B, H, T, T): row i moves left by T - 1 - i.

    Read as one row of T · 2T numbers, it is cut into rows that are shorter by one (Dai et al., 2019,
    arXiv:1901.02860, appendix B).
    """
    batch, heads, length = ops.shape(scores)[0], *scores.shape[1:3]
    flat = ops.reshape(scores, (batch, heads, 2 * length * length))
    rows = ops.reshape(flat[:, :, length - 1 : -1], (batch, heads, length, 2 * length - 1))
    return rows[:, :, :, :length]
