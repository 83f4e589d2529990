"""Training a text classifier, from a table of labelled texts to a run folder."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.data.batching.row_batches import RowBatch, RowBatches, widths
from keras_attn.data.byte_tokenizer import (
    BERT_TOKENS,
    GPT_TOKENS,
    encode_texts,
)
from keras_attn.data.errors import DataError
from keras_attn.data.readers.labelled import LabelledTexts, find_classes, lookalikes, read_labelled
from keras_attn.data.splits import hold_out
from keras_attn.models import GPT2, Bert, TextClassifier, TextEmbedder
from keras_attn.scores.classes import (
    ClassPredictor,
    class_scores,
    confusion,
    cross_entropy,
)
from keras_attn.training import run_folder
from keras_attn.training.config.classification import ClassificationConfig
from keras_attn.training.config.text import DECODERS
from keras_attn.training.errors import TrainingError
from keras_attn.training.initialization import find_tokenizer, model_of_run, new_backbone, with_settings
from keras_attn.training.loop import Training
from keras_attn.training.optimization.classification_objective import ClassObjective
from keras_attn.training.optimization.layerwise import LayerwiseAdam, freeze, rate_factors
from keras_attn.training.step_batch import TrainingBatch

CONFUSION = "confusion.png"
HELD_OUT = 2000  # the most training rows that are held out


@dataclasses.dataclass(frozen=True)
class Splits:
    """The texts of a training.

    Attributes:
        train, held_out: texts with labels.
        test: texts with labels, or `None`.
        labels: names of the classes.
        classes: the numbers of the classes, by every spelling of a label.
    """

    train: LabelledTexts
    held_out: LabelledTexts
    test: LabelledTexts | None
    labels: list[str]
    classes: dict[str, int]


def load_splits(config: ClassificationConfig) -> Splits:
    """Return training, validation and test texts, with the classes of the training texts numbered.

    Raises:
        DataError: if a file cannot be read, or there are too few rows to hold any out.
    """
    columns = {
        "text_column": config.text_column,
        "label_column": config.label_column,
        "delimiter": config.delimiter,
        "header": config.header,
    }
    found = read_labelled(config.train, **columns, known=config.labels)
    labels, classes = find_classes(found, config.labels)
    test = read_labelled(config.test, **columns, known=classes) if config.test else None
    if config.validation:
        held_out = read_labelled(config.validation, **columns, known=classes)
        return Splits(found, held_out, test, labels, classes)
    different = len(set(found.texts))
    numbers = found.numbers(classes)
    kept, out = hold_out(found.texts, min(HELD_OUT, max(1, different // 10)), numbers)
    if different < 4 or not out:
        raise DataError(
            f"{found.path} has {different} different texts in {len(set(numbers))} classes: too few to hold "
            "any out: give a validation file."
        )
    return Splits(found.part(kept), found.part(out), test, labels, classes)


class ClassificationTraining(Training):
    """The training of a classifier."""

    config: ClassificationConfig

    def read(self) -> None:
        """Read the texts and number their classes."""
        splits = load_splits(self.config)
        self.train, self.held_out, self.test = splits.train, splits.held_out, splits.test
        self.labels, self.classes = splits.labels, splits.classes
        self.targets = np.array(self.train.numbers(self.classes), np.int32)
        # Unknown labels raise before the training, not after it.
        self.truth = self.held_out.numbers(self.classes)
        self.test_truth = self.test.numbers(self.classes) if self.test else []
        self._report_on_the_data()

    def _report_on_the_data(self) -> None:
        note, seen = self.progress.note, set(self.train.texts)
        if count := self.train.contradictions:
            note(f"{count} texts of {self.train.path} have several labels")
        for one, other in lookalikes(self.labels):
            note(f"the labels {one!r} and {other!r} look alike, but are two classes")
        for texts in (self.held_out, self.test):
            if texts is not None and (shared := sum(text in seen for text in texts.texts)):
                note(f"{shared} of {len(texts)} texts of {texts.path} are also in the training data")

    def prepare(self) -> None:
        """Encode the texts and put them into buckets."""
        config, train = self.config, self.train
        special_tokens = GPT_TOKENS if config.model in DECODERS else BERT_TOKENS
        self.tokenizer, self.special_ids, self.initial = find_tokenizer(
            config, self.output, train.texts, special_tokens, without_head=True
        )
        self.ids = encode_texts(self.tokenizer, train.texts, config.max_tokens)
        lengths = [len(row) for row in self.ids]
        boundaries = widths(config.boundaries, config.max_tokens)
        self.order = RowBatches(lengths, boundaries, config.batch_size, config.seed)
        self.batches_per_epoch = self.order.batches_per_epoch
        self.batch_rows = [config.batch_size]

    def make_model(self) -> TextClassifier:
        """Return the classifier, and make the `ClassPredictor` that predicts with it."""
        config = self.config
        model = model_of_run(self.output) if self.run_exists else self._new_model()
        freeze(model.backbone, config.freeze_layers)
        if model.pooling != "pooled" and model.backbone.pooler:
            model.backbone.pooler_dense.trainable = False  # it is not used
        self.classifier = ClassPredictor(
            model,
            self.tokenizer,
            self.special_ids["pad"],
            config.max_tokens,
            config.boundaries,
            config.batch_size,
        )
        return model

    def _new_model(self) -> TextClassifier:
        config, pooling = self.config, self.config.pooling
        if self.initial is None:
            backbone = new_backbone(config, self.tokenizer.get_vocab_size(), self.special_ids)
        else:
            initial = with_settings(self.initial, config, (Bert, GPT2))
            backbone = initial.backbone
            if isinstance(initial.model, TextEmbedder) and isinstance(initial.model.pooling, str):
                pooling = pooling or initial.model.pooling
        dropout: dict[str, Any] = {} if config.dropout is None else {"dropout": config.dropout}
        if pooling == "pooled" and not backbone.pooler:
            origin = config.init or f"`model={config.model!r}`"
            raise TrainingError(f"`pooling` is 'pooled', but {origin} has no pooler: choose mean or last.")
        if pooling == "cls" and backbone.causal:
            raise TrainingError(
                "`pooling` is 'cls', but GPT-2's first token sees no other: choose last or mean."
            )
        return TextClassifier(backbone, self.labels, pooling=pooling, **dropout, name="classifier")

    def make_task(self) -> ClassObjective:
        """Return the model wrapped with its loss."""
        return ClassObjective(self.model, self.config.label_smoothing, self.config.r_drop)

    def make_optimizer(self, schedule):
        """Return Adam, with a learning rate for each layer if they differ."""
        if self.config.layer_decay == 1:
            return super().make_optimizer(schedule)
        return LayerwiseAdam(schedule, rate_factors(self.model, self.config.layer_decay), **self.adam)

    def describe(self) -> dict:
        """Return the entries of run.json: data and classes."""
        return {
            "data": {"name": Path(self.config.train).name, "train_texts": len(self.ids)},
            "labels": self.labels,
            "classes": self.classes,
            "max_tokens": self.config.max_tokens,
        }

    def write_validation(self) -> None:
        """Write the held-out texts with the names of their classes."""
        names = (self.labels[number] for number in self.truth)
        pairs = list(zip(self.held_out.texts, names, strict=True))
        run_folder.write_validation(self.output / run_folder.VALIDATION, pairs)

    def batches(self) -> Iterator[TrainingBatch]:
        """Return the remaining batches of the epoch."""
        return map(self._step_batch, self.order.epoch(self.epoch, skip=self.position))

    def _step_batch(self, batch: RowBatch) -> TrainingBatch:
        token_ids, exists = batch.padded(self.ids, self.special_ids["pad"])
        missing = (0, batch.size - len(batch.rows))
        return TrainingBatch(
            {"token_ids": token_ids, "padding_mask": exists},
            np.pad(self.targets[batch.rows], missing),
            np.pad(np.ones(len(batch.rows), np.float32), missing),
        )

    def evaluate(self) -> dict:
        """Classify the held-out texts, and return loss, accuracy and macro-F1."""
        logits = self.classifier.logits(self.held_out.texts)
        scores = class_scores(self._confusion(logits, self.truth))
        loss = round(cross_entropy(logits, self.truth), 5)
        return {"validation_loss": loss, "accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"]}

    def _confusion(self, logits, truth):
        return confusion(truth, logits.argmax(axis=1).tolist(), len(self.labels))

    def finished(self) -> None:
        """Draw the confusion matrix, of the test texts if there are any, and score these."""
        from keras_attn.pictures.confusion import confusion_matrix

        texts, truth = (self.test, self.test_truth) if self.test else (self.held_out, self.truth)
        counts = self._confusion(self.classifier.logits(texts.texts), truth)
        confusion_matrix(counts, self.labels, self.output / CONFUSION, title=Path(texts.path).name)
        if self.test:
            scores = class_scores(counts)
            config = run_folder.read_config(self.output)
            run_folder.write_config(self.output, {**config, "test": scores})
            self.progress.note(
                f"{self.config.test}: accuracy {scores['accuracy']:.4f}, macro-F1 {scores['macro_f1']:.4f} "
                f"of {scores['sentences']} texts"
            )
