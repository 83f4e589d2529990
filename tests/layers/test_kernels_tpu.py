"""Splash attention compiled ahead of time for TPU v5e, forward and backward, without a TPU.

Run as a program, this file compiles everything and prints one JSON object; the tests read it. libtpu wants a
process of its own.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Out of the way of all other tests, whose JAX would look for a TPU if it found libtpu.
LIBTPU = Path(sys.prefix) / "tpu"
TOPOLOGY = "v5e:2x2"
COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")

# T, S, H, K, dh, dv, options; "padded" gives a mask of the keys.
UNSHARDED = {
    "no mask": (512, 512, 4, 4, 64, 64, {}),
    "causal, float32": (256, 256, 4, 4, 64, 64, {"causal": True, "dtype": "float32"}),
    "padding": (512, 512, 4, 4, 64, 64, {"padded": True}),
    "cross, lengths that need padding": (100, 333, 4, 4, 64, 64, {"padded": True}),
    "window": (640, 640, 4, 4, 128, 128, {"sliding_window": 100, "causal": True}),
    "grouped heads of odd sizes": (256, 256, 4, 2, 40, 24, {"causal": True, "padded": True}),
}
SHARDED = {
    "data": ((4, 1), (256, 256, 4, 4, 64, 64, {"padded": True})),
    "data and heads": ((2, 2), (256, 256, 4, 4, 64, 64, {"causal": True, "padded": True})),
    "heads": ((1, 4), (256, 200, 4, 4, 64, 64, {})),
}


def compile_all():
    """Compile every case; give for each the number of TPU kernels and of collectives, or the error."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from keras_attn.layers.attention.kernels import splash_attention

    devices = np.array(topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGY).devices)

    def compile_one(mesh, sizes, context_mesh):
        length, key_length, heads, key_heads, head_dim, value_dim, options = sizes
        options = dict(options)
        dtype, padded = options.pop("dtype", "bfloat16"), options.pop("padded", False)

        def array(*shape):
            by = PartitionSpec("batch", None, "model") if len(shape) > 2 else PartitionSpec("batch")
            kind = dtype if len(shape) > 2 else "bool"
            return jax.ShapeDtypeStruct((8, *shape[1:]), kind, sharding=NamedSharding(mesh, by))

        def loss(query, key, value, key_mask):
            outputs = splash_attention(query, key, value, key_mask=key_mask, scale=0.125, **options)
            return outputs.astype("float32")

        def step(query, key, value, key_mask, cotangent):
            outputs, backward = jax.vjp(lambda *qkv: loss(*qkv, key_mask), query, key, value)
            return outputs, backward(cotangent.astype(jnp.float32))

        arguments = (
            array(8, length, heads, head_dim),
            array(8, key_length, key_heads, head_dim),
            array(8, key_length, key_heads, value_dim),
            array(8, key_length) if padded else None,
            array(8, length, heads, value_dim),
        )
        with jax.sharding.use_abstract_mesh(context_mesh):
            lowered = jax.jit(step).trace(*arguments).lower(lowering_platforms=("tpu",))
        text = lowered.compile().as_text()
        return {
            "kernels": text.count('custom_call_target="tpu_custom_call"'),
            "collectives": sum(text.count(f" {name}") for name in COLLECTIVES),
        }

    one = Mesh(devices.flatten()[:1].reshape(1, 1), ("batch", "model"))
    cases = [(name, one, sizes, jax.sharding.AbstractMesh((), ())) for name, sizes in UNSHARDED.items()]
    for name, (shape, sizes) in SHARDED.items():
        mesh = Mesh(devices.reshape(shape), ("batch", "model"))
        cases.append((name, mesh, sizes, mesh.abstract_mesh))
    # What XLA says to the kernel alone, without our shard_map: the reason for it.
    name, mesh, sizes, _ = cases[-2]
    cases.append(("unaware of the mesh", mesh, sizes, jax.sharding.AbstractMesh((), ())))
    results = {}
    for name, *case in cases:
        try:
            results[name] = compile_one(*case)
        except Exception as error:  # the test shows it
            results[name] = {"error": f"{type(error).__name__}: {error}"[:2000]}
    return results


@pytest.fixture(scope="module")
def compiled():
    if importlib.util.find_spec("libtpu") is None and not (LIBTPU / "libtpu").is_dir():
        pytest.skip("libtpu is not installed: `make test` puts it into .venv/tpu where it can be had")
    env = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "JAX_OPTIMIZATION_LEVEL": "O0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(LIBTPU)]),
    }
    done = subprocess.run(
        [sys.executable, __file__], cwd=ROOT, env=env, capture_output=True, text=True, timeout=1500
    )
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.tpu
@pytest.mark.parametrize("name", [*UNSHARDED, *SHARDED])
def test_forward_and_backward_compile_for_tpu(compiled, name):
    # Forward, the queries' gradient, the keys' and values' gradient; and every device minds its own part.
    assert compiled[name] == {"kernels": 3, "collectives": 0}


@pytest.mark.tpu
def test_xla_still_cannot_partition_the_kernel_by_itself(compiled):
    assert "cannot be automatically partitioned" in compiled["unaware of the mesh"].get("error", ""), (
        "XLA partitions Mosaic kernels now: layers/attention/kernels.py may no longer need shard_map."
    )


if __name__ == "__main__":
    print(json.dumps(compile_all()))
