"""Checkpoints: every variable of a training and its state, written atomically.

On JAX they are Orbax's: written in the background, each process its own part, and can be read onto any mesh.
On the other backends they are safetensors files, written synchronously. In both cases the SHA-256 of all
files is written last: a checkpoint without it is incomplete, and one whose files have another SHA-256 is
damaged.
"""

import errno
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.data.corpora.checksums import NAME as CHECKSUMS
from keras_attn.data.corpora.checksums import damage, has_checksums, write_checksums
from keras_attn.device.files.atomic_write import replaced_folder
from keras_attn.training.errors import TrainingError

VARIABLES, STATE = "variables.safetensors", "state.json"
ORBAX_VARIABLES, ORBAX_STATE = "variables", "state"
UNNAMED = ".orbax-checkpoint-tmp"  # what Orbax appends to the name of an incomplete checkpoint
NAME = re.compile(r"step-\d{7,}")


def named(folder: Path) -> list[Path]:
    """Return all folders with a checkpoint's name, oldest first; their files may be damaged or missing."""
    found = [path for path in folder.glob("step-*") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name[5:]))


def checkpoints(folder: Path) -> list[Path]:
    """Return all complete checkpoints, oldest first; their files may have been damaged since."""
    return [path for path in named(folder) if has_checksums(path)]


def undamaged(found: Sequence[Path], report: Callable[[str], None]) -> list[Path]:
    """Return the checkpoints whose files are unchanged, and report what is wrong with the others."""
    whole = []
    for path in found:
        if (wrong := damage(path)) is None:
            whole.append(path)
        else:
            report(f"{wrong}: this checkpoint is not used")
    return whole


def _is_orbax(checkpoint: Path) -> bool:
    return (checkpoint / ORBAX_STATE).is_dir()


def _state_file(checkpoint: Path) -> Path:
    return checkpoint / ORBAX_STATE / "metadata" if _is_orbax(checkpoint) else checkpoint / STATE


def load_state(checkpoint: Path) -> dict:
    """Return the state of a checkpoint's training."""
    return json.loads(_state_file(checkpoint).read_text("utf-8"))


def score_of(checkpoint: Path, metric: str) -> float | None:
    """Return a checkpoint's validation score; `None` if it was not evaluated or cannot be read."""
    try:
        return load_state(checkpoint).get(metric)
    except (OSError, ValueError):
        return None


def keep_only(folder: Path, kept: Sequence[Path]) -> None:
    """Delete all complete checkpoints except `kept`."""
    for path in checkpoints(folder):
        if path not in kept:
            delete(path)


def delete(checkpoint: Path) -> None:
    """Delete a checkpoint: its checksums first, so that a half-deleted one counts as incomplete."""
    (checkpoint / CHECKSUMS).unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Delete incomplete checkpoints."""
    whole = checkpoints(folder)
    for path in [*folder.glob(".step-*.part-*"), *folder.glob("step-*")]:
        if path not in whole:
            shutil.rmtree(path, ignore_errors=True)


def training_variables(task) -> dict[str, Any]:
    """Return all variables (weights, seeds, optimizer) by a name that is the same in every process."""
    named = {f"model.{i:04d}": variable for i, variable in enumerate(task.model.variables)}
    named.update({f"optimizer.{i:04d}": variable for i, variable in enumerate(task.optimizer.variables)})
    return named


def writer() -> "Writer":
    """Return the writer of checkpoints for this backend."""
    return OrbaxWriter() if keras.backend.backend() == "jax" else Writer()


def check_room(folder: Path, task) -> None:
    """Check that the disk has room for a checkpoint, before writing starts.

    A checkpoint takes twice the size of its variables while Orbax merges its parts.

    Raises:
        TrainingError: if there is too little room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dtype = keras.backend.standardize_dtype
    variables = training_variables(task).values()
    needed = 2 * sum(math.prod(v.shape) * np.dtype(dtype(v.dtype)).itemsize for v in variables)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise TrainingError(
            f"{folder} cannot be written: No space left on device. A checkpoint needs {needed:,} bytes, and "
            f"{free:,} are free: free some space, then continue with --resume."
        )


class Writer:
    """Writes checkpoints synchronously."""

    def save(self, folder: Path, task, state: dict) -> None:
        """Write `folder/step-NNNNNNN`: under a temporary name, then renamed.

        Raises:
            TrainingError: if it cannot be written, as on a full disk.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        check_room(folder, task)
        final = folder / _name(state)
        arrays = {name: np.asarray(ops.convert_to_numpy(v)) for name, v in training_variables(task).items()}
        try:
            with replaced_folder(final) as aside:
                save_file(arrays, aside / VARIABLES)
                (aside / STATE).write_text(json.dumps(state, indent=1) + "\n", "utf-8")
                write_checksums(aside)
        except (OSError, SafetensorError) as error:
            raise _not_written(final, error) from error

    def wait(self) -> None:
        """Wait until the last checkpoint is complete."""

    def close(self) -> None:
        """Stop writing in the background."""


class OrbaxWriter(Writer):
    """Writes checkpoints in the background with Orbax, one at a time."""

    def __init__(self):
        import orbax.checkpoint as ocp

        self.ocp = ocp
        # Called by one process when all have written, just before the checkpoint is renamed.
        options = ocp.options.AsyncOptions(post_finalization_callback=self._seal)
        self.checkpointer = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler(), async_options=options)
        self.saving: Path | None = None
        logging.getLogger("absl").addFilter(_is_not_raised_later)

    def save(self, folder: Path, task, state: dict) -> None:
        """Start writing `folder/step-NNNNNNN`; the variables may change as soon as this returns.

        Raises:
            TrainingError: if this checkpoint, or the previous one, cannot be written.
        """
        check_room(folder, task)
        args = self.ocp.args
        values = {name: variable.value for name, variable in training_variables(task).items()}
        self.saving = (folder / _name(state)).absolute()
        try:
            # An incomplete checkpoint has another name.
            self.checkpointer.save(
                self.saving,
                args=args.Composite(
                    **{ORBAX_VARIABLES: args.PyTreeSave(values), ORBAX_STATE: args.JsonSave(state)}
                ),
                force=True,
            )
        except Exception as error:  # TensorStore's errors have no class of their own
            raise self._failed(error) from error

    def _seal(self) -> None:
        if self.saving is not None:
            (unnamed,) = self._unnamed()
            write_checksums(unnamed, [ORBAX_VARIABLES, ORBAX_STATE])

    def _unnamed(self) -> list[Path]:
        return list(self.saving.parent.glob(f"{self.saving.name}{UNNAMED}*")) if self.saving else []

    def _failed(self, error: Exception) -> TrainingError:
        """Delete the incomplete checkpoint, and return the error to raise."""
        for path in self._unnamed():
            shutil.rmtree(path, ignore_errors=True)
        return _not_written(self.saving, error)

    def wait(self) -> None:
        """Wait until the last checkpoint is complete.

        Raises:
            TrainingError: if it could not be written.
        """
        try:
            self.checkpointer.wait_until_finished()
        except Exception as error:  # TensorStore's errors have no class of their own
            raise self._failed(error) from error

    def close(self) -> None:
        """Stop the writing threads."""
        self.checkpointer.close()
        logging.getLogger("absl").removeFilter(_is_not_raised_later)


def _is_not_raised_later(record: logging.LogRecord) -> bool:
    """Return whether a log record is not the traceback of an error that `wait` raises as well."""
    return record.exc_info is None or "orbax" not in record.pathname


def _not_written(checkpoint: Path | None, error: Exception) -> TrainingError:
    reason = " ".join(str(error).split())
    if "No space left on device" in reason or getattr(error, "errno", None) == errno.ENOSPC:
        reason = os.strerror(errno.ENOSPC)
    return TrainingError(
        f"{checkpoint} cannot be written: {reason[:300]}. Fix that, then continue from the previous "
        "checkpoint with --resume."
    )


def _name(state: dict) -> str:
    return f"step-{state['step']:07d}"


def restore_checkpoint(checkpoint: Path, task) -> dict:
    """Assign a checkpoint's values to a training's variables, and return its state.

    The variables may be on other devices than the saved ones, or divided differently.

    Raises:
        TrainingError: if a variable is missing or of another shape, or this backend cannot read it.
    """
    _assign(_arrays(checkpoint, list(training_variables(task))), task, str(checkpoint), model_only=False)
    return load_state(checkpoint)


def restore_average(chosen: Sequence[Path], task) -> None:
    """Assign the mean of several checkpoints' weights to the model (Vaswani et al., 2017, section 6.1)."""
    names = [name for name in training_variables(task) if name.startswith("model.")]
    total: dict[str, Any] = {}
    for checkpoint in chosen:
        for name, array in _arrays(checkpoint, names).items():
            total[name] = total.get(name, 0) + array.astype(np.float64)
    average = {name: array / len(chosen) for name, array in total.items()}
    _assign(average, task, "the average of " + ", ".join(path.name for path in chosen), model_only=True)


def _arrays(checkpoint: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the named variables that exist, as arrays of this process."""
    if not _is_orbax(checkpoint):
        from safetensors.numpy import load_file

        return {name: array for name, array in load_file(checkpoint / VARIABLES).items() if name in names}
    if keras.backend.backend() != "jax":
        raise TrainingError(f"{checkpoint} was written by the JAX backend: continue with --backend jax.")
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
