"""The training loop of all tasks: steps, evaluations, checkpoints, resuming, final weights."""

import contextlib
import dataclasses
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn.data.batching.prefetch import prefetched
from keras_attn.data.corpora.checksums import sha256
from keras_attn.data.readers.text_files import recorded_files
from keras_attn.training import history, run_folder
from keras_attn.training.checkpoints import (
    checkpoints,
    delete,
    keep_only,
    named,
    remove_unfinished,
    restore_average,
    restore_checkpoint,
    score_of,
    training_variables,
    undamaged,
    writer,
)
from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.config.training_config import LOWER_IS_BETTER
from keras_attn.training.errors import NonFiniteLossError, Preempted, TrainingError
from keras_attn.training.optimization.rematerialization import rematerialize
from keras_attn.training.optimization.schedules import WarmUp
from keras_attn.training.parallelism.devices import Devices
from keras_attn.training.progress import Progress
from keras_attn.training.sigterm import sigterm_requested
from keras_attn.training.step_batch import TrainingBatch


@dataclasses.dataclass
class TrainingResult:
    """The result of a training.

    Attributes:
        folder: the run folder.
        steps: optimizer steps in total.
        chosen: the weights of model.keras: a checkpoint's name, or "average".
        score: their validation score, by the configuration's metric.
        seconds: wall time of this call.
    """

    folder: Path
    steps: int
    chosen: str
    score: float
    seconds: float


class Training:
    """One training: model, optimizer, data, and its position in the data.

    A subclass implements the methods that raise `NotImplementedError` here. In the order in which they are
    called: `read`, `prepare`, `make_model`, `make_task`, `describe`, `write_validation`; then repeatedly
    `batches` and `evaluate`; and at the end `final_score` and `finished`.

    Args:
        config: the settings.
        output: the run folder.
        progress: receives the progress.
        run_options: how often to save, and whether to save memory.
        devices: the devices to train on.

    Attributes:
        batches_per_epoch: int, set by `prepare`.
        batch_rows: all batch sizes that occur, set by `prepare`.
        tokenizer: `tokenizers.Tokenizer`, set by `prepare`.
        special_ids: dict of ids by role, set by `prepare`.
        total_steps: int.
        step, epoch, position: steps done, current epoch, and batches done of it.
        losses: sum and number of the losses since the last evaluation.
        data_files: SHA-256 of the files that `read` read, by path.
        history: rows of history.csv.
        model: the model that is trained.
        task: the `keras.Model` that wraps it with the loss.
    """

    batches_per_epoch: int
    batch_rows: Sequence[int]
    tokenizer: Any
    special_ids: dict[str, int]

    def __init__(
        self, config: Any, output: Path, progress: Progress, run_options: RunOptions, devices: Devices
    ):
        self.config, self.output, self.progress = config, output, progress
        self.run_options, self.devices = run_options, devices
        self.step, self.epoch, self.position = 0, 0, 0
        self.losses = (0.0, 0)
        self.history: list[dict] = []
        self.run_exists = (output / run_folder.RUN).is_file()
        devices.agree(dataclasses.asdict(config) | dataclasses.asdict(run_options))
        with recorded_files() as self.data_files:
            self.read()
        if self.run_exists and self.data_files:  # none are read if a step is only planned
            recorded = run_folder.read_config(output).get("data_files")
            run_folder.check_data(output, recorded, self.data_files)
        self.prepare()
        devices.check(self.batch_rows, config.accumulate)
        self.total_steps = config.steps or config.epochs * self.batches_per_epoch
        keras.utils.set_random_seed(config.seed)
        self.model = self.make_model()
        devices.fits(self.model)
        if run_options.remat:
            rematerialize(self.model)
        self.task = self._compiled(self.make_task())
        data = (self.batches_per_epoch, self.batch_rows, sorted(self.data_files.values()))
        devices.agree(
            {
                "the data": data,
                "the run folder": self.run_exists,
                "the tokenizer": self.tokenizer.to_str(),
                "the model": self.model.get_config(),
            }
        )
        if not self.run_exists and devices.primary:
            self._write_run()
        self.writer = writer()

    def read(self) -> None:
        """Read the data."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make or read the tokenizer, and arrange the batches."""
        raise NotImplementedError

    def make_model(self) -> Any:
        """Return the model; the global seed is set."""
        raise NotImplementedError

    def make_task(self) -> Any:
        """Wrap the model for `train_on_batch` and `test_on_batch`."""
        raise NotImplementedError

    def make_optimizer(self, schedule) -> Any:
        """Return the optimizer, Adam as in Vaswani et al., 2017, section 5.3."""
        return keras.optimizers.Adam(schedule, **self.adam)

    def describe(self) -> dict:
        """Return the task's entries of run.json."""
        raise NotImplementedError

    def write_validation(self) -> None:
        """Write the held-out examples into the run folder."""
        raise NotImplementedError

    def batches(self) -> Iterator[TrainingBatch]:
        """Return the batches of epoch `self.epoch` from `self.position` on."""
        raise NotImplementedError

    def evaluate(self) -> dict:
        """Return `validation_loss` and the scores of a row of history.csv, including the metric."""
        raise NotImplementedError

    def final_score(self) -> float:
        """Return the metric that selects the weights at the end."""
        return self.evaluate()[self.metric]

    def finished(self) -> None:
        """Write further files into the run folder; the model has its final weights, on one device."""

    @property
    def metric(self) -> str:
        """The score that selects the best checkpoint."""
        return self.config.metric

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
        self.devices.divide_optimizer(optimizer)
        task.accumulate = config.accumulate
        backend = keras.backend.backend()
        xla = backend == "jax" or (backend == "tensorflow" and getattr(self.model, "xla_on_tensorflow", True))
        task.compile(optimizer=optimizer, jit_compile=config.jit_compile and xla)
        return task

    def _write_run(self):
        self.output.mkdir(parents=True, exist_ok=True)
        run_folder.write_tokenizer(self.output, self.tokenizer)
        self.write_validation()
        names = (run_folder.TOKENIZER, *run_folder.HELD_OUT_FILES)
        written = [self.output / name for name in names]
        config = {
            "format_version": run_folder.FORMAT_VERSION,
            "task": self.config.task,
            "model": {"class_name": type(self.model).__name__, "config": self.model.get_config()},
            **self.describe(),
            "data_files": self.data_files,
            "sha256": {path.name: sha256(path) for path in written if path.is_file()},
            "special_ids": self.special_ids,
            "training": dataclasses.asdict(self.config),
            "total_steps": self.total_steps,
            "versions": {"keras": keras.version(), "backend": keras.backend.backend()},
        }
        run_folder.write_config(self.output, config)

    def resume(self) -> None:
        """Continue from the newest checkpoint that is not damaged.

        Raises:
            TrainingError: if all are damaged, or do not fit the model.
        """
        folder = self.output / run_folder.CHECKPOINTS
        found = named(folder)
        newest = next((path for path in reversed(found) if undamaged([path], self.progress.note)), None)
        if newest is None:
            what = "All checkpoints are damaged" if found else "There is no checkpoint"
            raise TrainingError(f"{what} in {folder}: start again with another --output.")
        state = restore_checkpoint(newest, self.task)
        if self.task.optimizer.iterations == 0 and state["step"] > 0:
            raise TrainingError(f"{newest} did not restore the optimizer.")
        self.step, self.epoch, self.position = state["step"], state["epoch"], state["position"]
        self.losses, self.history = tuple(state["losses"]), state["history"]
        if newest != found[-1]:
            self.progress.note(f"continuing from {newest}")
        if self.devices.primary:
            for path in found[found.index(newest) + 1 :]:
                delete(path)
            # The file may be ahead of the checkpoint, or damaged.
            history.write_history(self.output, self.history, self.metric)

    def loop(self) -> None:
        """Train until the steps are done, validation stops improving, or SIGTERM is received.

        Raises:
            Preempted: if SIGTERM was received; a checkpoint was saved.
        """
        if self.devices.primary:
            remove_unfinished(self.output / run_folder.CHECKPOINTS)
        if self.run_options.finish:
            if not self.history or self.history[-1]["step"] < self.step:
                self._evaluate()  # the weights of the newest checkpoint
                self.writer.wait()
            return
        self.progress.started(self.step, self.total_steps)
        try:
            with sigterm_requested() as requested:
                while self.step < self.total_steps and not self._stop_early():
                    with contextlib.closing(prefetched(self.batches())) as batches:
                        for batch in batches:
                            self._train_on(batch)
                            self._after_step(requested())
                            if self.step == self.total_steps or self._stop_early():
                                break
                        else:
                            self.epoch, self.position = self.epoch + 1, 0
        finally:
            # Whatever ends a training, its last checkpoint is completed.
            self.writer.wait()
        self._delete_old_checkpoints()

    def _after_step(self, stop_requested: bool) -> None:
        """Evaluate, save or stop, if due after this step."""
        every = max(1, math.ceil(self.total_steps / self.config.evaluations))
        between = self.run_options.checkpoint_every
        evaluated = self.step % every == 0 or self.step == self.total_steps
        stop = self.devices.preempted(stop_requested, self.step)
        if evaluated:
            self._evaluate()
        elif stop or (between and self.step % between == 0):
            self._save({})
        if stop and self.step < self.total_steps:
            raise Preempted(f"Stopped by SIGTERM and saved at step {self.step}: continue with --resume.")

    def _train_on(self, batch: TrainingBatch) -> None:
        own = self.devices.place(batch, self.config.accumulate)
        loss = float(self.task.train_on_batch(own.inputs, own.targets, sample_weight=own.weights))
        if not math.isfinite(loss):
            self._raise_non_finite(f"The loss became {loss} at step {self.step + 1}")
        self.position += 1
        self.step += 1
        self.losses = (self.losses[0] + loss, self.losses[1] + 1)
        self.progress.stepped(self.step, loss, batch.tokens)

    def _raise_non_finite(self, what: str) -> None:
        """Raise `NonFiniteLossError`, which names the newest usable checkpoint."""
        self.writer.wait()
        found = undamaged(checkpoints(self.output / run_folder.CHECKPOINTS), self.progress.note)
        kept = f"the last good checkpoint is {found[-1]}" if found else "there is no checkpoint yet"
        raise NonFiniteLossError(
            f"{what} (epoch {self.epoch + 1}, batch {self.position + 1}); {kept}. Try a lower learning rate, "
            "or float32."
        )

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
            history.write_history(self.output, self.history, self.metric)
        self._save(row)
        self.progress.evaluated(row)

    def _save(self, row: dict) -> None:
        if not self.devices.all_finite(
            training_variables(self.task).values()
        ):  # the loss of this step was finite, but the update was not
            self._raise_non_finite(f"Weights became NaN or infinite at step {self.step}")
        # Epochs count from 0 in the state, from 1 in messages.
        state = {"step": self.step, "epoch": self.epoch, "position": self.position, "losses": self.losses}
        self.writer.wait()
        self._delete_old_checkpoints()
        folder = self.output / run_folder.CHECKPOINTS
        self.writer.save(folder, self.task, {**row, **state, "history": list(self.history)})

    def _delete_old_checkpoints(self) -> None:
        """Delete all checkpoints but the newest two, the best, and the last ones, which are averaged."""
        found = checkpoints(self.output / run_folder.CHECKPOINTS)
        scored = self._scored(found)
        best = [self._best(scored)] if scored else []
        if self.devices.primary:
            # The newest may turn out to be damaged.
            kept = [*found[-2:], *scored[-max(self.config.average, 1) :], *best]
            keep_only(self.output / run_folder.CHECKPOINTS, kept)

    def _scored(self, found: list[Path]) -> list[Path]:
        return [path for path in found if score_of(path, self.metric) is not None]

    def _goodness(self, score: float) -> float:
        return -score if self.metric in LOWER_IS_BETTER else score

    def _best(self, found: list[Path]) -> Path:
        # Of two equals the later one, which has seen more data.
        scores = {path: score_of(path, self.metric) or 0.0 for path in found}
        return max(found, key=lambda path: (self._goodness(scores[path]), path.name))

    def _stop_early(self) -> bool:
        patience = self.config.patience
        scores = [self._goodness(row[self.metric]) for row in self.history]
        return (
            bool(patience) and len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])
        )

    def close(self) -> None:
        """Stop what runs in the background."""
        self.writer.close()

    def finish(self) -> tuple[str, float]:
        """Write model.keras with the best of: best checkpoint, last checkpoint, average of the last ones."""
        found = checkpoints(self.output / run_folder.CHECKPOINTS)
        found = self._scored(undamaged(found, self.progress.note))
        if not found:
            raise TrainingError(f"All checkpoints of {self.output} are damaged: start again elsewhere.")
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
            self._write_result(chosen, scores)
        return chosen, scores[chosen]

    def _write_result(self, chosen: str, scores: dict[str, float]) -> None:
        config = run_folder.read_config(self.output)
        sums = {name: value for name, value in config["sha256"].items() if name != run_folder.MODEL}
        # An earlier model.keras is about to be replaced, so its checksum goes first.
        run_folder.write_config(self.output, {**config, "sha256": sums})
        run_folder.save_model(self.output, self.model)
        sums[run_folder.MODEL] = sha256(self.output / run_folder.MODEL)
        result = {"step": self.step, "chosen": chosen, "validation": {self.metric: scores}}
        run_folder.write_config(self.output, {**config, "sha256": sums, **result})
        self.finished()
        shutil.rmtree(self.output / run_folder.ENCODED, ignore_errors=True)
