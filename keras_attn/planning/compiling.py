"""Compiles a step in a separate process, because libtpu needs one, with settings of its own.

`plan`      starts that process and waits for it
`answer`    runs in it
"""

import dataclasses
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from keras_attn.child_process import end_with_parent, run_python
from keras_attn.planning.errors import PlanError
from keras_attn.planning.request import Request

# Times the memory beyond which a step is only estimated: the compiler would try for hours to save some.
TOO_LARGE = 3
LIBTPU = Path(sys.prefix) / "tpu"  # where `make test` puts it, out of the way of all other programs


def plan(request: Request, estimate: bool = False) -> dict[str, Any]:
    """Return what a step needs.

    Args:
        request: the step.
        estimate: whether to estimate, even if libtpu could compile.

    Returns:
        The figures that `answer` returns.

    Raises:
        PlanError: if the request does not fit the model, or compiling failed.
    """
    import importlib.util

    if importlib.util.find_spec("jax") is None:
        raise PlanError("jax is not installed, which traces the step: pip install 'keras-attn[tpu]'")
    folder = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "PYTHONPATH": os.pathsep.join([str(folder), str(LIBTPU), os.environ.get("PYTHONPATH", "")]),
    }
    asked = json.dumps({"request": request.to_json(), "estimate": estimate})
    done = run_python(["-m", "keras_attn.planning.compiling"], environment, input=asked)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        message = [line for line in done.stderr.splitlines() if line.strip()][-1:] or ["no message"]
        raise PlanError(f"The process that compiles ended with {done.returncode}: {message[0]}")
    found = json.loads(lines[-1])
    if "error" in found:
        raise PlanError(found["error"])
    return found


def answer(request: Request, estimate: bool) -> dict[str, Any]:
    """Trace the step, and compile it if possible.

    Returns:
        Dict of `method` ("compiled" or "estimated") and `reason` of the latter, `rows`, `sequence`,
        `precision`, `parameters`, `vocabulary_size`, `attention`, `state_bytes` (weights and optimizer),
        `fixed_bytes` (these and gradients), `estimated_bytes`, `theoretical_flops_per_chip`,
        `trace_seconds`, and `bytes_per_chip`, `hbm_bytes`, `flops_per_chip`, `collectives`, `kernels`,
        `donated_bytes` and `compile_seconds`, `None` where only the compiler knows them.
    """
    from keras_attn.planning.trainings import find_subject

    subject = find_subject(request)
    request.rows(subject.sequence)
    reason = "as asked" if estimate else None
    described = None if estimate else _topology(request)
    if described is None:
        reason = reason or "libtpu is not installed: pip install 'keras-attn[tpu]'"
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={request.slice.chips}"
    import jax

    from keras_attn.layers.attention.kernel_choice import COMPILED_FOR
    from keras_attn.planning.step import PlannedDevices, make_step

    COMPILED_FOR.set("tpu")
    devices = PlannedDevices(request, described or jax.devices())
    started = time.monotonic()
    with devices.scope():
        step = make_step(request, subject, devices)
        needed = _estimated_bytes(step, request)
        hbm = request.slice.kind.hbm_bytes
        figures = {
            "rows": step.rows,
            "sequence": subject.sequence,
            "precision": subject.precision,
            "parameters": step.parameters,
            "vocabulary_size": step.sizes.vocabulary_size,
            "attention": dataclasses.asdict(step.attention),
            "state_bytes": step.state_bytes,
            "fixed_bytes": step.state_bytes + step.gradient_bytes,
            "estimated_bytes": needed,
            "theoretical_flops_per_chip": step.theoretical_flops,
            "hbm_bytes": hbm,
        }
        if described is not None and needed > TOO_LARGE * hbm:
            reason = f"it would take more than {TOO_LARGE} times the memory, so it was not compiled"
        traced = step.trace()
        figures["trace_seconds"] = round(time.monotonic() - started, 1)
        if reason is not None:
            found = _exported(step, traced, request, needed) | {"method": "estimated", "reason": reason}
        else:
            found = _compiled(step, traced) | {"method": "compiled", "reason": None}
    return {**figures, **found}


def _topology(request: Request) -> Any:
    """Return libtpu's description of the chips; `None` if it is not installed."""
    import importlib.util

    if importlib.util.find_spec("libtpu") is None:
        return None
    from jax.experimental import topologies

    options: dict[str, Any] = {}
    if request.slice.chips == 1:  # by default libtpu assumes whole hosts
        options["chips_per_host_bounds"] = [1, 1, 1]
    return topologies.get_topology_desc(request.topology, "tpu", **options).devices


def _compiled(step: Any, traced: Any) -> dict[str, Any]:
    import jax

    from keras_attn.planning.program import collectives_of, kernels_of, memory_in_message

    lowered = traced.lower(lowering_platforms=("tpu",))
    started = time.monotonic()
    nothing = dict.fromkeys(("flops_per_chip", "collectives", "kernels", "donated_bytes"))
    try:
        program = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        memory = memory_in_message(str(error), step.state_bytes + step.batch_bytes)
        if memory is None:
            raise PlanError(f"The TPU compiler failed: {str(error)[:500]}") from error
        seconds = round(time.monotonic() - started, 1)
        return {**nothing, "bytes_per_chip": memory[0], "hbm_bytes": memory[1], "compile_seconds": seconds}
    seconds, memory, text = time.monotonic() - started, program.memory_analysis(), program.as_text()
    used = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return {
        "bytes_per_chip": used + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes,
        "flops_per_chip": program.cost_analysis()["flops"] + step.kernel_flops,
        "collectives": collectives_of(text),
        "kernels": kernels_of(text),
        "donated_bytes": memory.alias_size_in_bytes,
        "compile_seconds": round(seconds, 1),
    }


def _exported(step: Any, traced: Any, request: Request, needed: int) -> dict[str, Any]:
    """Lower for the TPU without its compiler, which shows that it is possible; memory is estimated."""
    from jax import export

    started = time.monotonic()
    exported = export.export(step.function, platforms=["tpu"])(*step.arguments)
    text = exported.mlir_module()
    flops = traced.lower(lowering_platforms=("tpu",)).cost_analysis()
    return {
        "bytes_per_chip": needed,
        "flops_per_chip": flops["flops"] / request.slice.chips + step.kernel_flops if flops else None,
        "collectives": None,
        "kernels": {"splash": text.count("@tpu_custom_call")} if "@tpu_custom_call" in text else {},
        "donated_bytes": None,
        "compile_seconds": round(time.monotonic() - started, 1),
    }


def _estimated_bytes(step: Any, request: Request) -> int:
    """Compute the sum of state, gradients, batch, residuals of the forward pass, and a chunk's logits.

    XLA recomputes some of it, and needs other memory: the sum is only an estimate.
    """
    import jax

    from keras_attn.training.optimization.smoothed_cross_entropy import CHUNK

    (trainable, non_trainable, optimizer, metrics), (inputs, targets, weights) = step.arguments

    def residuals(trainable, non_trainable, optimizer, metrics, inputs, targets, weights):
        def loss(trainable):
            return step.task.compute_loss_and_updates(
                trainable,
                non_trainable,
                metrics,
                inputs,
                targets,
                weights,
                training=True,
                optimizer_variables=optimizer,
            )[0]

        return jax.vjp(loss, trainable)[1]

    kept = jax.eval_shape(residuals, trainable, non_trainable, optimizer, metrics, inputs, targets, weights)
    batch, model = request.mesh
    depth = step.sizes.hidden_dim
    total = 0
    for array in jax.tree.leaves(kept):
        if array.shape and array.shape[0] % step.rows == 0:
            # Between the blocks all chips along the model have the same activations.
            cut = model if array.shape[-1] != depth else 1
            total += array.size * array.dtype.itemsize // (batch * cut * request.accumulate)
    active = min(CHUNK, math.prod(targets.shape) // (batch * request.accumulate))
    logits = 2 * 4 * active * step.sizes.vocabulary_size // model  # and their gradients, in float32
    gradients = step.gradient_bytes * (2 if request.accumulate > 1 else 1)
    return step.state_bytes + gradients + step.batch_bytes + total + logits


def main() -> None:
    """Read a request from standard input, write the figures to standard output."""
    end_with_parent()
    asked = json.load(sys.stdin)
    # Keras would load it only for its seed, which takes longer than tracing a small model.
    sys.modules["tensorflow"] = None  # pyright: ignore[reportArgumentType]
    try:
        found = answer(Request.from_json(asked["request"]), asked["estimate"])
    except ValueError as error:
        if not type(error).__module__.startswith("keras_attn"):
            raise
        found = {"error": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
