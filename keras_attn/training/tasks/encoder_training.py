"""What the trainings of encoders with a head share: rows of tokens, layers, batches, held-out examples."""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from keras_attn.data.batching.row_batches import RowBatch, RowBatches, widths
from keras_attn.data.byte_tokenizer import BERT_TOKENS, GPT_TOKENS
from keras_attn.data.tokenizer_conversion import as_tokenizer
from keras_attn.device.runtime.encoder import segments_of
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.encoding import BatchedEncoder, KerasEncoder, keras_object, segmented
from keras_attn.models import GPT2, Bert
from keras_attn.training import run_folder
from keras_attn.training.config.encoder import EncoderConfig
from keras_attn.training.config.text import DECODERS
from keras_attn.training.initialization import InitialModel, find_tokenizer, model_of_run, new_backbone
from keras_attn.training.initialization import with_settings as initial_with_settings
from keras_attn.training.loop import Training
from keras_attn.training.optimization.layerwise import LayerwiseAdam, freeze, rate_factors
from keras_attn.training.step_batch import TrainingBatch

HELD_OUT = 2000  # the most training examples that are held out


class EncoderTraining(Training):
    """The training of an encoder with a head.

    A subclass sets `rows`, `order` and whatever its targets need in `encode`, and implements the abstract
    methods.

    Attributes:
        backbones: classes of accepted initial backbones.
        reader: the tokenizer as the device has it, set by `prepare`.
        initial: the initial model, if there is one, set by `prepare`.
        rows: token ids of each row, set by `encode`.
        order: batches of these rows, set by `encode`.
        pairs: whether a row is two texts.
    """

    config: EncoderConfig
    backbones: ClassVar[tuple[type, ...]] = (Bert, GPT2)
    pairs = False
    rows: Sequence[Sequence[int]]
    order: RowBatches

    @abstractmethod
    def texts(self) -> Sequence[str]:
        """Return the texts that train a new tokenizer."""

    @abstractmethod
    def encode(self) -> None:
        """Set `rows` and the targets."""

    @abstractmethod
    def targets(self, batch: RowBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return targets and weights of a batch, with `batch.size` rows each."""

    @abstractmethod
    def new_model(self, backbone: Any, initial: Any) -> Any:
        """Return the model over a backbone.

        Args:
            backbone: a model of `keras_attn.models`.
            initial: the initial model with its head, of which a new one may take over options, or `None`.
        """

    @abstractmethod
    def examples(self) -> list[Any]:
        """Return the held-out examples, as JSON, in the form that `keras_attn.export` takes them in."""

    def prepare(self) -> None:
        """Make or read the tokenizer, encode the texts and put them into buckets."""
        config = self.config
        special_tokens = GPT_TOKENS if config.model in DECODERS else BERT_TOKENS
        self.tokenizer, self.special_ids, self.initial = find_tokenizer(
            config, self.output, self.texts(), special_tokens, without_head=True
        )
        made = as_tokenizer(self.tokenizer, config.task, pad=self.special_ids["pad"])
        assert isinstance(made, EncoderTokenizer)
        self.reader = made
        self.encode()
        self.order = self.batches_of(self.rows)
        self.batches_per_epoch = self.order.batches_per_epoch
        self.batch_rows = [config.batch_size]

    def batches_of(self, rows: Sequence[Sequence[int]]) -> RowBatches:
        """Put rows into buckets."""
        config = self.config
        return RowBatches([len(row) for row in rows], self.widths, config.batch_size, config.seed)

    @property
    def widths(self) -> list[int]:
        """The lengths that batches are padded to."""
        return widths(self.config.boundaries, self.config.max_tokens)

    def make_model(self) -> Any:
        """Return the model."""
        model = model_of_run(self.output) if self.run_exists else self._new_model()
        freeze(model.backbone, self.config.freeze_layers)
        if model.backbone.pooler and getattr(model, "pooling", None) != "pooled":
            model.backbone.pooler_dense.trainable = False  # it is not used
        return model

    @cached_property
    def encoder(self) -> BatchedEncoder:
        """What computes for `predictor`, in batches."""
        keras_encoder = KerasEncoder(self.model, self.widths, self.reader.special_ids["end"])
        return BatchedEncoder(keras_encoder, self.config.batch_size)

    @cached_property
    def predictor(self) -> Any:
        """The object of the device's task over the model."""
        return keras_object(self.model, self.reader, self.encoder)

    def _new_model(self) -> Any:
        if self.initial is None:
            backbone = new_backbone(self.config, self.tokenizer.get_vocab_size(), self.special_ids)
            return self.new_model(backbone, None)
        initial: InitialModel = initial_with_settings(self.initial, self.config, self.backbones)
        return self.new_model(initial.backbone, initial.model)

    @property
    def head_dropout(self) -> dict[str, Any]:
        """The head's dropout rate, if one is chosen."""
        return {} if self.config.dropout is None else {"dropout": self.config.dropout}

    def make_optimizer(self, schedule):
        """Return Adam, with a learning rate for each layer if they differ."""
        if self.config.layer_decay == 1:
            return super().make_optimizer(schedule)
        return LayerwiseAdam(schedule, rate_factors(self.model, self.config.layer_decay), **self.adam)

    def write_validation(self) -> None:
        """Write the held-out examples."""
        run_folder.write_examples(self.output / run_folder.VALIDATION_EXAMPLES, self.examples())

    def note_shared(
        self, seen: Collection[Any], examples: Sequence[Any], kind: str, path: str | None
    ) -> None:
        """Tell how many examples of a file are also in the training data."""
        if shared := sum(each in seen for each in examples):
            self.progress.note(f"{shared} of {len(examples)} {kind} of {path} are also in the training data")

    def write_test(self, scores: dict[str, Any]) -> None:
        """Add the scores of the test examples to run.json."""
        run_folder.write_config(self.output, {**run_folder.read_config(self.output), "test": scores})

    def batches(self) -> Iterator[TrainingBatch]:
        """Return the remaining batches of the epoch."""
        return map(self.step_batch, self.order.epoch(self.epoch, skip=self.position))

    def step_batch(self, batch: RowBatch) -> TrainingBatch:
        """Return the batch of a step."""
        return TrainingBatch(self.inputs(self.rows, batch), *self.targets(batch))

    def inputs(self, rows: Sequence[Sequence[int]], batch: RowBatch) -> dict[str, np.ndarray]:
        """Return the model's inputs of some rows."""
        token_ids, exists = batch.padded(rows, self.special_ids["pad"])
        found = {"token_ids": token_ids, "padding_mask": exists}
        if self.pairs and segmented(self.model):
            found["segment_ids"] = segments_of(token_ids, self.reader.special_ids["end"]) * exists
        return found


def padded_targets(batch: RowBatch, goals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is right for a batch's rows, (size, ...), and weights (size,), 0 for empty last rows."""
    missing = (0, batch.size - len(batch.rows))
    weights = np.pad(np.ones(len(batch.rows), np.float32), missing)
    return np.pad(goals, [missing, *[(0, 0)] * (goals.ndim - 1)]), weights


def padded_rows(batch: RowBatch, values: Sequence[np.ndarray], dtype: Any) -> np.ndarray:
    """Return some rows of values (T,) as (size, width), 0 behind their ends; the last rows may be empty."""
    found = np.zeros((batch.size, batch.width), dtype)
    for place, row in enumerate(batch.rows):
        found[place, : len(values[row])] = values[row]
    return found
