"""A training of a few weights that takes a second, for tests of the loop and of what is around it."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from keras_attn.data.readers.text_files import read_lines
from keras_attn.training import load_run, run_folder
from keras_attn.training.config.training_config import TrainingConfig
from keras_attn.training.loop import Training
from keras_attn.training.optimization.classification_objective import ClassObjective
from keras_attn.training.progress import Silent
from keras_attn.training.start import run_training
from keras_attn.training.step_batch import TrainingBatch, mean_loss


@dataclasses.dataclass(frozen=True)
class TinyConfig(TrainingConfig):
    """Settings: a file of numbers, of which the signs are learnt."""

    task: ClassVar[str] = "tiny"
    models: ClassVar[dict[str, str]] = {"line": "Line"}

    model: str = "line"
    metric: str = "perplexity"
    train: str = ""
    steps: int | None = 12
    evaluations: int = 6
    warmup: int = 1
    average: int = 2
    learning_rate: float = 0.05
    dropout: float | None = 0.5


class TinyTraining(Training):
    """The training of `sign(x)`."""

    def read(self):
        """Read the numbers."""
        self.numbers = np.array([float(line) for line in read_lines(self.config.train)], np.float32)

    def prepare(self):
        """Lay the batches out."""
        self.batches_per_epoch, self.batch_rows = len(self.numbers) // 4, (4,)
        self.special_ids = {"pad": 0}
        if self.run_exists:
            run = run_folder.read_config(self.output)
            self.tokenizer = run_folder.read_tokenizer(self.output, run)
        else:
            self.tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))

    def make_model(self):
        """Build a line with dropout."""
        x = keras.Input((2,), name="x")
        y = keras.layers.Dense(2, name="line")(keras.layers.Dropout(self.config.dropout, name="drop")(x))
        return keras.Model({"x": x}, y, name="tiny")

    def make_task(self):
        """Wrap the model for its loss."""
        return ClassObjective(self.model)

    def describe(self):
        """Show nothing."""
        return {}

    def write_validation(self):
        """Keep some pairs."""
        run_folder.write_validation(self.output / run_folder.VALIDATION, [("-1", "0"), ("1", "1")])

    def _batch(self, numbers):
        return TrainingBatch(
            {"x": np.stack([numbers, np.ones_like(numbers)], axis=1)},
            (numbers > 0).astype(np.int32),
            np.ones(len(numbers), np.float32),
        )

    def batches(self):
        """Return what is left of the epoch."""
        order = np.random.default_rng([self.config.seed, self.epoch]).permutation(self.numbers)
        for at in range(self.position, self.batches_per_epoch):
            yield self._batch(order[4 * at : 4 * at + 4])

    def evaluate(self):
        """Measure the loss of all numbers."""
        loss = mean_loss(self.task, [self._batch(self.numbers)])
        return {"validation_loss": loss, "perplexity": float(np.exp(loss))}


def tiny_config(folder: Path, **changes) -> TinyConfig:
    """Write the numbers, if they are not there, and give the settings."""
    path = folder / "numbers.txt"
    if not path.exists():
        path.write_text("".join(f"{x:.3f}\n" for x in np.random.default_rng(0).normal(size=32)), "utf-8")
    return TinyConfig(train=str(path), **changes)


def train_tiny(config: TinyConfig, output: Path, **options):
    """Train it."""
    return run_training(TinyTraining, config, output, **options)


class Listener(Silent):
    """Records the progress, and stops a training at a step."""

    def __init__(self, stop_at=None, error=KeyboardInterrupt):
        self.stop_at, self.error, self.losses, self.notes = stop_at, error, {}, []

    def stepped(self, step, loss, target_tokens):
        if step == self.stop_at:
            raise self.error
        self.losses[step] = loss

    def note(self, text):
        self.notes.append(text)


def interrupted(config, output, at):
    """Train up to a step, and stop there as Ctrl-C does."""
    with pytest.raises(KeyboardInterrupt):
        train_tiny(config, output, progress=Listener(at))


def weights(folder):
    """The weights of a run's model."""
    return [np.asarray(value) for value in load_run(folder).model.get_weights()]
