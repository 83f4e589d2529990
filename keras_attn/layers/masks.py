"""The one place where attention masks are built, merged and applied.

Every mask is boolean and ``True`` means *attend*.
"""

import numpy as np
from keras import ops

# Far below any real score, yet finite: a query that may attend nowhere gets uniform weights and finite
# gradients instead of NaN.
MASKED_SCORE = -1e9


def causal_mask(query_length, key_length, start_index=0):
    """Let each query see the keys up to its own position.

    Args:
        query_length: int, T.
        key_length: int, S.
        start_index: int or int32 scalar tensor, the position of the first query.

    Returns:
        Boolean array or tensor (T, S).
    """
    if isinstance(start_index, int) and isinstance(query_length, int) and isinstance(key_length, int):
        return np.arange(key_length)[None, :] <= np.arange(query_length)[:, None] + start_index  # (T, S)
    queries = ops.arange(query_length, dtype="int32") + ops.cast(start_index, "int32")
    keys = ops.arange(key_length, dtype="int32")
    return ops.expand_dims(keys, 0) <= ops.expand_dims(queries, 1)  # (T, S)


def merge_masks(*masks):
    """Intersect masks of rank 2 to 4 that broadcast to (B, T, S) or (B, H, T, S); `None` is skipped.

    Returns:
        The merged boolean mask, or `None` when all are `None`.
    """
    merged = None
    for mask in masks:
        if mask is None:
            continue
        mask = ops.cast(mask, "bool")
        merged = mask if merged is None else ops.logical_and(merged, mask)
    return merged


def attention_mask_for(
    *,
    key_mask=None,
    query_mask=None,
    attention_mask=None,
    causal=False,
    query_length,
    key_length,
    start_index=0,
):
    """Merge everything that restricts one attention into a single mask.

    Args:
        key_mask: boolean (B, S), keys that exist.
        query_mask: boolean (B, T), queries that exist.
        attention_mask: boolean (B, T, S), or anything that broadcasts to it.
        causal: whether a query sees only keys up to its own position.
        query_length: int, T.
        key_length: int, S.
        start_index: position of the first query, for cached decoding.

    Returns:
        Boolean mask that broadcasts to (B, T, S), or `None` when nothing is masked.
    """
    return merge_masks(
        None if key_mask is None else ops.expand_dims(key_mask, 1),  # (B, 1, S)
        None if query_mask is None else ops.expand_dims(query_mask, 2),  # (B, T, 1)
        attention_mask,
        causal_mask(query_length, key_length, start_index) if causal else None,
    )


def masked_softmax(scores, mask):
    """Softmax over the keys, with masked scores replaced by a large negative, finite number.

    Args:
        scores: float tensor (B, H, T, S) or (B, T, S).
        mask: boolean mask of rank 2 to 4 (or `None`); one of rank 3 is shared by the heads.

    Returns:
        Weights of the shape and dtype of `scores`; a query that may attend nowhere attends evenly everywhere.
    """
    if scores.shape[-1] == 1:
        return ops.ones_like(scores)  # Keras warns of a softmax over one element
    if mask is not None:
        mask = ops.cast(mask, "bool")
        if len(scores.shape) == 4 and len(mask.shape) == 3:
            mask = ops.expand_dims(mask, 1)  # (B, 1, T, S)
        scores = ops.where(mask, scores, ops.cast(MASKED_SCORE, scores.dtype))
    return ops.softmax(scores, axis=-1)
