"""The devices and the hosts of a training: one of each, or many by Keras' distribution, on JAX.

`devices_for`   the devices of the run options
`Devices`       one device, with the interface of many
`JaxDevices`    several, on one host or many; the only file that connects JAX's processes
"""

import contextlib
import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.errors import TrainingError
from keras_attn.training.parallelism.layouts import (
    BATCH,
    MODEL,
    mesh_sizes,
    misfits,
    optimizer_axes,
    variable_axes,
)
from keras_attn.training.step_batch import TrainingBatch

# Number of processes, as set by the launcher.
PROCESSES = (
    "KERAS_DISTRIBUTION_NUM_PROCESSES",
    "JAX_NUM_PROCESSES",
    "SLURM_STEP_NUM_TASKS",
    "OMPI_COMM_WORLD_SIZE",
)


def devices_for(run_options: RunOptions, seed: int) -> "Devices":
    """Return the devices, connected to the other hosts if there are any.

    Args:
        run_options: which devices to use.
        seed: of the training; hosts must agree on it.

    Raises:
        TrainingError: if the mesh does not match the devices, or the backend does not support it.
    """
    if run_options.distribution == "none":
        return Devices()
    backend = keras.backend.backend()
    if backend == "jax":
        return JaxDevices(run_options, seed)
    raise TrainingError(
        f"`distribution` {run_options.distribution} needs the JAX backend, not {backend}: --backend jax."
    )


class Devices:
    """One device.

    Attributes:
        parts: int, number of parts that a batch is divided into.
        hosts: int, number of processes that train together.
        primary: whether this process writes the run folder.
    """

    parts, hosts, primary = 1, 1, True

    def check(self, rows: Sequence[int], accumulate: int) -> None:
        """Check that batches can be divided evenly.

        Args:
            rows: all batch sizes that occur.
            accumulate: int, parts of a batch that are computed one after another.

        Raises:
            TrainingError: if some cannot; all are named.
        """
        wanted = self.parts * accumulate
        wrong = sorted({count for count in rows if count % wanted})
        if wrong:
            ways = f"{self.parts} devices" + (f" times {accumulate} accumulated parts" * (accumulate > 1))
            counts = ", ".join(map(str, wrong))
            raise TrainingError(
                f"Batches of {counts} rows cannot be divided evenly among {ways}: choose batches of a "
                f"multiple of {wanted} rows, or a smaller mesh."
            )

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Create variables on these devices within the block."""
        yield

    def fits(self, model: Any) -> None:
        """Check that a model can be divided."""

    def divide_optimizer(self, optimizer: Any) -> None:
        """Divide the state of a built optimizer, if requested."""

    def place(self, batch: TrainingBatch, accumulate: int = 1) -> TrainingBatch:
        """Return this process's rows of a batch, padded so that it divides."""
        return batch.padded(self.parts * accumulate)

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Check that all hosts have the same facts."""

    def all_finite(self, variables: Iterable[Any]) -> bool:
        """Return whether no variable is NaN or infinite, on any host."""
        return all(bool(ops.all(ops.isfinite(variable))) for variable in variables if _is_float(variable))

    @contextlib.contextmanager
    def primary_first(self) -> Iterator[None]:
        """Run the block in the primary process, then in the others."""
        yield

    def gather(self, model: Any) -> None:
        """Collect a model's weights in this process, on one device."""

    def preempted(self, requested: bool, step: int) -> bool:
        """Return whether all hosts stop after this step; `requested` is whether this one received SIGTERM."""
        return requested


class JaxDevices(Devices):
    """Several devices, with `keras.distribution`."""

    def __init__(self, run_options: RunOptions, seed: int):
        import jax

        keras.utils.set_random_seed(seed)
        _connect_processes()
        found = jax.devices()
        shape = run_options.shape or (len(found),)
        if math.prod(shape) != len(found):
            described = f"`mesh` {run_options.mesh} has {math.prod(shape)} devices"
            raise TrainingError(f"{described}, but there are {len(found)}: {_kinds(found)}.")
        self.hosts, self.primary = jax.process_count(), jax.process_index() == 0
        self.parts = shape[0]
        self.run_options = run_options
        self.distribution = _distribution(shape, found)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Create variables with their layouts, and divide batches, within the block."""
        with self.distribution.scope():
            yield

    def fits(self, model: Any) -> None:
        """Check that the mesh divides the model's blocks.

        Raises:
            TrainingError: if it does not.
        """
        if found := misfits(model, mesh_sizes(self.distribution.device_mesh)[MODEL]):
            raise TrainingError(f"`mesh` {self.run_options.mesh}: {' '.join(found)}")

    def divide_optimizer(self, optimizer: Any) -> None:
        """Divide the optimizer's moments along "batch", if requested."""
        import jax

        if not self.run_options.shard_optimizer:
            return
        mesh = self.distribution.device_mesh
        for variable in optimizer.variables:
            axes = optimizer_axes(variable._layout.axes, variable.shape, mesh_sizes(mesh))
            variable._layout = keras.distribution.TensorLayout(axes, mesh)
            cut = jax.jit(lambda x: x, out_shardings=variable._layout.backend_layout)
            variable.assign(cut(variable.value))

    def place(self, batch: TrainingBatch, accumulate: int = 1) -> TrainingBatch:
        """Return the rows of this process's devices of a batch, padded."""
        batch = super().place(batch, accumulate)
        if self.hosts == 1:
            return batch
        layout = self.distribution.get_data_layout((batch.rows,)).backend_layout
        places = layout.addressable_devices_indices_map((batch.rows,)).values()
        own = sorted({place[0].indices(batch.rows)[:2] for place in places})
        rows = np.concatenate([np.arange(*ends) for ends in own])
        return batch.each(lambda x: x[rows])

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Check that all hosts have the same facts.

        Raises:
            TrainingError: if they do not; the differences are named.
        """
        if self.hosts == 1:
            return
        digests = [hashlib.sha256(repr(value).encode()).digest() for value in facts.values()]
        mine = np.frombuffer(b"".join(digests), np.uint8).reshape(len(facts), -1)
        everyone = _gather(mine)  # (hosts, facts, bytes)
        differs = (everyone != everyone[:1]).any(axis=(0, 2))
        if differs.any():
            names = ", ".join(name for name, wrong in zip(facts, differs, strict=True) if wrong)
            raise TrainingError(
                f"The {self.hosts} hosts disagree on {names}: start all of them with the same command on the "
                "same data."
            )

    def all_finite(self, variables: Iterable[Any]) -> bool:
        """Return whether no variable is NaN or infinite; each host checks its own parts."""
        floats = [variable.value for variable in variables if _is_float(variable)]
        parts = (part.data for value in floats for part in value.addressable_shards)
        finite = all(bool(np.isfinite(np.asarray(part)).all()) for part in parts)
        return finite if self.hosts == 1 else bool(_gather(np.array([finite])).all())

    @contextlib.contextmanager
    def primary_first(self) -> Iterator[None]:
        """Run the block in the primary process, then in the others."""
        if not self.primary:
            self._wait()
        yield
        if self.primary:
            self._wait()

    def _wait(self) -> None:
        if self.hosts > 1:
            _gather(np.zeros(1, np.int32))

    def gather(self, model: Any) -> None:
        """Collect a model's weights in this process, as variables of one device."""
        import jax

        whole = jax.sharding.NamedSharding(self.distribution.device_mesh.backend_mesh, jax.P())
        bring = jax.jit(lambda x: x, out_shardings=whole)
        keras.distribution.set_distribution(None)
        for variable in model.variables:
            value = np.asarray(bring(variable.value))
            variable._layout = None
            variable._value = jax.numpy.asarray(value)

    def preempted(self, requested: bool, step: int) -> bool:
        """Return whether all hosts stop after this step, on which several agree by JAX's service."""
        if self.hosts == 1:
            return requested
        from jax.experimental import multihost_utils

        return multihost_utils.reached_preemption_sync_point(step)


def _connect_processes() -> None:
    """Connect to the other processes, if several were started; a TPU pod is detected."""
    import jax

    if jax.distributed.is_initialized():
        return
    started = [int(os.environ[name]) for name in PROCESSES if os.environ.get(name, "").isdigit()]
    if started[:1] == [1]:
        return
    on_tpu = "cpu" not in os.environ.get("JAX_PLATFORMS", "") and any(Path("/dev").glob("accel*"))
    if started or on_tpu or "," in os.environ.get("TPU_WORKER_HOSTNAMES", ""):
        keras.distribution.initialize()


def _is_float(variable: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(variable.dtype)


def _kinds(devices: Sequence[Any]) -> str:
    kinds = sorted({device.device_kind for device in devices})
    return f"{', '.join(kinds)} on {len({device.process_index for device in devices})} host(s)"


def _gather(array: np.ndarray) -> np.ndarray:
    """Return the arrays of all processes, stacked in their order."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array))


def _distribution(shape: tuple[int, ...], devices: Sequence[Any]) -> Any:
    """Return a distribution in which devices along "model" are neighbours, with the layouts of `layouts`."""
    from jax.experimental import mesh_utils

    shape = (*shape, 1)[:2]
    # A slice of 16x16 chips as 64x4: an axis of the mesh may be part of an axis of the slice.
    laid_out = mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
    mesh = keras.distribution.DeviceMesh(shape, (BATCH, MODEL), laid_out)

    class ByRules(keras.distribution.ModelParallel):
        """Applies the rules to each variable as it is created, before there is a model to map."""

        def get_variable_layout(self, variable):
            axes = variable_axes(variable.path, variable.shape, mesh_sizes(mesh))
            return keras.distribution.TensorLayout(axes, mesh)

    return ByRules(
        layout_map=keras.distribution.LayoutMap(mesh), batch_dim_name=BATCH, auto_shard_dataset=False
    )
