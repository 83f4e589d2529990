"""Attention masks: built, merged and applied only here.

Every mask is boolean and `True` means *attend*.
"""

import functools

import keras
import numpy as np
from keras import ops
from keras.src.backend import get_keras_mask
from keras.src.utils.jax_utils import is_in_jax_tracing_scope

from keras_attn.errors import ArgumentError

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


def sliding_window_mask(query_length, key_length, window, start_index=0):
    """Let each query see the keys less than `window` positions away, on both sides.

    Args:
        query_length: int, T.
        key_length: int, S.
        window: int.
        start_index: int or int32 scalar tensor, the position of the first query.

    Returns:
        Boolean tensor (T, S).
    """
    queries = ops.arange(query_length, dtype="int32") + ops.cast(start_index, "int32")
    keys = ops.arange(key_length, dtype="int32")
    return ops.abs(ops.expand_dims(queries, 1) - ops.expand_dims(keys, 0)) < window  # (T, S)


def as_mask(mask, name="mask"):
    """Return a mask of booleans, or of 0 and 1 in any dtype, as booleans.

    Args:
        mask: tensor or array.
        name: name of the argument, for messages.

    Raises:
        ArgumentError: if it holds negative numbers. Masks that are added to scores do, and their 0 means
            *attend*: they would be read as the opposite. While a function is traced, values are not known.
    """
    if keras.backend.standardize_dtype(mask.dtype) != "bool" and _is_known(mask):
        smallest = np.min(ops.convert_to_numpy(ops.cast(mask, "float32")), initial=0)
        if smallest < 0:
            raise ArgumentError(
                f"`{name}` must be boolean, or 1 to attend and 0 not to, got {smallest:g}. For a mask that "
                "is added to scores, pass `mask == 0`."
            )
    return ops.cast(mask, "bool")


def _is_known(x):
    """Return whether the values of a tensor are known, which they are not while a function is traced."""
    if isinstance(x, np.ndarray):
        return True
    backend = keras.backend.backend()
    if isinstance(x, keras.KerasTensor) or (backend == "jax" and is_in_jax_tracing_scope(x)):
        return False
    # TensorFlow's symbols have no such method; torch's live on a device without memory.
    return backend == "jax" or (hasattr(x, "numpy") and getattr(x.device, "type", None) != "meta")


def merge_masks(*masks):
    """Intersect masks of rank 2 to 4 that broadcast to (B, T, S) or (B, H, T, S); `None` is skipped.

    Returns:
        The merged boolean mask, or `None` when all are `None`.
    """
    masks = [as_mask(mask) for mask in masks if mask is not None]
    with_heads = any(len(mask.shape) == 4 for mask in masks)
    merged = None
    for mask in masks:
        if with_heads and len(mask.shape) == 3:
            mask = ops.expand_dims(mask, 1)  # (B, 1, T, S)
        merged = mask if merged is None else ops.logical_and(merged, mask)
    return merged


def attention_mask_for(
    *,
    key_mask=None,
    query_mask=None,
    attention_mask=None,
    causal=False,
    sliding_window=None,
    query_length,
    key_length,
    start_index=0,
):
    """Merge everything that restricts one attention into a single mask.

    Args:
        key_mask: boolean (B, S), keys that exist.
        query_mask: boolean (B, T), queries that exist.
        attention_mask: boolean (T, S), (B, T, S) or (B, H, T, S), or anything that broadcasts to it.
        causal: whether a query sees only keys up to its own position.
        sliding_window: int, a query sees only keys fewer than this many positions away; `None` for all.
        query_length: int, T.
        key_length: int, S.
        start_index: position of the first query, for cached decoding.

    Returns:
        Boolean mask that broadcasts to (B, T, S), or to (B, H, T, S) if `attention_mask` has rank 4; `None`
        when nothing is masked.

    Raises:
        ArgumentError: if a mask has another rank or length.
    """
    check_masks(key_mask, query_mask, attention_mask, query_length=query_length, key_length=key_length)
    return merge_masks(
        None if key_mask is None else ops.expand_dims(key_mask, 1),  # (B, 1, S)
        None if query_mask is None else ops.expand_dims(query_mask, 2),  # (B, T, 1)
        attention_mask,
        causal_mask(query_length, key_length, start_index) if causal else None,
        None
        if sliding_window is None
        else sliding_window_mask(query_length, key_length, sliding_window, start_index),
    )


def check_masks(key_mask, query_mask, attention_mask, *, query_length, key_length):
    """Raise an ArgumentError if a mask has the wrong rank, or a known length that is wrong.

    Args:
        key_mask: mask (B, S), or `None`.
        query_mask: mask (B, T), or `None`.
        attention_mask: mask (T, S), (B, T, S) or (B, H, T, S), where 1 stands for any length, or `None`.
        query_length: T, an int if it is known.
        key_length: S, an int if it is known.
    """
    for name, mask, ranks, lengths in (
        ("key_mask", key_mask, (2,), (key_length,)),
        ("query_mask", query_mask, (2,), (query_length,)),
        ("attention_mask", attention_mask, (2, 3, 4), (query_length, key_length)),
    ):
        if mask is None:
            continue
        shape = tuple(mask.shape)
        if len(shape) not in ranks:
            raise ArgumentError(
                f"`{name}` must have rank {' to '.join(map(str, (ranks[0], *ranks[1:][-1:])))}, "
                f"got shape {shape}."
            )
        for size, length in zip(shape[-len(lengths) :], lengths, strict=True):
            known = isinstance(size, int) and isinstance(length, int)
            if known and size != length and (size != 1 or name != "attention_mask"):
                wanted = ", ".join(str(x) if isinstance(x, int) else "any" for x in lengths)
                raise ArgumentError(
                    f"The last axes of `{name}` must have the lengths ({wanted}), got shape {shape}."
                )


def padding_of(inputs, padding_mask, name="padding_mask", length=None):
    """Return the explicit padding mask, or else the inputs' own Keras mask.

    Args:
        inputs: tensor (B, T, D), or `None`.
        padding_mask: boolean (B, T), or `None`.
        name: name of the argument, for messages.
        length: int, T; by default that of `inputs`.

    Raises:
        ArgumentError: if the mask has another rank, a known length that differs, or negative numbers.
    """
    if padding_mask is None:
        return None if inputs is None else get_keras_mask(inputs)
    shape = tuple(padding_mask.shape)
    if len(shape) != 2:
        raise ArgumentError(f"`{name}` should have shape (batch_size, target_length), got {shape}.")
    length = inputs.shape[1] if length is None and inputs is not None else length
    if None not in (shape[1], length) and shape[1] != length:
        raise ArgumentError(f"`{name}` should have shape (batch_size, {length}), got {shape}.")
    return as_mask(padding_mask, name)


def allowed_pairs(rows, columns, mask, key_mask, causal, sliding_window):
    """Merge the masks of fused kernels into one mask, with arrays of any library.

    Unlike `attention_mask_for` it computes causality and windows from indices, so that a compiler may fuse
    them and no (T, S) table becomes part of the program.

    Args:
        rows: int (T, 1), positions of the queries.
        columns: int (1, S), positions of the keys.
        mask: boolean (T, S), (B, T, S) or (B, H, T, S), or `None`.
        key_mask: boolean (B, S), or `None`.
        causal: whether a query sees only keys up to its own position.
        sliding_window: int, or `None`.

    Returns:
        Boolean array that broadcasts to (B, H, T, S), or `None` when nothing is masked.
    """
    parts = []
    if mask is not None:
        parts.append(mask[None, None] if mask.ndim == 2 else mask[:, None] if mask.ndim == 3 else mask)
    if key_mask is not None:
        parts.append(key_mask[:, None, None, :])  # (B, 1, 1, S)
    if causal:
        parts.append((columns <= rows)[None, None])  # (1, 1, T, S)
    if sliding_window is not None:
        parts.append((abs(rows - columns) < sliding_window)[None, None])  # (1, 1, T, S)
    return functools.reduce(lambda a, b: a & b, parts) if parts else None


def masked_scores(scores, mask, bias=None):
    """Replace masked scores by a large negative, finite number.

    By arithmetic, which XLA on a CPU fuses with the softmax, unlike a selection between the two.

    Args:
        scores: float32 tensor (B, H, T, S) or (B, T, S).
        mask: boolean mask of rank 2 to 4 (or `None`); one of rank 3 is shared by the heads.
        bias: array of the mask's rank, added to scores that are not masked; `None` for none.

    Returns:
        Tensor like `scores`; where no key is allowed, all are equal and let no gradient through.
    """
    if mask is None:
        return scores if bias is None else scores + ops.cast(bias, scores.dtype)
    mask = ops.cast(mask, "bool")
    if len(scores.shape) == 4 and len(mask.shape) == 3:
        mask = ops.expand_dims(mask, 1)  # (B, 1, T, S)
    added, masked = (ops.cast(x, scores.dtype) for x in (0 if bias is None else bias, MASKED_SCORE))
    return scores * ops.cast(mask, scores.dtype) + ops.where(mask, added, masked)


def masked_softmax(scores, mask, bias=None):
    """Compute the softmax over the keys, with weight 0 for masked ones.

    Args:
        scores: float32 tensor (B, H, T, S) or (B, T, S).
        mask: boolean mask, as in `masked_scores`.
        bias: as there.

    Returns:
        Weights of the shape and dtype of `scores`; a query that may attend nowhere attends evenly everywhere.
    """
    if scores.shape[-1] == 1:
        return ops.ones_like(scores)  # Keras warns of a softmax over one element
    return ops.softmax(masked_scores(scores, mask, bias), axis=-1)
