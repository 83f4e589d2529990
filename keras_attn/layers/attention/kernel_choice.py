"""The choice of the attention kernel by backend, device and call."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.utils.jax_utils import is_in_jax_tracing_scope

LANES = 128  # what a TPU kernel's lengths are multiples of
LARGEST_BLOCK = 512  # of queries or keys; larger ones gain nothing and need more of the TPU's vector memory
# The platform that is compiled for, if it differs from the one that JAX runs on.
COMPILED_FOR: ContextVar[str | None] = ContextVar("COMPILED_FOR", default=None)


@dataclass(frozen=True)
class Kernel:
    """A choice and its reason.

    Args:
        name: "explicit" (scores as a tensor, any backend), "splash", "cudnn" or "sdpa".
        reason: one sentence.
    """

    name: str
    reason: str


def choose_kernel(
    *,
    dtype: str,
    head_dim: int,
    value_dim: int,
    query_length: Any,
    key_length: Any,
    has_dense_mask: bool,
    has_dropout: bool,
    wants_scores: bool,
    has_bias: bool = False,
    backend: str | None = None,
    platform: str | None = None,
) -> Kernel:
    """Choose the attention kernel for one call.

    Causal masks, padding of the keys and sliding windows are supported by every kernel.

    Args:
        dtype: dtype of the projected queries, keys and values.
        head_dim: int, dh.
        value_dim: int, dv.
        query_length: int, T, or `None` where unknown.
        key_length: int, S, or `None` where unknown.
        has_dense_mask: whether a mask (B, T, S) or (B, H, T, S) was given.
        has_dropout: whether attention weights are dropped, which is so only in training.
        wants_scores: whether the attention weights are requested.
        has_bias: whether something is added to the scores, as ALiBi does.
        backend: by default Keras' backend.
        platform: "tpu", "gpu" (NVIDIA, Ampere or later) or anything else; by default what is compiled for.
            On torch "cpu" or another device; by default the one that Keras uses.

    Returns:
        A `Kernel`.
    """
    backend = backend or keras.backend.backend()
    dtype = keras.backend.standardize_dtype(dtype)
    for present, what in (
        (wants_scores, "The attention scores are requested"),
        (has_dropout, "Attention weights are dropped in training"),
        (has_bias, "Something is added to the scores"),
    ):
        if present:
            return Kernel("explicit", f"{what}, and fused kernels never form them.")
    if backend == "torch":
        # On a CPU the gradient of torch's fused kernel takes 20 times as long as that of plain products.
        if (platform or _torch_platform()) == "cpu":
            return Kernel("explicit", "On a CPU torch's fused kernels are slow to train.")
        return Kernel("sdpa", "torch chooses among its own fused kernels.")
    if backend != "jax":
        return Kernel("explicit", f"The {backend} backend has no fused attention kernel.")
    platform = platform or COMPILED_FOR.get() or _jax_platform()
    if platform not in ("tpu", "gpu"):
        return Kernel("explicit", f"There is no fused attention kernel for the platform {platform!r}.")
    if query_length is None or key_length is None:
        return Kernel("explicit", "Fused kernels need to know the lengths of queries and keys.")
    if platform == "tpu":
        return _choose_on_tpu(dtype, query_length, has_dense_mask)
    return _choose_on_gpu(dtype, head_dim, value_dim)


def _choose_on_tpu(dtype, query_length, has_dense_mask):
    if has_dense_mask:
        return Kernel("explicit", "Splash attention supports causality, padding and windows, no dense mask.")
    if dtype not in ("float32", "bfloat16"):
        return Kernel("explicit", f"Splash attention takes float32 and bfloat16, not {dtype}.")
    if query_length == 1:
        return Kernel("explicit", f"Splash attention would pad the only query to {LANES}.")
    return Kernel("splash", "Splash attention is the TPU's flash attention.")


def _choose_on_gpu(dtype, head_dim, value_dim):
    if dtype not in ("float16", "bfloat16"):
        return Kernel("explicit", f"cuDNN's flash attention takes float16 and bfloat16, not {dtype}.")
    for name, size in (("head_dim", head_dim), ("value_dim", value_dim)):
        if size % 8 or size > 128:
            return Kernel("explicit", f"cuDNN wants a {name} of at most 128 that 8 divides, not {size}.")
    return Kernel("cudnn", "cuDNN's flash attention is the GPU's fastest.")


def compiles_for_cpu(x):
    """Return whether JAX compiles for a single CPU, where it pays to stay within the cache."""
    if not is_in_jax_tracing_scope(x) or keras.distribution.distribution() is not None:
        return False
    return (COMPILED_FOR.get() or _jax_platform()) == "cpu"


def _torch_platform():
    """Return the device that Keras puts torch's tensors on, without its number."""
    from keras.src.backend.torch.core import get_device

    return get_device().partition(":")[0]


def _jax_platform():
    """Return the platform of JAX; one without cuDNN's flash attention is not called "gpu"."""
    import jax

    platform = jax.default_backend()
    if platform != "gpu":
        return platform
    device = jax.devices()[0]
    if "cuda" not in device.client.platform_version:
        return "rocm"
    return "gpu" if float(device.compute_capability) >= 8.0 else device.device_kind  # Ampere and later
