"""Starting a training: alone in its folder, from the beginning or where it stopped."""

import contextlib
import dataclasses
import errno
import json
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from keras_attn.training import run_folder
from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.config.translation import TrainingConfig
from keras_attn.training.errors import TrainingError
from keras_attn.training.loop import Training, TrainingResult
from keras_attn.training.parallelism.devices import devices_for
from keras_attn.training.process_state import process_state
from keras_attn.training.progress import Progress, Silent

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def train(
    make: type[Training],
    config: TrainingConfig,
    output: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    run_options: RunOptions | None = None,
) -> TrainingResult:
    """Train and leave a run folder.

    Random seeds and the dtype policy of the process are afterwards what they were.

    Args:
        make: which training.
        config: the settings.
        output: the run folder. Unless `resume`, it must not exist, be empty, or be left by a training that
            never came to its first checkpoint. Several hosts must all see it.
        resume: whether to continue where an interrupted training of the same configuration and data stopped.
        progress: listens.
        run_options: devices, memory, how often to save; they may change when resuming.

    Returns:
        What came out.

    Raises:
        TrainingError: if `output` is in the way, in use, or of another configuration or other data; the loss
            is not finite; the devices are not as asked; or the disk is full.
        DataError: if the data cannot be used.
    """
    started = time.monotonic()
    output = Path(output)
    _check_folder(config, output, resume)
    run_options = run_options or RunOptions()
    with process_state(config.precision), _one_line_for_the_disk(output):
        devices = devices_for(run_options, config.seed)
        listening = progress if progress is not None and devices.primary else Silent()
        with _locked(output) if devices.primary else contextlib.nullcontext(), devices.scope():
            with devices.primary_first():
                resume = _begin_in(config, output, resume, listening, devices.primary)
            with _nothing_left_of_a_refused(output):
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
        left = (output / run_folder.LOCK).is_file() and run_folder.has_not_begun(output)
        if not exists and not left:
            raise TrainingError(f"There is nothing to resume in {output}: it has no {run_folder.RUN}.")
        if exists:
            _check_configuration(config, output)
    elif not run_folder.has_not_begun(output):
        raise TrainingError(
            f"{output} already exists: give another --output, or --resume to continue its training."
        )


def _check_configuration(config: TrainingConfig, output: Path) -> None:
    run = run_folder.read_config(output)
    if run.get("task", config.task) != config.task:
        raise TrainingError(f"{output} is a run of {run['task']}, not of {config.task}.")
    found = run["training"]
    wanted = json.loads(json.dumps(dataclasses.asdict(config)))  # tuples as JSON has them
    different = [name for name, value in wanted.items() if found.get(name) != value]
    if different:
        told = ", ".join(f"{name} {found.get(name)!r} (asked: {wanted[name]!r})" for name in different)
        raise TrainingError(f"{output} was made with another configuration: {told}.")


@contextlib.contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Let no other training write into the folder; the lock goes with the process."""
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


def _begin_in(config: TrainingConfig, output: Path, resume: bool, progress: Progress, primary: bool) -> bool:
    """Clear the folder if its training never came to a checkpoint; return whether to resume from one."""
    if primary:
        _check_folder(config, output, resume)  # once more, now that nobody else writes
    if not run_folder.has_not_begun(output):
        return resume
    if primary:
        if resume:
            progress.note(f"{output} has no checkpoint yet: starting from the beginning")
        run_folder.discard_unfinished(output)
    return False


@contextlib.contextmanager
def _nothing_left_of_a_refused(output: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        run_folder.discard_unstarted_run(output)
        raise


@contextlib.contextmanager
def _one_line_for_the_disk(output: Path) -> Iterator[None]:
    """Say what to do about a full disk, and name the folder where the system names no file."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and error.errno not in FULL:
            raise
        where, why = error.filename or output, error.strerror or error
        raise TrainingError(
            f"{where} cannot be written: {why}. When that is mended, --resume continues."
        ) from error
