"""Checkpoints: every variable of a training and where it stands, whole or not there at all."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from keras import ops
from safetensors.numpy import load_file, save_file

from keras_attn.training.errors import TrainingError

VARIABLES, STATE = "variables.safetensors", "state.json"


def training_variables(task):
    """All variables by a name that is the same in every process: weights, seeds, optimizer."""
    named = {f"model.{i:04d}": variable for i, variable in enumerate(task.model.variables)}
    named.update({f"optimizer.{i:04d}": variable for i, variable in enumerate(task.optimizer.variables)})
    return named


def save_checkpoint(folder: Path, task, state: dict) -> Path:
    """Write `folder/step-NNNNNNN`: aside first, then renamed."""
    final = folder / f"step-{state['step']:07d}"
    aside = folder / f".{final.name}.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    arrays = {name: np.asarray(ops.convert_to_numpy(v)) for name, v in training_variables(task).items()}
    save_file(arrays, aside / VARIABLES)
    (aside / STATE).write_text(json.dumps(state, indent=1) + "\n", "utf-8")
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    return final


def checkpoints(folder: Path) -> list[Path]:
    """All whole checkpoints, the oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE).is_file())


def load_state(checkpoint: Path) -> dict:
    """Read where a checkpoint's training stood."""
    return json.loads((checkpoint / STATE).read_text("utf-8"))


def restore_checkpoint(checkpoint: Path, task) -> dict:
    """Put a checkpoint's values into a training's variables and give its state.

    Raises:
        TrainingError: if a variable is missing or of another shape.
    """
    arrays = load_file(checkpoint / VARIABLES)
    _assign(arrays, task, f"{checkpoint / VARIABLES}", model_only=False)
    return load_state(checkpoint)


def restore_average(chosen: Sequence[Path], task) -> None:
    """Put the mean of several checkpoints' weights into the model (Vaswani et al., 2017, section 6.1)."""
    total: dict[str, np.ndarray] = {}
    for checkpoint in chosen:
        for name, array in load_file(checkpoint / VARIABLES).items():
            if name.startswith("model."):
                total[name] = total.get(name, 0) + array.astype(np.float64)
    average = {name: array / len(chosen) for name, array in total.items()}
    _assign(average, task, "the average of " + ", ".join(path.name for path in chosen), model_only=True)


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


def keep_only(folder: Path, kept: Sequence[Path]) -> None:
    """Delete all checkpoints but `kept`, and what was left half-written."""
    for path in [*checkpoints(folder), *folder.glob(".step-*.part")]:
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)
