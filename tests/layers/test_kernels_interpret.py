"""The TPU's kernel without a TPU: Pallas interprets it, and it must be attention by definition."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
from attention_cases import BACKWARD, CASES, SCALE, Case, attention, gradients

from keras_attn.layers.attention.kernels import splash_attention

ROOT = Path(__file__).resolve().parents[2]

jax = pytest.importorskip("jax", reason="splash attention is JAX's")


# What the interpreter makes of a kernel takes XLA long to compile, and next to nothing to run.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def splash_of(case, key_mask):
    return partial(splash_attention, key_mask=key_mask, interpret=True, **case.options)


@pytest.mark.parametrize("name", [name for name in CASES if name not in BACKWARD])
def test_splash_is_attention(name):
    case = CASES[name]
    *qkv, key_mask, _ = case.arrays()
    outputs = jax.jit(splash_of(case, key_mask), compiler_options=QUICK)(*qkv)
    assert outputs.dtype == qkv[0].dtype
    np.testing.assert_allclose(outputs, attention(*qkv, case.allowed(key_mask)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", BACKWARD)
def test_splash_is_attention_forward_and_backward(name):
    case = CASES[name]
    *qkv, key_mask, cotangent = case.arrays()
    allowed = case.allowed(key_mask)

    def forward_and_backward(*qkv):
        outputs, backward = jax.vjp(splash_of(case, key_mask), *qkv)
        return outputs, backward(cotangent)

    outputs, got = jax.jit(forward_and_backward, compiler_options=QUICK)(*qkv)
    np.testing.assert_allclose(outputs, attention(*qkv, allowed), rtol=0, atol=1e-5)
    for gradient, wanted, what in zip(got, gradients(*qkv, allowed, cotangent), "qkv", strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-5, err_msg=f"gradient of {what}")


def test_splash_in_bfloat16_errs_by_bfloat16s_precision():
    case = CASES["causal, padded on the left"]
    *qkv, key_mask, _ = case.arrays()
    qkv = [jax.numpy.asarray(x, "bfloat16") for x in qkv]
    outputs = jax.jit(splash_of(case, key_mask), compiler_options=QUICK)(*qkv)
    expected = attention(*(np.asarray(x, "float32") for x in qkv), case.allowed(key_mask))
    assert outputs.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(outputs, "float32"), expected, rtol=2**-7, atol=2**-7)


# Sharded on four devices: the numbers, and whether a device holds only its part of the batch and the heads.
SHARDED = """
import sys; sys.path[:0] = ["tests/support"]
import json, jax, keras, numpy as np
from attention_cases import Case, attention
from keras_attn.layers.attention.kernels import splash_attention

mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(2, 2), ("data", "model"))

def run(case, context, batch=2):
    *qkv, key_mask, _ = case.arrays()
    qkv, key_mask = [x[:batch] for x in qkv], key_mask[:batch]
    def attend(q, k, v, m):
        return splash_attention(q, k, v, key_mask=m, interpret=True, **case.options)
    with context():
        out = jax.jit(attend)(*qkv, key_mask)
    wanted = attention(*qkv, case.allowed(key_mask))
    spec = getattr(out.sharding, "spec", ())
    return {"error": float(np.abs(out - wanted).max()), "spec": [str(s) for s in spec]}

def keras_scope():
    devices = keras.distribution.DeviceMesh((2, 2), ("data", "model"))
    return keras.distribution.ModelParallel(
        layout_map=keras.distribution.LayoutMap(devices), batch_dim_name="data", auto_shard_dataset=False
    ).scope()

four = Case(9, 12, heads=4, key_heads=4, causal=True, key_mask="holes")
grouped = Case(9, 12, heads=4, key_heads=1, key_mask="right")
odd = Case(9, 12, heads=3, key_heads=3, key_mask="right")
results = {
    "keras": run(four, keras_scope),
    "mesh": run(four, lambda: jax.set_mesh(mesh)),
    "grouped": run(grouped, keras_scope),
    "indivisible": run(odd, keras_scope, batch=3),
}
def local(q, k, v, m):
    return splash_attention(q, k, v, key_mask=m, interpret=True, **four.options)
*qkv, key_mask, _ = [x if x is None else x[:2] for x in four.arrays()]
by = jax.P("data", None, "model", None)
with keras_scope():
    out = jax.jit(jax.shard_map(local, mesh=mesh, in_specs=(by, by, by, jax.P("data")), out_specs=by,
                                check_vma=False))(*qkv, key_mask)
results["inside shard_map"] = {
    "error": float(np.abs(out - attention(*qkv, four.allowed(key_mask))).max()), "spec": []}
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def sharded():
    env = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4",
    }
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300
    )
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("how", "parted"),
    [
        ("keras", True),
        ("mesh", True),
        ("grouped", True),
        ("indivisible", False),
        ("inside shard_map", False),
    ],
)
def test_sharded_splash_is_attention_and_parts_what_divides(sharded, how, parted):
    assert sharded[how]["error"] <= 1e-5
    assert ({"data", "model"} <= set(sharded[how]["spec"])) == parted, sharded[how]


# ---- Keras' own path, which this module replaces ----


class PretendedTPU:
    """`jax` as Keras' module sees it on a TPU."""

    class Device:
        platform = "tpu"

    def __getattr__(self, name):
        return (lambda *args: [self.Device()]) if name == "devices" else getattr(jax, name)


def test_keras_still_computes_causal_unscaled_attention_on_tpu():
    if keras.backend.backend() != "jax":
        pytest.skip("only Keras on JAX has this path")
    import keras.src.backend.jax.nn as keras_nn

    kernels = keras_nn.splash_attention_kernel
    make = kernels.make_splash_mha
    case = Case()
    *qkv, _, _ = case.arrays()
    with (
        mock.patch.object(keras_nn, "jax", PretendedTPU()),
        mock.patch.object(kernels, "make_splash_mha", lambda **kw: make(**kw, interpret=True)),
    ):
        unmasked = np.asarray(keras.ops.dot_product_attention(*qkv))
        padding = np.arange(128)[None, None, None, :] < np.array([128, 40, 128])[:, None, None, None]
        padding = np.broadcast_to(padding, (3, 1, 128, 128))
        masked = np.asarray(keras.ops.dot_product_attention(*qkv, mask=padding, scale=SCALE))
    scale = case.head_dim**-0.5
    right = attention(*qkv, case.allowed(), scale)
    causal_unscaled = attention(*qkv, Case(causal=True).allowed(), 1.0)
    right_masked = attention(*qkv, padding, SCALE)
    advice = (
        f"keras {keras.__version__} has mended its attention on TPU. Say so in the documentation, narrow the "
        "reasons given in keras_attn/layers/attention/kernels.py, and drop this test."
    )
    assert np.abs(unmasked - right).max() > 0.1, advice
    assert np.abs(masked - right_masked).max() > 0.1, advice
    np.testing.assert_allclose(unmasked, causal_unscaled, atol=1e-4, err_msg="wrong in a new way")
