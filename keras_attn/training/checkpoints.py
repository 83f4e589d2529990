"""Checkpoints: every variable of a training and where it stands, whole or not there at all.

On JAX they are Orbax's: written in the background, each process its own part, and read back onto any mesh. On
the other backends they are safetensors files, written at once. Either way a checkpoint gets its name when it
is whole.
"""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.training.errors import TrainingError

VARIABLES, STATE = "variables.safetensors", "state.json"
ORBAX_VARIABLES, ORBAX_STATE = "variables", "state"
NAME = re.compile(r"step-\d{7,}")


def checkpoints(folder: Path) -> list[Path]:
    """All whole checkpoints, the oldest first."""
    found = [path for path in folder.glob("step-*") if NAME.fullmatch(path.name)]
    return sorted(
        (path for path in found if _state_file(path).is_file()), key=lambda path: int(path.name[5:])
    )


def _is_orbax(checkpoint: Path) -> bool:
    return (checkpoint / ORBAX_STATE).is_dir()


def _state_file(checkpoint: Path) -> Path:
    return checkpoint / ORBAX_STATE / "metadata" if _is_orbax(checkpoint) else checkpoint / STATE


def load_state(checkpoint: Path) -> dict:
    """Read where a checkpoint's training stood."""
    return json.loads(_state_file(checkpoint).read_text("utf-8"))


def keep_only(folder: Path, kept: Sequence[Path]) -> None:
    """Delete all whole checkpoints but `kept`."""
    for path in checkpoints(folder):
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Delete what was left half-written."""
    for path in [*folder.glob(".step-*.part"), *folder.glob("step-*.orbax-checkpoint-tmp*")]:
        shutil.rmtree(path, ignore_errors=True)


def training_variables(task) -> dict[str, Any]:
    """All variables by a name that is the same in every process: weights, seeds, optimizer."""
    named = {f"model.{i:04d}": variable for i, variable in enumerate(task.model.variables)}
    named.update({f"optimizer.{i:04d}": variable for i, variable in enumerate(task.optimizer.variables)})
    return named


def writer() -> "Writer":
    """Give what writes checkpoints on this backend."""
    return OrbaxWriter() if keras.backend.backend() == "jax" else Writer()


class Writer:
    """Writes checkpoints, each before it returns."""

    def save(self, folder: Path, task, state: dict) -> None:
        """Write `folder/step-NNNNNNN`: aside first, then renamed."""
        from safetensors.numpy import save_file

        final = folder / _name(state)
        aside = folder / f".{final.name}.part"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        arrays = {name: np.asarray(ops.convert_to_numpy(v)) for name, v in training_variables(task).items()}
        save_file(arrays, aside / VARIABLES)
        (aside / STATE).write_text(json.dumps(state, indent=1) + "\n", "utf-8")
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)

    def wait(self) -> None:
        """Return when the last checkpoint is whole."""


class OrbaxWriter(Writer):
    """Writes checkpoints in the background, by Orbax; at most one at a time."""

    def __init__(self):
        import orbax.checkpoint as ocp

        self.ocp = ocp
        self.checkpointer = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())

    def save(self, folder: Path, task, state: dict) -> None:
        """Begin to write `folder/step-NNNNNNN`; the variables may change as soon as this returns."""
        args = self.ocp.args
        values = {name: variable.value for name, variable in training_variables(task).items()}
        # What is half-written has another name until it is whole.
        self.checkpointer.save(
            (folder / _name(state)).absolute(),
            args=args.Composite(
                **{ORBAX_VARIABLES: args.PyTreeSave(values), ORBAX_STATE: args.JsonSave(state)}
            ),
            force=True,
        )

    def wait(self) -> None:
        """Return when the last checkpoint is whole; raise what went wrong with it."""
        self.checkpointer.wait_until_finished()


def _name(state: dict) -> str:
    return f"step-{state['step']:07d}"


def restore_checkpoint(checkpoint: Path, task) -> dict:
    """Put a checkpoint's values into a training's variables and give its state.

    The variables may be on other devices, and otherwise cut, than those that were saved.

    Raises:
        TrainingError: if a variable is missing or of another shape, or this backend cannot read it.
    """
    _assign(_arrays(checkpoint, list(training_variables(task))), task, str(checkpoint), model_only=False)
    return load_state(checkpoint)


def restore_average(chosen: Sequence[Path], task) -> None:
    """Put the mean of several checkpoints' weights into the model (Vaswani et al., 2017, section 6.1)."""
    names = [name for name in training_variables(task) if name.startswith("model.")]
    total: dict[str, Any] = {}
    for checkpoint in chosen:
        for name, array in _arrays(checkpoint, names).items():
            total[name] = total.get(name, 0) + array.astype(np.float64)
    average = {name: array / len(chosen) for name, array in total.items()}
    _assign(average, task, "the average of " + ", ".join(path.name for path in chosen), model_only=True)


def _arrays(checkpoint: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read some variables, those that are there, as arrays of this process."""
    if not _is_orbax(checkpoint):
        from safetensors.numpy import load_file

        return {name: array for name, array in load_file(checkpoint / VARIABLES).items() if name in names}
    if keras.backend.backend() != "jax":
        raise TrainingError(f"{checkpoint} was written by the JAX backend: go on with --backend jax.")
    import orbax.checkpoint as ocp

    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        path = (checkpoint / ORBAX_VARIABLES).absolute()
        saved = reader.metadata(path).item_metadata.tree
        there = [name for name in names if name in saved]
        wanted = dict.fromkeys(there, 0)
        as_arrays = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in there}
        return reader.restore(
            path, args=ocp.args.PyTreeRestore(wanted, restore_args=as_arrays, partial_restore=True)
        )


def _assign(arrays, task, source, model_only):
    for name, variable in training_variables(task).items():
        if model_only and not name.startswith("model."):
            continue
        array = arrays.get(name)
        if array is None or array.shape != tuple(variable.shape):
            found = "nothing" if array is None else f"shape {array.shape}"
            raise TrainingError(
                f"{source} has {found} for {variable.path} of shape {tuple(variable.shape)}: "
                "it belongs to another configuration."
            )
        variable.assign(ops.cast(ops.convert_to_tensor(array), variable.dtype))
