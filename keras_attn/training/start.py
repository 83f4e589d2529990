"""Starting a training, with its folder locked: from scratch, or resuming a run.

`train_task`     what the command line and `keras_attn.train` do: settings and run options by name, with a bar
`train`          the training of a configuration
`run_training`   the same for any `Training`
"""

import contextlib
import dataclasses
import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from keras_attn.data import load_corpus
from keras_attn.training import run_folder
from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.config.training_config import TrainingConfig
from keras_attn.training.config.translation import TranslationConfig
from keras_attn.training.errors import TrainingError
from keras_attn.training.loop import Training, TrainingResult
from keras_attn.training.parallelism.devices import devices_for
from keras_attn.training.process_state import process_state
from keras_attn.training.progress import Progress, Silent
from keras_attn.training.progress_bar import DownloadBar, TrainingBar
from keras_attn.training.tasks import training_class

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def train_task(
    task: type[TrainingConfig],
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> TrainingResult:
    """Train a task, as `train` does.

    Args:
        task: the class of its configuration.
        output: the run folder.
        resume: whether to continue an interrupted training.
        progress: receives the progress; by default a bar in a terminal, and lines elsewhere.
        **options: settings of the configuration, and `RunOptions`; what is `None` comes from the recipe.

    Raises:
        ArgumentTypeError: if there is no such option.
        TrainingError: as `train`.
        DataError: as `train`.
    """
    names = {field.name for field in dataclasses.fields(RunOptions)}
    given = {name: value for name, value in options.items() if value is not None}
    run_options = RunOptions(**{name: given.pop(name) for name in names & given.keys()})
    config = task.recommended(**given)
    more = {"resume": resume, "run_options": run_options}
    if progress is not None:
        return train(config, Path(output), progress=progress, **more)
    if isinstance(config, TranslationConfig) and (data := config.data or "").startswith("multi30k"):
        with DownloadBar() as downloads:  # into the cache, where the training finds it
            load_corpus(data, progress=downloads)
    with TrainingBar() as bar:
        return train(config, Path(output), progress=bar, **more)


def train(config: TrainingConfig, output: Path, **options: Any) -> TrainingResult:
    """Train the task of a configuration; options, result and errors are those of `run_training`."""
    return run_training(training_class(config.task), config, output, **options)


def run_training(
    make: type[Training],
    config: TrainingConfig,
    output: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    run_options: RunOptions | None = None,
) -> TrainingResult:
    """Train and write a run folder.

    The random seeds and the dtype policy of the process are restored afterwards.

    Args:
        make: class of the training.
        config: the settings.
        output: the run folder. Unless `resume`, it must not exist, be empty, or be left by a training that
            did not reach its first checkpoint. All hosts must see it.
        resume: whether to continue an interrupted training of the same configuration and data.
        progress: receives the progress.
        run_options: devices, memory, how often to save; they may change when resuming.

    Returns:
        The result.

    Raises:
        TrainingError: if `output` exists, is in use, or belongs to another configuration or other data; the
            loss is not finite; the devices are not available; or the disk is full.
        DataError: if the data cannot be used.
    """
    started = time.monotonic()
    output = Path(output)
    _check_folder(config, output, resume)
    run_options = run_options or RunOptions()
    with process_state(config.precision), _disk_errors_named(output):
        devices = devices_for(run_options, config.seed)
        listening = progress if progress is not None and devices.primary else Silent()
        with _locked(output) if devices.primary else contextlib.nullcontext(), devices.scope():
            with devices.primary_first():
                resume = _prepare_folder(config, output, resume, listening, devices.primary)
            if run_options.finish and not resume:
                raise TrainingError(
                    f"`finish` writes the model of a training's checkpoints: {output} has none."
                )
            with _discard_if_refused(output):
                training = make(config, output, listening, run_options, devices)
            try:
                if resume:
                    training.resume()
                training.loop()
                chosen, score = training.finish()
            finally:
                training.close()
    return TrainingResult(output, training.step, chosen, score, time.monotonic() - started)


def _check_folder(config: TrainingConfig, output: Path, resume: bool) -> None:
    exists = (output / run_folder.RUN).exists()
    if resume:
        left = (output / run_folder.LOCK).is_file() and run_folder.has_not_started(output)
        if not exists and not left:
            raise TrainingError(f"There is nothing to resume in {output}: it has no {run_folder.RUN}.")
        if exists:
            _check_configuration(config, output)
    elif not run_folder.has_not_started(output):
        raise TrainingError(
            f"{output} already exists: give another --output, or --resume to continue its training."
        )


def _check_configuration(config: TrainingConfig, output: Path) -> None:
    run = run_folder.read_config(output)
    if run.get("task", config.task) != config.task:
        raise TrainingError(f"{output} is a run of {run['task']}, not of {config.task}.")
    # A setting that did not exist when the run began had the effect of its default.
    fields = [field for field in dataclasses.fields(config) if field.default is not dataclasses.MISSING]
    found = _as_json({field.name: field.default for field in fields}) | run["training"]
    wanted = _as_json(dataclasses.asdict(config))
    different = [name for name, value in wanted.items() if found.get(name) != value]
    if different:
        changes = ", ".join(f"{name} {found.get(name)!r} (now {wanted[name]!r})" for name in different)
        raise TrainingError(f"{output} was made with another configuration: {changes}.")


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as they are read from JSON: tuples are lists."""
    return json.loads(json.dumps(values))


@contextlib.contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Lock the folder against other trainings; the lock ends with the process."""
    output.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output / run_folder.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(
            f"{output} is in use by another training: wait for its end, or give another --output."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _prepare_folder(
    config: TrainingConfig, output: Path, resume: bool, progress: Progress, primary: bool
) -> bool:
    """Clear the folder if its training has no checkpoint; return whether to resume from one."""
    if primary:
        _check_folder(config, output, resume)  # again, now that nobody else writes
    if not run_folder.has_not_started(output):
        return resume
    if primary:
        if resume:
            progress.note(f"{output} has no checkpoint yet: starting from the beginning")
        run_folder.discard_unfinished(output)
    return False


@contextlib.contextmanager
def _discard_if_refused(output: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        run_folder.discard_unstarted_run(output)
        raise


@contextlib.contextmanager
def _disk_errors_named(output: Path) -> Iterator[None]:
    """Name the folder if the system names no file, and the remedy for a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and error.errno not in FULL:
            raise
        where = error.filename or output
        # NumPy counts what a disk took, and names neither file nor reason.
        why = error.strerror or f"is the disk full? ({error})"
        again = "continue with --resume" if output.exists() else "start again"
        raise TrainingError(f"{where} cannot be written: {why}. Fix that, then {again}.") from error
