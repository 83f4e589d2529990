"""Attention kernels of accelerators; `kernel_choice.py` decides when each is used.

`splash_attention`   TPU: Pallas' block-sparse flash kernel, sharded explicitly on a mesh
`cudnn_attention`    NVIDIA GPU: cuDNN's flash attention through `jax.nn.dot_product_attention`
`sdpa_attention`     torch: `torch.nn.functional.scaled_dot_product_attention`

All three compute what `dot_product.dot_product_attention` computes; a query that may attend nowhere attends
evenly everywhere. Query i sees key j causally where j <= i, and through a window w where |i - j| < w.
`keras.ops.dot_product_attention` is not used: on TPU Keras 3.15 always computes causal, unscaled attention,
and applies the first example's mask to the whole batch.
"""

import functools
import math
from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers.attention.kernel_choice import LANES, LARGEST_BLOCK
from keras_attn.layers.masks import allowed_pairs


def splash_attention(
    query, key, value, *, key_mask=None, causal=False, sliding_window=None, scale, interpret=False
):
    """Attend on TPU with Pallas' splash attention.

    Differentiable. Under a Keras distribution, or in the context of a JAX mesh, the batch is partitioned
    along the distribution's batch axis (or the mesh's first) and the heads along the next one, where the
    sizes divide: XLA cannot partition a TPU kernel by itself.

    Args:
        query: float32 or bfloat16 array (B, T, H, dh).
        key: array (B, S, K, dh) of the same dtype; K divides H.
        value: array (B, S, K, dv) of the same dtype.
        key_mask: boolean (B, S), keys that exist.
        causal: whether query i sees only keys j <= i.
        sliding_window: int w, query i sees only keys with |i - j| < w.
        scale: float, what the scores are multiplied by.
        interpret: whether to interpret the kernel on any device, slowly, for tests.

    Returns:
        Array (B, T, H, dv).

    Raises:
        ArgumentError: if the shapes do not fit together, or the window is not positive.
    """
    import jax

    _check(query, key, value, sliding_window)
    options = {"causal": causal, "sliding_window": sliding_window, "scale": scale, "interpret": interpret}
    attend = functools.partial(_splash_on_one_device, **options)
    partition = _partition(batch=query.shape[0], heads=query.shape[2])
    if partition is None:
        return attend(query, key, value, key_mask)
    mesh, batch_axis, heads_axis, axes = partition
    if heads_axis is not None:  # each device needs whole groups of query heads with their key head
        repeats = math.lcm(key.shape[2], mesh.shape[heads_axis]) // key.shape[2]
        key, value = (jax.numpy.repeat(x, repeats, axis=2) for x in (key, value))
    by_head = jax.P(batch_axis, None, heads_axis, None)
    return jax.shard_map(
        attend,
        mesh=mesh,
        in_specs=(by_head, by_head, by_head, jax.P(batch_axis, None)),
        out_specs=by_head,
        axis_names=axes,
        check_vma=False,  # Pallas' kernels do not say along which axes their results vary
    )(query, key, value, key_mask)


def _partition(batch, heads):
    """Return the mesh, its axes for the batch and the heads, and all that are to be mapped over; or `None`.

    The result does not depend on the axes: what does not divide is replicated.
    """
    import jax

    distribution = keras.distribution.distribution()
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty and distribution is not None:
        mesh = distribution.device_mesh.backend_mesh
    free = [name for name in mesh.axis_names if name not in getattr(mesh, "manual_axes", ())]
    if not free:
        return None  # no mesh, or inside a shard_map: the arrays are one device's
    batch_axis = getattr(distribution, "batch_dim_name", None)
    batch_axis = batch_axis if batch_axis in free else free[0]
    heads_axis = next((name for name in free if name != batch_axis), None)

    def dividing(name, size):
        return None if name is None or size % mesh.shape[name] else name

    return mesh, dividing(batch_axis, batch), dividing(heads_axis, heads), set(free)


def _splash_on_one_device(query, key, value, key_mask, *, causal, sliding_window, scale, interpret):
    import jax
    import jax.numpy as jnp
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash

    (batch, length, heads, _), key_length = query.shape, key.shape[1]
    rows, columns = _round_up(length, LANES), _round_up(key_length, LANES)
    blocks: dict[str, Any] = {  # of the forward pass and of both backward passes
        f"block_{of}{direction}": math.gcd(size, LARGEST_BLOCK)
        for of, size in (("q", rows), ("kv", columns))
        for direction in ("", "_dkv", "_dq")
    }
    kernel = splash.make_splash_mha(
        _splash_mask(heads, rows, columns, causal, sliding_window),
        block_sizes=splash.BlockSizes(**blocks),
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )
    segments = None  # all keys exist
    if key_mask is not None or columns != key_length:
        exists = jnp.ones((batch, key_length), bool) if key_mask is None else key_mask.astype(bool)
        segments = splash.SegmentIds(
            q=jnp.ones((batch, rows), "int32"),
            kv=_pad(exists.astype("int32"), 1, columns),  # (B, columns)
        )
    scaled = (query.astype("float32") * scale).astype(query.dtype)  # the kernel itself does not scale
    outputs: Any = jax.vmap(kernel)(
        _pad(scaled.swapaxes(1, 2), 2, rows),  # (B, H, rows, dh)
        _pad(key.swapaxes(1, 2), 2, columns),  # (B, K, columns, dh)
        _pad(value.swapaxes(1, 2), 2, columns),  # (B, K, columns, dv)
        segments,
    )
    outputs = outputs[:, :, :length].swapaxes(1, 2)  # (B, T, H, dv)
    if key_mask is None and (sliding_window is None or length < key_length + sliding_window):
        return outputs
    # If a query sees no key, the kernel divides by zero or its gradients are far too large.
    has_key = _has_visible_key(key_mask, length, key_length, causal, sliding_window)[:, :, None, None]
    evenly = value.astype("float32").mean(1, keepdims=True).astype(value.dtype)  # (B, 1, K, dv)
    return jnp.where(has_key, outputs, jnp.repeat(evenly, heads // key.shape[2], axis=2))


def _splash_mask(heads, rows, columns, causal, sliding_window):
    """Return the structure by which the kernel skips blocks; all heads share it."""
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as splash

    if sliding_window is not None:
        reach = sliding_window - 1
        mask = splash.LocalMask((rows, columns), (reach, 0 if causal else reach), offset=0)
    elif causal:
        mask = splash.CausalMask((rows, columns))
    else:
        mask = splash.FullMask((rows, columns))
    return splash.MultiHeadMask([mask] * heads)


def _has_visible_key(key_mask, length, key_length, causal, sliding_window):
    """Return which queries see any key, (B, T) or (1, T), without forming (B, T, S)."""
    import jax.numpy as jnp

    key_mask = jnp.ones((1, key_length), bool) if key_mask is None else key_mask.astype(bool)
    before = jnp.pad(jnp.cumsum(key_mask, axis=1, dtype="int32"), ((0, 0), (1, 0)))  # (B, S + 1)
    i = jnp.arange(length)
    first, end = jnp.zeros_like(i), jnp.full_like(i, key_length)
    if sliding_window is not None:
        first, end = jnp.minimum(i - sliding_window + 1, key_length), i + sliding_window
    if causal:
        end = i + 1
    return before[:, jnp.minimum(end, key_length)] > before[:, jnp.maximum(first, 0)]


def cudnn_attention(
    query,
    key,
    value,
    *,
    key_mask=None,
    mask=None,
    causal=False,
    sliding_window=None,
    scale,
    implementation: Any = "cudnn",
):
    """Attend on an NVIDIA GPU with cuDNN's flash attention.

    Differentiable, and partitioned by XLA along batch and heads. Causality and causal windows are skipped
    over inside the kernel; everything else becomes one mask (B, 1 or H, T, S).

    Args:
        query: float16 or bfloat16 array (B, T, H, dh).
        key: array (B, S, K, dh) of the same dtype; K divides H.
        value: array (B, S, K, dv) of the same dtype.
        key_mask: boolean (B, S), keys that exist.
        mask: boolean (T, S), (B, T, S) or (B, H, T, S); what is 1 broadcasts.
        causal: whether query i sees only keys j <= i.
        sliding_window: int w, query i sees only keys with |i - j| < w.
        scale: float, what the scores are multiplied by.
        implementation: "cudnn", or "xla" to compute the same without a GPU.

    Returns:
        Array (B, T, H, dv).

    Raises:
        ArgumentError: if the shapes do not fit together, or the window is not positive.
    """
    import jax
    import jax.numpy as jnp

    _check(query, key, value, sliding_window)
    (length, _, depth), (key_length, _, value_depth) = query.shape[1:], value.shape[1:]
    native = mask is None and key_mask is None and length == key_length and (causal or sliding_window is None)
    allowed = None
    if not native:
        rows, columns = jnp.arange(length)[:, None], jnp.arange(key_length)[None, :]
        allowed = allowed_pairs(rows, columns, mask, key_mask, causal, sliding_window)
    if allowed is not None:
        fully_masked = ~allowed.any(-1)[..., None]  # (B, H, T, 1); a query of zeros attends evenly
        query = jnp.where(fully_masked.swapaxes(1, 2), 0, query)
        allowed = jnp.broadcast_to(allowed | fully_masked, (*allowed.shape[:2], length, key_length))
        # cuDNN's backward pass with a mask wants even lengths.
        even, even_keys = _round_up(length, 2), _round_up(key_length, 2)
        allowed = _pad(_pad(allowed, 2, even), 3, even_keys)
        query, key, value = _pad(query, 1, even), _pad(key, 1, even_keys), _pad(value, 1, even_keys)
    size = max(depth, value_depth)  # JAX wants heads and values of one size
    outputs = jax.nn.dot_product_attention(
        *(_pad(x, 3, size) for x in (query, key, value)),
        mask=allowed,
        scale=scale,
        is_causal=native and causal,
        local_window_size=(sliding_window - 1, 0) if native and sliding_window is not None else None,
        implementation=implementation,
    )
    return outputs[:, :length, :, :value_depth]


def sdpa_attention(query, key, value, *, key_mask=None, mask=None, causal=False, sliding_window=None, scale):
    """Attend in torch with its own choice of fused kernels.

    Arguments, result and errors are those of `cudnn_attention`, with torch tensors of any float dtype.
    """
    import torch  # pyright: ignore[reportMissingImports]  # installed if Keras runs on it

    _check(query, key, value, sliding_window)
    native = mask is None and key_mask is None and sliding_window is None
    allowed: Any = None
    heads_first = query.transpose(1, 2)  # (B, H, T, dh)
    if not native:
        rows = torch.arange(query.shape[1], device=query.device)[:, None]
        columns = torch.arange(key.shape[1], device=query.device)[None, :]
        allowed = allowed_pairs(rows, columns, mask, key_mask, causal, sliding_window)
        fully_masked = ~allowed.any(-1)[..., None]  # (B, H, T, 1); a query of zeros attends evenly
        allowed, heads_first = allowed | fully_masked, heads_first.masked_fill(fully_masked, 0)
    outputs = torch.nn.functional.scaled_dot_product_attention(
        heads_first,
        key.transpose(1, 2),
        value.transpose(1, 2),
        attn_mask=allowed,
        is_causal=native and causal,
        scale=scale,
        enable_gqa=query.shape[2] != key.shape[2],
    )
    return outputs.transpose(1, 2)  # (B, T, H, dv)


def _check(query, key, value, sliding_window):
    for name, x in (("query", query), ("key", key), ("value", value)):
        if len(x.shape) != 4:
            raise ArgumentError(f"`{name}` must be (batch, length, heads, size), got shape {tuple(x.shape)}.")
    query, key, value = (tuple(x.shape) for x in (query, key, value))
    if query[0] != key[0] or query[3] != key[3]:
        raise ArgumentError(f"`query` and `key` must agree in batch and head size, got {query} and {key}.")
    if key[:3] != value[:3]:
        raise ArgumentError(
            f"`key` and `value` must agree in batch, length and heads, got {key} and {value}."
        )
    if query[2] % key[2]:
        raise ArgumentError(f"The {key[2]} heads of `key` must divide the {query[2]} heads of `query`.")
    if sliding_window is not None and sliding_window <= 0:
        raise ArgumentError(f"`sliding_window` must be a positive int or None, got {sliding_window}.")


def _round_up(size, multiple):
    return -(-size // multiple) * multiple


def _pad(x, axis, size):
    """Append zeros (or `False`) along a JAX array's axis up to `size`."""
    import jax.numpy as jnp

    missing = size - x.shape[axis]
    return jnp.pad(x, [(0, missing if i == axis else 0) for i in range(x.ndim)]) if missing else x
