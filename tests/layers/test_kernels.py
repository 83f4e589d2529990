"""Which attention kernel is chosen and why, and that each one is given what it means by those arguments."""

from functools import partial

import keras
import numpy as np
import pytest
from attention_cases import BACKWARD, SMALL, Case, attention, gradients

from keras_attn.layers.attention.kernel_choice import choose_kernel
from keras_attn.layers.attention.kernels import cudnn_attention, sdpa_attention, splash_attention

USUAL = {
    "dtype": "bfloat16",
    "head_dim": 64,
    "value_dim": 64,
    "query_length": 512,
    "key_length": 512,
    "has_dense_mask": False,
    "has_dropout": False,
    "wants_scores": False,
}
TPU = {"backend": "jax", "platform": "tpu"}
GPU = {"backend": "jax", "platform": "gpu"}


@pytest.mark.parametrize(
    ("name", "because", "call"),
    [
        ("splash", "TPU", TPU),
        ("splash", "TPU", {**TPU, "dtype": "float32", "head_dim": 80, "query_length": 100, "key_length": 7}),
        ("explicit", "float16", {**TPU, "dtype": "float16"}),
        ("explicit", "dense mask", {**TPU, "has_dense_mask": True}),
        ("explicit", "dropped", {**TPU, "has_dropout": True}),
        ("explicit", "requested", {**TPU, "wants_scores": True}),
        ("explicit", "added", {**TPU, "has_bias": True}),
        ("explicit", "only query", {**TPU, "query_length": 1}),
        ("explicit", "lengths", {**TPU, "key_length": None}),
        ("cudnn", "GPU", GPU),
        ("cudnn", "GPU", {**GPU, "dtype": "float16", "head_dim": 128, "value_dim": 8, "query_length": 1}),
        ("cudnn", "GPU", {**GPU, "has_dense_mask": True}),
        ("explicit", "float32", {**GPU, "dtype": "float32"}),
        ("explicit", "head_dim", {**GPU, "head_dim": 60}),
        ("explicit", "value_dim", {**GPU, "value_dim": 256}),
        ("explicit", "dropped", {**GPU, "has_dropout": True}),
        ("explicit", "requested", {**GPU, "wants_scores": True}),
        ("explicit", "added", {**GPU, "has_bias": True}),
        ("explicit", "cpu", {"backend": "jax", "platform": "cpu"}),
        ("sdpa", "torch", {"backend": "torch", "platform": "cuda"}),
        (
            "sdpa",
            "torch",
            {"backend": "torch", "platform": "cuda", "has_dense_mask": True, "query_length": None},
        ),
        ("explicit", "slow to train", {"backend": "torch", "platform": "cpu"}),
        ("explicit", "dropped", {"backend": "torch", "has_dropout": True}),
        ("explicit", "requested", {"backend": "torch", "wants_scores": True}),
        ("explicit", "tensorflow", {"backend": "tensorflow", "platform": "tpu"}),
    ],
)
def test_the_kernel_is_chosen_for_a_reason(name, because, call):
    chosen = choose_kernel(**{**USUAL, **call})
    assert chosen.name == name
    assert because in chosen.reason
    assert chosen.reason.endswith(".") and chosen.reason.count(". ") == 0


def test_backend_and_device_are_reported(monkeypatch):
    jax = pytest.importorskip("jax")
    backend = keras.backend.backend()
    assert choose_kernel(**USUAL) == choose_kernel(**USUAL, backend=backend)
    if jax.default_backend() == "cpu":
        assert "'cpu'" in choose_kernel(**USUAL, backend="jax").reason

    class Device:
        device_kind = "Tesla T4"
        compute_capability = "7.5"
        client = type("Client", (), {"platform_version": "cuda 12090"})

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    assert "Tesla T4" in choose_kernel(**USUAL, backend="jax").reason
    Device.compute_capability = "9.0"
    assert choose_kernel(**USUAL, backend="jax").name == "cudnn"
    Device.client.platform_version = "rocm 60300"
    assert "rocm" in choose_kernel(**USUAL, backend="jax").reason


@pytest.mark.parametrize("name", SMALL)
def test_the_arguments_for_cudnn_mean_attention(name):
    jax = pytest.importorskip("jax")
    case = SMALL[name]
    *qkv, key_mask, cotangent = case.arrays()
    allowed = case.allowed(key_mask)

    def attend(*qkv):
        return cudnn_attention(*qkv, key_mask=key_mask, implementation="xla", **case.options)

    def forward_and_backward(*qkv):
        outputs, backward = jax.vjp(attend, *qkv)
        return outputs, backward(cotangent)

    if name in BACKWARD:
        outputs, got = jax.jit(forward_and_backward)(*qkv)
        for gradient, wanted in zip(got, gradients(*qkv, allowed, cotangent), strict=True):
            np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-5)
    else:
        outputs = jax.jit(attend)(*qkv)
    np.testing.assert_allclose(outputs, attention(*qkv, allowed), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "native"),
    [("no mask", True), ("causal", True), ("causal, padded on the left", False), ("cross", False)],
)
def test_cudnn_gets_a_mask_only_where_it_needs_one(name, native, monkeypatch):
    jax = pytest.importorskip("jax")
    given = {}

    def record(query, key, value, **kwargs):
        given.update(kwargs, shapes=(query.shape, key.shape))
        return query

    monkeypatch.setattr(jax.nn, "dot_product_attention", record)
    case = SMALL[name]
    *qkv, key_mask, _ = case.arrays()
    cudnn_attention(*qkv, key_mask=key_mask, **case.options)
    assert given["implementation"] == "cudnn"
    assert given["is_causal"] == (native and case.causal)
    if native:
        assert given["mask"] is None
    else:  # cuDNN's backward pass refuses a mask of odd lengths, and any that still has to be broadcast
        assert given["mask"].shape == (3, 1, given["shapes"][0][1], given["shapes"][1][1])
        assert not any(length % 2 for length in given["mask"].shape[2:])


def dense_masks(case):
    """One mask of each rank, with a query that may attend nowhere."""
    rng = np.random.default_rng(7)
    for shape in ((), (3,), (3, case.heads), (1, 1)):
        mask = rng.random((*shape, case.length, case.key_length)) < 0.6
        mask[..., 1, :] = False
        yield mask, mask[:, None] if mask.ndim == 3 else mask


def test_cudnn_takes_dense_masks_of_every_rank():
    jax = pytest.importorskip("jax")
    case = Case(5, 7, heads=4, key_heads=2, causal=True, key_mask="holes")
    *qkv, key_mask, _ = case.arrays()
    for mask, of_rank_4 in dense_masks(case):
        attend = partial(cudnn_attention, mask=mask, key_mask=key_mask, implementation="xla", **case.options)
        outputs = jax.jit(attend)(*qkv)
        expected = attention(*qkv, case.allowed(key_mask) & of_rank_4)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("name", SMALL)
def test_torchs_kernel_is_attention_forward_and_backward(name):
    torch = pytest.importorskip("torch")
    case = SMALL[name]
    *qkv, key_mask, cotangent = case.arrays()
    allowed = case.allowed(key_mask)
    tensors = [torch.tensor(x, requires_grad=True) for x in qkv]
    exists = None if key_mask is None else torch.tensor(key_mask)
    outputs = sdpa_attention(*tensors, key_mask=exists, **case.options)
    outputs.backward(torch.tensor(cotangent))
    np.testing.assert_allclose(outputs.detach(), attention(*qkv, allowed), rtol=0, atol=1e-5)
    for tensor, wanted in zip(tensors, gradients(*qkv, allowed, cotangent), strict=True):
        np.testing.assert_allclose(tensor.grad, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parity
def test_torchs_kernel_takes_dense_masks_of_every_rank():
    torch = pytest.importorskip("torch")
    case = Case(5, 7, heads=4, key_heads=2, causal=True, key_mask="holes")
    *qkv, key_mask, _ = case.arrays()
    tensors = [torch.tensor(x) for x in (*qkv, key_mask)]
    for mask, of_rank_4 in dense_masks(case):
        outputs = sdpa_attention(*tensors[:3], key_mask=tensors[3], mask=torch.tensor(mask), **case.options)
        expected = attention(*qkv, case.allowed(key_mask) & of_rank_4)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kernel", [splash_attention, cudnn_attention, sdpa_attention])
@pytest.mark.parametrize(
    ("shapes", "options", "saying"),
    [
        (((2, 4, 8), (2, 4, 2, 8), (2, 4, 2, 8)), {}, "`query` must be"),
        (((2, 4, 2, 8), (3, 4, 2, 8), (3, 4, 2, 8)), {}, "`query` and `key`"),
        (((2, 4, 2, 8), (2, 4, 2, 16), (2, 4, 2, 8)), {}, "`query` and `key`"),
        (((2, 4, 2, 8), (2, 4, 2, 8), (2, 5, 2, 8)), {}, "`key` and `value`"),
        (((2, 4, 3, 8), (2, 4, 2, 8), (2, 4, 2, 8)), {}, "must divide the 3 heads"),
        (((2, 4, 2, 8),) * 3, {"sliding_window": 0}, "`sliding_window` must be"),
    ],
)
def test_wrong_use_is_named(kernel, shapes, options, saying):
    pytest.importorskip("torch" if kernel is sdpa_attention else "jax")
    with pytest.raises(ValueError, match=saying):
        kernel(*(np.zeros(shape, "float32") for shape in shapes), scale=1.0, **options)
