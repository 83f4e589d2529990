"""The training loop, written once for all tasks: steps, evaluations, checkpoints, resuming, the choice."""

import dataclasses
import json
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn.training import run as run_folder
from keras_attn.training.checkpoints import (
    checkpoints,
    keep_only,
    load_state,
    restore_average,
    restore_checkpoint,
    save_checkpoint,
)
from keras_attn.training.configuration import LOWER_IS_BETTER, TrainingConfig
from keras_attn.training.errors import NonFiniteLossError, TrainingError
from keras_attn.training.progress import Progress, Silent
from keras_attn.training.schedules import WarmUp


@dataclasses.dataclass
class TrainingResult:
    """What came out of a training.

    Attributes:
        folder: the run folder.
        steps: optimizer steps taken in all.
        chosen: which weights became model.keras: a checkpoint's name, or "average".
        score: their validation score, by the configuration's metric.
        seconds: wall time of this call.
    """

    folder: Path
    steps: int
    chosen: str
    score: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class StepBatch:
    """What one step takes.

    Attributes:
        inputs: the model's dict of arrays, each with the leading dimension B.
        targets: int32 array, (B,) labels or (B, T) tokens.
        weights: float32 array like `targets`, 0 where there is no target.
    """

    inputs: dict[str, np.ndarray]
    targets: np.ndarray
    weights: np.ndarray

    @property
    def count(self) -> int:
        """Number of targets."""
        return int(np.count_nonzero(self.weights))

    @property
    def tokens(self) -> int:
        """Number of tokens that are read, or by a translator written: what speed is told in."""
        mask = self.inputs.get("padding_mask")
        return self.count if mask is None else int(np.count_nonzero(mask))


class Training:
    """One training: model, optimizer, data, and where it stands.

    A subclass says what is trained, by the methods that raise `NotImplementedError` here. In the order in
    which they are called: `prepare`, `make_model`, `make_task`, `describe`, `write_validation`; then, again
    and again, `batches` and `evaluate`; and at the end `final_score` and `finished`.

    Args:
        config: the settings.
        output: the run folder.
        progress: listens.

    Attributes:
        batches_per_epoch: int, set by `prepare`.
        tokenizer: `tokenizers.Tokenizer`, set by `prepare`.
        special_ids: dict of ids by role, set by `prepare`.
        total_steps: int.
        step, epoch, position: where the training stands: steps done, and batches done of which epoch.
        history: rows of history.csv.
        model: the model that is trained.
        task: the `keras.Model` around it that knows the loss.
    """

    batches_per_epoch: int
    tokenizer: Any
    special_ids: dict[str, int]

    def __init__(self, config: Any, output: Path, progress: Progress):
        self.config, self.output, self.progress = config, output, progress
        self.step, self.epoch, self.position = 0, 0, 0
        self.history: list[dict] = run_folder.read_history(output)
        self.begun = (output / run_folder.RUN).is_file()
        self.prepare()
        self.total_steps = config.steps or config.epochs * self.batches_per_epoch
        keras.utils.set_random_seed(config.seed)
        self.model = self.make_model()
        self.task = self._compiled(self.make_task())
        if not self.begun:
            self._write_run()

    def prepare(self) -> None:
        """Read the data, make or read the tokenizer, and lay the batches out."""
        raise NotImplementedError

    def make_model(self) -> Any:
        """Make the model, with the global seed set."""
        raise NotImplementedError

    def make_task(self) -> Any:
        """Wrap the model for `train_on_batch` and `test_on_batch`."""
        raise NotImplementedError

    def make_optimizer(self, schedule) -> Any:
        """Make the optimizer, Adam as in Vaswani et al., 2017, section 5.3."""
        return keras.optimizers.Adam(schedule, **self.adam)

    def describe(self) -> dict:
        """Give the task's entries of run.json."""
        raise NotImplementedError

    def write_validation(self) -> None:
        """Write the held-out examples into the run folder."""
        raise NotImplementedError

    def batches(self) -> Iterator[StepBatch]:
        """Give the batches of epoch `self.epoch` from `self.position` on."""
        raise NotImplementedError

    def evaluate(self) -> dict:
        """Give `validation_loss` and the scores of a row of history.csv, the metric among them."""
        raise NotImplementedError

    def final_score(self) -> float:
        """Give the metric, by which the weights are chosen at the end."""
        return self.evaluate()[self.config.metric]

    def finished(self) -> None:
        """Leave what else belongs into the run folder; the model has its final weights."""

    @property
    def adam(self) -> dict:
        """Adam's settings."""
        return {
            "beta_1": 0.9,
            "beta_2": 0.98,
            "epsilon": 1e-9,
            "global_clipnorm": self.config.clip_norm or None,
        }

    def _compiled(self, task):
        config = self.config
        schedule = WarmUp(config.learning_rate, config.warmup, self.total_steps, config.schedule)
        optimizer = self.make_optimizer(schedule)
        if config.precision == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(self.model.trainable_variables)
        xla = getattr(self.model, "xla_on_tensorflow", True) or keras.backend.backend() != "tensorflow"
        task.compile(optimizer=optimizer, jit_compile=config.jit_compile and xla)
        return task

    def _write_run(self):
        self.output.mkdir(parents=True, exist_ok=True)
        run_folder.write_tokenizer(self.output, self.tokenizer)
        self.write_validation()
        config = {
            "format_version": run_folder.FORMAT_VERSION,
            "task": self.config.task,
            "model": {"class_name": type(self.model).__name__, "config": self.model.get_config()},
            **self.describe(),
            "special_ids": self.special_ids,
            "training": dataclasses.asdict(self.config),
            "total_steps": self.total_steps,
            "versions": {"keras": keras.version(), "backend": keras.backend.backend()},
        }
        run_folder.write_config(self.output, config)

    def resume(self) -> None:
        """Go on from the newest checkpoint."""
        found = checkpoints(self.output / "checkpoints")
        if not found:
            raise TrainingError(f"There is no checkpoint in {self.output} to resume from: start anew.")
        state = restore_checkpoint(found[-1], self.task)
        if self.task.optimizer.iterations == 0 and state["step"] > 0:
            raise TrainingError(f"{found[-1]} did not restore the optimizer.")
        self.step, self.epoch, self.position = state["step"], state["epoch"], state["position"]
        self.history = [row for row in self.history if row["step"] <= self.step]

    def loop(self) -> None:
        """Train until the steps are done or validation stops improving."""
        self.progress.started(self.step, self.total_steps)
        every = max(1, math.ceil(self.total_steps / self.config.evaluations))
        while self.step < self.total_steps and not self._stop_early():
            losses = []
            for batch in self.batches():
                losses.append(self._train_on(batch))
                self.position += 1
                self.step += 1
                if self.step % every == 0 or self.step == self.total_steps:
                    self._evaluate(float(np.mean(losses)))
                    losses = []
                if self.step == self.total_steps or self._stop_early():
                    return
            self.epoch, self.position = self.epoch + 1, 0

    def _train_on(self, batch: StepBatch) -> float:
        loss = float(self.task.train_on_batch(batch.inputs, batch.targets, sample_weight=batch.weights))
        if not math.isfinite(loss):
            found = checkpoints(self.output / "checkpoints")
            kept = f"the last good checkpoint is {found[-1]}" if found else "there is no checkpoint yet"
            raise NonFiniteLossError(
                f"The loss became {loss} at step {self.step + 1} (epoch {self.epoch + 1}, batch "
                f"{self.position + 1}); {kept}. Try a lower learning rate, or float32."
            )
        self.progress.stepped(self.step + 1, loss, batch.tokens)
        return loss

    def _evaluate(self, loss: float) -> None:
        row = {
            "step": self.step,
            "epoch": self.epoch + 1,
            "loss": round(loss, 5),
            **self.evaluate(),
            "learning_rate": float(np.asarray(self.task.optimizer.learning_rate)),
        }
        self.history.append(row)
        run_folder.write_history(self.output, self.history, self.config.metric)
        # Epochs count from 0 where the training stands, from 1 where people read.
        state = {**row, "epoch": self.epoch, "position": self.position}
        folder = self.output / "checkpoints"
        save_checkpoint(folder, self.task, state)
        found = checkpoints(folder)
        keep_only(folder, [*found[-max(self.config.average, 1) :], self._best(found)])
        self.progress.evaluated(row)

    def _goodness(self, score: float) -> float:
        return -score if self.config.metric in LOWER_IS_BETTER else score

    def _best(self, found: list[Path]) -> Path:
        # The later of two equals: it has seen more.
        return max(found, key=lambda path: (self._goodness(load_state(path)[self.config.metric]), path.name))

    def _stop_early(self) -> bool:
        patience = self.config.patience
        scores = [self._goodness(row[self.config.metric]) for row in self.history]
        return (
            bool(patience) and len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])
        )

    def finish(self) -> tuple[str, float]:
        """Write model.keras with the best of: best checkpoint, last checkpoint, mean of the last ones."""
        found = checkpoints(self.output / "checkpoints")
        candidates = {path.name: [path] for path in (self._best(found), found[-1])}
        if self.config.average > 1 and len(found) > 1:
            candidates["average"] = found[-self.config.average :]
        scores = {}
        for name, chosen_checkpoints in candidates.items():
            restore_average(chosen_checkpoints, self.task)
            scores[name] = self.final_score()
        chosen = max(scores, key=lambda name: self._goodness(scores[name]))
        restore_average(candidates[chosen], self.task)
        run_folder.save_model(self.output, self.model)
        config = run_folder.read_config(self.output)
        config.update(step=self.step, chosen=chosen, validation={self.config.metric: scores})
        run_folder.write_config(self.output, config)
        self.finished()
        return chosen, scores[chosen]


def mean_loss(task, batches: Iterable[StepBatch]) -> float:
    """Mean loss per target, without label smoothing, by a task that is compiled."""
    total = count = 0.0
    for batch in batches:
        loss = task.test_on_batch(batch.inputs, batch.targets, sample_weight=batch.weights)
        total += float(loss) * batch.count
        count += batch.count
    return total / max(count, 1)


def train(
    make: type[Training],
    config: TrainingConfig,
    output: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train and leave a run folder.

    Args:
        make: which training.
        config: the settings.
        output: the run folder; it must not exist, unless `resume`.
        resume: whether to go on where an interrupted training of the same configuration stopped.
        progress: listens.

    Returns:
        What came out.

    Raises:
        TrainingError: if `output` is in the way or of another configuration, or the loss is not finite.
        DataError: if the data cannot be used.
    """
    started = time.monotonic()
    output = Path(output)
    _check_folder(config, output, resume)
    if config.precision != "float32":
        keras.mixed_precision.set_global_policy(f"mixed_{config.precision}")
    training = make(config, output, Silent() if progress is None else progress)
    if resume:
        training.resume()
    training.loop()
    chosen, score = training.finish()
    return TrainingResult(output, training.step, chosen, score, time.monotonic() - started)


def _check_folder(config: TrainingConfig, output: Path, resume: bool) -> None:
    exists = (output / run_folder.RUN).exists()
    if resume:
        if not exists:
            raise TrainingError(f"There is nothing to resume in {output}: it has no {run_folder.RUN}.")
        run = run_folder.read_config(output)
        if run.get("task", config.task) != config.task:
            raise TrainingError(f"{output} is a run of {run['task']}, not of {config.task}.")
        found = run["training"]
        wanted = json.loads(json.dumps(dataclasses.asdict(config)))  # tuples as JSON has them
        different = [name for name, value in wanted.items() if found.get(name) != value]
        if different:
            told = ", ".join(f"{name} {found.get(name)!r} (asked: {wanted[name]!r})" for name in different)
            raise TrainingError(f"{output} was made with another configuration: {told}.")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise TrainingError(f"{output} already exists: give another --output, or --resume to go on with it.")
