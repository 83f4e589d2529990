"""The trainings of language models: running text in rows of one length, perplexity."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keras_attn.data.batching.ragged import stored
from keras_attn.data.batching.row_batches import RowBatch, RowBatches, windows
from keras_attn.data.byte_tokenizer import encode_stream
from keras_attn.data.errors import DataError
from keras_attn.data.readers.paragraphs import read_paragraphs
from keras_attn.data.splits import hold_out
from keras_attn.training import run_folder
from keras_attn.training.config.language import LanguageConfig
from keras_attn.training.errors import TrainingError
from keras_attn.training.initialization import find_tokenizer, model_of_run, new_backbone, with_settings
from keras_attn.training.loop import Training
from keras_attn.training.optimization.objectives import TokenObjective
from keras_attn.training.step_batch import TrainingBatch, mean_loss

HELD_OUT = 1000  # the most training paragraphs that are held out


class Packed:
    """Running text in rows of one length, and the batches made of them; a subclass for each kind of model.

    Args:
        tokenizer: `tokenizers.Tokenizer`.
        special_ids: ids by role.
        config: the settings.
        paragraphs: the text.
        folder: stores the token ids, which are then memory-mapped; by default they stay in memory.
    """

    separator: ClassVar[str]
    """Role of the token after each paragraph."""

    def __init__(
        self,
        tokenizer,
        special_ids: dict[str, int],
        config: Any,
        paragraphs: Sequence[str],
        folder: Path | None = None,
    ):
        self.special_ids, self.length = special_ids, config.max_tokens
        self.vocabulary_size = tokenizer.get_vocab_size()

        def encode() -> dict[str, np.ndarray]:
            ids, starts = encode_stream(tokenizer, paragraphs, special_ids[self.separator])
            return {"ids": self.lead(ids), "starts": starts}

        stream = encode() if folder is None else stored(folder, encode)
        self.rows, self.starts = self.cut(stream["ids"], stream["starts"])
        self.order = RowBatches([self.length] * len(self.rows), [self.length], config.batch_size, config.seed)

    def lead(self, ids: np.ndarray) -> np.ndarray:
        """Return the text with the tokens that its first row needs before it."""
        return ids

    def cut(self, ids: np.ndarray, starts: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
        """Return rows of the text and of its word starts, without a copy."""
        raise NotImplementedError

    def step_batch(self, batch: RowBatch, rng: np.random.Generator) -> TrainingBatch:
        """Return the batch of a step; `rng` draws all that is random in it."""
        raise NotImplementedError

    def epoch(self, seed: int, n: int, skip: int = 0) -> Iterator[TrainingBatch]:
        """Return the batches of epoch `n` from `skip` on; randomness depends only on a batch's number."""
        for batch in self.order.epoch(n, skip):
            yield self.step_batch(batch, np.random.default_rng([seed, n, batch.number]))

    def in_order(self) -> Iterator[TrainingBatch]:
        """Return all batches in a fixed order."""
        for batch in self.order.in_order():
            yield self.step_batch(batch, np.random.default_rng(batch.number))


class LanguageTraining(Training):
    """The training of a language model; a subclass defines which.

    Attributes:
        packed: class that makes batches of text.
        special_tokens: of a newly trained tokenizer.
        roles: special tokens that a tokenizer must have.
        backbones: classes of accepted initial backbones.
        whole: class of the model with its head.
        backbone_options: constructor arguments of a new backbone.
    """

    config: LanguageConfig
    packed: ClassVar[type[Packed]]
    special_tokens: ClassVar[dict[str, str]]
    roles: ClassVar[tuple[str, ...]]
    backbones: ClassVar[tuple[type, ...]]
    whole: ClassVar[type]
    backbone_options: ClassVar[dict] = {}

    def read(self) -> None:
        """Read the text."""
        config = self.config
        self.paragraphs = read_paragraphs(config.train)
        if config.validation:
            self.held_out = read_paragraphs(config.validation)
        else:
            self.paragraphs, self.held_out = _hold_out(self.paragraphs, ", ".join(config.train))
        seen = set(self.paragraphs)
        if shared := sum(text in seen for text in self.held_out):
            self.progress.note(
                f"{shared} of {len(self.held_out)} held-out paragraphs are also in the training data"
            )

    def prepare(self) -> None:
        """Encode the text and divide it into rows."""
        config, paragraphs = self.config, self.paragraphs
        self.tokenizer, self.special_ids, self.initial = find_tokenizer(
            config, self.output, paragraphs, self.special_tokens
        )
        missing = [role for role in self.roles if role not in self.special_ids]
        if missing:
            raise TrainingError(f"{config.init}: the tokenizer has no token for {', '.join(missing)}.")
        with self.devices.primary_first():
            folder = self.output / run_folder.ENCODED
            self.text = self.packed(self.tokenizer, self.special_ids, config, paragraphs, folder / "train")
        self.validation = self.packed(self.tokenizer, self.special_ids, config, self.held_out)
        self.batches_per_epoch = self.text.order.batches_per_epoch
        self.batch_rows = [config.batch_size]

    def make_model(self):
        """Return the model, with a new backbone or the initial one."""
        if self.run_exists:
            return model_of_run(self.output)
        if self.initial is None:
            size = self.tokenizer.get_vocab_size()
            return self.around(new_backbone(self.config, size, self.special_ids, **self.backbone_options))
        initial = with_settings(self.initial, self.config, self.backbones)
        # A run of the same task already has a head.
        return initial.model if isinstance(initial.model, self.whole) else self.around(initial.backbone)

    def around(self, backbone) -> Any:
        """Return the backbone with its head or output layer."""
        return self.whole(backbone, name=self.config.task.replace("-", "_"))

    def make_task(self) -> TokenObjective:
        """Return the model wrapped with its loss."""
        return TokenObjective(self.model)

    def describe(self) -> dict:
        """Return the entries of run.json: the data."""
        names = ", ".join(Path(path).name for path in self.config.train)
        return {
            "data": {
                "name": names,
                "train_paragraphs": len(self.paragraphs),
                "train_rows": len(self.text.rows),
            },
            "max_tokens": self.config.max_tokens,
        }

    def write_validation(self) -> None:
        """Write the held-out paragraphs."""
        run_folder.write_paragraphs(self.output / run_folder.VALIDATION_TEXT, self.held_out)

    def batches(self) -> Iterator[TrainingBatch]:
        """Return the remaining batches of the epoch."""
        return self.text.epoch(self.config.seed, self.epoch, self.position)

    def evaluate(self) -> dict:
        """Return loss and perplexity of the held-out text."""
        loss = mean_loss(self.task, self.validation.in_order(), self.devices.place)
        return {"validation_loss": round(loss, 5), "perplexity": perplexity(loss)}


def perplexity(loss: float) -> float:
    """Compute the exponential of a mean loss in nats."""
    return round(math.exp(min(loss, 700.0)), 4)


def cut_rows(values: np.ndarray, length: int, stride: int | None = None) -> list[np.ndarray]:
    """Return rows of `length`, without a last one of a single token, which has no target."""
    rows = windows(values, length, stride or length)
    return rows[:-1] if len(rows) > 1 and len(rows[-1]) < 2 else rows


def _hold_out(paragraphs: list[str], name: str) -> tuple[list[str], list[str]]:
    different = len(set(paragraphs))
    kept, held_out = hold_out(paragraphs, min(HELD_OUT, max(1, different // 20)))
    if not held_out:
        raise DataError(f"{name} has one paragraph: too few to hold any out: give a validation file.")
    return [paragraphs[row] for row in kept], [paragraphs[row] for row in held_out]
