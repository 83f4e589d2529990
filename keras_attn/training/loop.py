"""The training loop, written once for all tasks: steps, evaluations, checkpoints, resuming, the choice."""

import contextlib
import dataclasses
import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn.data.prefetch import prefetched
from keras_attn.training import run as run_folder
from keras_attn.training.batch import StepBatch
from keras_attn.training.checkpoints import (
    checkpoints,
    keep_only,
    load_state,
    remove_unfinished,
    restore_average,
    restore_checkpoint,
    writer,
)
from keras_attn.training.conditions import Conditions
from keras_attn.training.configuration import LOWER_IS_BETTER, TrainingConfig
from keras_attn.training.devices import Devices, devices_for
from keras_attn.training.errors import NonFiniteLossError, Preempted, TrainingError
from keras_attn.training.preemption import told_to_stop
from keras_attn.training.progress import Progress, Silent
from keras_attn.training.rematerialization import rematerialize
from keras_attn.training.schedules import WarmUp

LEFT_OVER = {run_folder.ENCODED}  # by a training that was refused, or died, before it began


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


class Training:
    """One training: model, optimizer, data, and where it stands.

    A subclass says what is trained, by the methods that raise `NotImplementedError` here. In the order in
    which they are called: `prepare`, `make_model`, `make_task`, `describe`, `write_validation`; then, again
    and again, `batches` and `evaluate`; and at the end `final_score` and `finished`.

    Args:
        config: the settings.
        output: the run folder.
        progress: listens.
        conditions: how often to save, and what memory is to be spared.
        devices: where it runs.

    Attributes:
        batches_per_epoch: int, set by `prepare`.
        batch_rows: the numbers of rows that batches have, set by `prepare`.
        tokenizer: `tokenizers.Tokenizer`, set by `prepare`.
        special_ids: dict of ids by role, set by `prepare`.
        total_steps: int.
        step, epoch, position: where the training stands: steps done, and batches done of which epoch.
        losses: sum and number of the losses since the last evaluation.
        history: rows of history.csv.
        model: the model that is trained.
        task: the `keras.Model` around it that knows the loss.
    """

    batches_per_epoch: int
    batch_rows: Sequence[int]
    tokenizer: Any
    special_ids: dict[str, int]

    def __init__(
        self, config: Any, output: Path, progress: Progress, conditions: Conditions, devices: Devices
    ):
        self.config, self.output, self.progress = config, output, progress
        self.conditions, self.devices = conditions, devices
        self.step, self.epoch, self.position = 0, 0, 0
        self.losses = (0.0, 0)
        self.history: list[dict] = run_folder.read_history(output)
        self.begun = (output / run_folder.RUN).is_file()
        devices.agree(dataclasses.asdict(config) | dataclasses.asdict(conditions))
        self.prepare()
        devices.check(self.batch_rows, config.accumulate)
        self.total_steps = config.steps or config.epochs * self.batches_per_epoch
        keras.utils.set_random_seed(config.seed)
        self.model = self.make_model()
        devices.fits(self.model)
        if conditions.remat:
            rematerialize(self.model)
        self.task = self._compiled(self.make_task())
        data = {"the data": (self.batches_per_epoch, self.batch_rows), "the run folder": self.begun}
        devices.agree(
            {**data, "the tokenizer": self.tokenizer.to_str(), "the model": self.model.get_config()}
        )
        if not self.begun and devices.primary:
            self._write_run()
        self.writer = writer()

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
        """Leave what else belongs into the run folder; the model has its final weights, on one device."""

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
        self.devices.cut_optimizer(optimizer)
        task.accumulate = config.accumulate
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
        self.losses = tuple(state["losses"])
        self.history = [row for row in self.history if row["step"] <= self.step]

    def loop(self) -> None:
        """Train until the steps are done, validation stops improving, or somebody says stop.

        Raises:
            Preempted: if the process was told to stop; it is saved where it stands.
        """
        if self.devices.primary:
            remove_unfinished(self.output / "checkpoints")
        self.progress.started(self.step, self.total_steps)
        try:
            with told_to_stop() as told:
                while self.step < self.total_steps and not self._stop_early():
                    with contextlib.closing(prefetched(self.batches())) as batches:
                        for batch in batches:
                            self._train_on(batch)
                            self._after_step(told())
                            if self.step == self.total_steps or self._stop_early():
                                break
                        else:
                            self.epoch, self.position = self.epoch + 1, 0
        finally:
            # Whatever ends a training, its last checkpoint is made whole.
            self.writer.wait()
        self._keep_some()

    def _after_step(self, told: bool) -> None:
        """Evaluate, save, or stop, as the time has come for it."""
        every = max(1, math.ceil(self.total_steps / self.config.evaluations))
        evaluated = self.step % every == 0 or self.step == self.total_steps
        stop = self.devices.preempted(told, self.step)
        if evaluated:
            self._evaluate()
        elif stop or (self.conditions.checkpoint_every and self.step % self.conditions.checkpoint_every == 0):
            self._save({})
        if stop and self.step < self.total_steps:
            raise Preempted(f"Told to stop, and saved at step {self.step}: go on with --resume.")

    def _train_on(self, batch: StepBatch) -> None:
        own = self.devices.place(batch, self.config.accumulate)
        loss = float(self.task.train_on_batch(own.inputs, own.targets, sample_weight=own.weights))
        if not math.isfinite(loss):
            self.writer.wait()
            found = checkpoints(self.output / "checkpoints")
            kept = f"the last good checkpoint is {found[-1]}" if found else "there is no checkpoint yet"
            raise NonFiniteLossError(
                f"The loss became {loss} at step {self.step + 1} (epoch {self.epoch + 1}, batch "
                f"{self.position + 1}); {kept}. Try a lower learning rate, or float32."
            )
        self.position += 1
        self.step += 1
        self.losses = (self.losses[0] + loss, self.losses[1] + 1)
        self.progress.stepped(self.step, loss, batch.tokens)

    def _evaluate(self) -> None:
        row = {
            "step": self.step,
            "epoch": self.epoch + 1,
            "loss": round(self.losses[0] / self.losses[1], 5),
            **self.evaluate(),
            "learning_rate": float(np.asarray(self.task.optimizer.learning_rate)),
        }
        self.losses = (0.0, 0)
        self.history.append(row)
        if self.devices.primary:
            run_folder.write_history(self.output, self.history, self.config.metric)
        self._save(row)
        self.progress.evaluated(row)

    def _save(self, row: dict) -> None:
        # Epochs count from 0 where the training stands, from 1 where people read.
        stands = {"step": self.step, "epoch": self.epoch, "position": self.position, "losses": self.losses}
        self.writer.wait()
        self._keep_some()
        self.writer.save(self.output / "checkpoints", self.task, {**row, **stands})

    def _keep_some(self) -> None:
        """Delete what is neither the newest, nor the best, nor among the last that are averaged."""
        found = checkpoints(self.output / "checkpoints")
        scored = self._scored(found)
        best = [self._best(scored)] if scored else []
        if self.devices.primary:
            keep_only(
                self.output / "checkpoints",
                [*found[-1:], *scored[-max(self.config.average, 1) :], *best],
            )

    def _scored(self, found: list[Path]) -> list[Path]:
        return [path for path in found if self.config.metric in load_state(path)]

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
        found = self._scored(checkpoints(self.output / "checkpoints"))
        candidates = {path.name: [path] for path in (self._best(found), found[-1])}
        if self.config.average > 1 and len(found) > 1:
            candidates["average"] = found[-self.config.average :]
        scores = {}
        for name, chosen_checkpoints in candidates.items():
            restore_average(chosen_checkpoints, self.task)
            scores[name] = self.final_score()
        chosen = max(scores, key=lambda name: self._goodness(scores[name]))
        restore_average(candidates[chosen], self.task)
        self.devices.gather(self.model)
        if self.devices.primary:
            run_folder.save_model(self.output, self.model)
            config = run_folder.read_config(self.output)
            config.update(step=self.step, chosen=chosen, validation={self.config.metric: scores})
            run_folder.write_config(self.output, config)
            self.finished()
            shutil.rmtree(self.output / run_folder.ENCODED, ignore_errors=True)
        return chosen, scores[chosen]


def train(
    make: type[Training],
    config: TrainingConfig,
    output: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    conditions: Conditions | None = None,
) -> TrainingResult:
    """Train and leave a run folder.

    Args:
        make: which training.
        config: the settings.
        output: the run folder; it must not exist, unless `resume`. Several hosts must all see it.
        resume: whether to go on where an interrupted training of the same configuration stopped.
        progress: listens.
        conditions: devices, memory, how often to save; they may change when resuming.

    Returns:
        What came out.

    Raises:
        TrainingError: if `output` is in the way or of another configuration, the loss is not finite, or the
            devices are not as asked.
        DataError: if the data cannot be used.
    """
    started = time.monotonic()
    output = Path(output)
    _check_folder(config, output, resume)
    if config.precision != "float32":
        keras.mixed_precision.set_global_policy(f"mixed_{config.precision}")
    conditions = conditions or Conditions()
    devices = devices_for(conditions, config.seed)
    listening = progress if progress is not None and devices.primary else Silent()
    if not resume and devices.primary:
        shutil.rmtree(output / run_folder.ENCODED, ignore_errors=True)
    with devices.scope():
        try:
            training = make(config, output, listening, conditions, devices)
        except Exception:
            run_folder.leave_nothing(output)
            raise
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
    elif output.exists() and (not output.is_dir() or {path.name for path in output.iterdir()} - LEFT_OVER):
        raise TrainingError(f"{output} already exists: give another --output, or --resume to go on with it.")
