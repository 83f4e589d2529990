"""Training a text classifier or scorer, from a table of labelled texts to a run folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.data.batching.ragged import stored
from keras_attn.data.batching.row_batches import RowBatch
from keras_attn.data.byte_tokenizer import encode_texts
from keras_attn.data.readers.labelled import LabelledTexts, lookalikes
from keras_attn.models import TextClassifier, TextEmbedder, TextScorer
from keras_attn.models.tasks.pooled_model import PooledModel
from keras_attn.scores.classes import ClassPredictor, confusion, logit_loss, logit_scores, probabilities
from keras_attn.training import run_folder
from keras_attn.training.config.classification import METRICS, ClassificationConfig
from keras_attn.training.errors import TrainingError
from keras_attn.training.optimization.classification_objective import (
    CLASSES,
    LABELS,
    NUMBER,
    PROBABILITY,
    ClassObjective,
)
from keras_attn.training.tasks.encoder_training import EncoderTraining, padded_targets
from keras_attn.training.tasks.labelled_data import load_splits
from keras_attn.training.teacher_outputs import load_teacher, teacher_class, teacher_logits

CONFUSION, CALIBRATION = "confusion.png", "calibration.png"


class ClassificationTraining(EncoderTraining):
    """The training of a classifier, or of a scorer."""

    config: ClassificationConfig

    def read(self) -> None:
        """Read the texts and number their classes."""
        self.splits = splits = load_splits(self.config)
        self.train, self.held_out, self.test = splits.train, splits.held_out, splits.test
        self.labels, self.classes = splits.labels, splits.classes
        self.right = splits.truth(self.train)
        # Unknown labels raise before the training, not after it.
        self.truth = splits.truth(self.held_out)
        self.test_truth = splits.truth(self.test) if self.test else None
        self.pairs = self.config.pair_column is not None
        self._report_on_the_data()

    def _report_on_the_data(self) -> None:
        note, seen = self.progress.note, set(self.train.texts)
        if count := self.train.contradictions:
            note(f"{count} texts of {self.train.path} have several labels")
        for one, other in lookalikes(self.labels):
            note(f"the labels {one!r} and {other!r} look alike, but are two classes")
        for texts in (self.held_out, self.test):
            if texts is not None:
                self.note_shared(seen, texts.texts, "texts", texts.path)

    @property
    def activation(self) -> str:
        """The activation of a score."""
        chosen = self.config.activation
        if chosen is None:
            return "sigmoid" if self.right.min() >= 0 and self.right.max() <= 1 else "linear"
        if chosen == "sigmoid" and (self.right.min() < 0 or self.right.max() > 1):
            raise TrainingError(
                f"`activation` is 'sigmoid', but scores are from {self.right.min():g} to "
                f"{self.right.max():g}, and must be from 0 to 1: choose linear."
            )
        return chosen

    @property
    def kind(self) -> str:
        """What the logits of a text are: one of `KINDS`."""
        if self.config.regression:
            return PROBABILITY if self.activation == "sigmoid" else NUMBER
        return LABELS if self.config.multi_label else CLASSES

    def texts(self) -> Sequence[str]:
        """Return the texts, both of pairs."""
        if not self.pairs:
            return self.train.texts
        return [text for pair in self.train.texts for text in pair]

    def encode(self) -> None:
        """Encode the texts, and compute what the teacher answers to them."""
        config = self.config
        if self.pairs and not self.reader.joins_pairs:
            raise TrainingError(
                f"{config.init or config.model}: the tokenizer puts no special token between two texts: "
                "leave `pair_column` out, or choose an encoder such as BERT."
            )
        self.rows = encode_texts(self.tokenizer, self.train.texts, config.max_tokens)
        self.goals = self.right
        if config.teacher and config.distillation:
            with self.devices.primary_first():
                folder = self.output / run_folder.ENCODED / "teacher"
                logits = stored(folder, lambda: {"logits": self._teacher_logits()})["logits"]
            right = (
                np.eye(len(self.labels), dtype=np.float32)[self.right] if self.kind == CLASSES else self.right
            )
            self.goals = np.stack([right, logits], axis=1)  # (N, 2, C)

    def _teacher_logits(self) -> np.ndarray:
        config = self.config
        assert config.teacher is not None
        self.progress.note(f"computing what {config.teacher} answers to {len(self.train)} texts")
        teacher = load_teacher(config.teacher, teacher_class(config.regression), config.max_tokens)
        return teacher_logits(teacher, self.train.texts, self.labels, config)

    def targets(self, batch: RowBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return what is right for each row, and 1."""
        return padded_targets(batch, np.asarray(self.goals[batch.rows]))

    def make_model(self) -> PooledModel:
        """Return the model, and make the `ClassPredictor` that predicts with it."""
        config = self.config
        model = super().make_model()
        segments = self.pairs and model.backbone.num_segments > 1
        self.classifier = ClassPredictor(
            model,
            self.tokenizer,
            self.special_ids["pad"],
            config.max_tokens,
            config.boundaries,
            config.batch_size,
            segments,
        )
        return model

    def new_model(self, backbone: Any, initial: Any) -> PooledModel:
        """Return the classifier or the scorer."""
        config, pooling = self.config, self.config.pooling
        if isinstance(initial, TextEmbedder) and isinstance(initial.pooling, str):
            pooling = pooling or initial.pooling
        if pooling == "pooled" and not backbone.pooler:
            origin = config.init or f"`model={config.model!r}`"
            raise TrainingError(f"`pooling` is 'pooled', but {origin} has no pooler: choose mean or last.")
        if pooling == "cls" and backbone.causal:
            raise TrainingError(
                "`pooling` is 'cls', but GPT-2's first token sees no other: choose last or mean."
            )
        if config.regression:
            return TextScorer(backbone, self.activation, pooling=pooling, **self.head_dropout, name="scorer")
        return TextClassifier(
            backbone,
            self.labels,
            pooling=pooling,
            multi_label=config.multi_label,
            **self.head_dropout,
            name="classifier",
        )

    def make_task(self) -> ClassObjective:
        """Return the model wrapped with its loss."""
        config = self.config
        return ClassObjective(
            self.model,
            config.label_smoothing,
            config.r_drop,
            self.kind,
            config.distillation if config.teacher else 0.0,
            config.temperature,
        )

    def describe(self) -> dict:
        """Return the entries of run.json: data and classes."""
        labels = {} if self.config.regression else {"labels": self.labels, "classes": self.classes}
        return {
            "data": {"name": Path(self.config.train).name, "train_texts": len(self.rows)},
            **labels,
            "max_tokens": self.config.max_tokens,
        }

    def examples(self) -> list[Any]:
        """Return the held-out texts with what is right for them."""
        return self.splits.examples(self.held_out)

    def write_validation(self) -> None:
        """Write the held-out texts, those of one class each as a table."""
        if self.pairs or self.config.kind != "classes":
            super().write_validation()
            return
        pairs = [(text, label) for text, label in self.examples()]
        run_folder.write_validation(self.output / run_folder.VALIDATION, pairs)

    def evaluate(self) -> dict:
        """Predict the held-out texts, and return the loss and the scores of this kind."""
        logits = self.classifier.logits(self.held_out.texts)
        scores = logit_scores(self.kind, logits, self.truth)
        names = METRICS[self.config.kind]
        loss = round(logit_loss(self.kind, logits, self.truth), 5)
        return {"validation_loss": loss, **{name: scores[name] for name in names}}

    def finished(self) -> None:
        """Draw confusions and calibration, of the test texts if there are any, and score these."""
        texts = self.test or self.held_out
        truth = self.truth if self.test_truth is None else self.test_truth
        logits = self.classifier.logits(texts.texts)
        self._draw(texts, truth, logits)
        if self.test:
            scores = logit_scores(self.kind, logits, truth)
            self.write_test(scores)
            shown = ", ".join(f"{name} {scores[name]:.4f}" for name in METRICS[self.config.kind])
            self.progress.note(f"{self.config.test}: {shown} of {scores['sentences']} texts")

    def _draw(self, texts: LabelledTexts, truth: np.ndarray, logits: np.ndarray) -> None:
        from keras_attn.pictures.calibration import calibration_curve
        from keras_attn.pictures.confusion import confusion_matrix

        title = Path(texts.path).name
        if self.kind == CLASSES:
            counts = confusion(truth.tolist(), logits.argmax(axis=1).tolist(), len(self.labels))
            confusion_matrix(counts, self.labels, self.output / CONFUSION, title=title)
        if self.kind != NUMBER:
            confidence, hits = answers_of(self.kind, logits, truth)
            calibration_curve(confidence, hits, self.output / CALIBRATION, title=title)


def answers_of(kind: str, logits: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each answer, and how right it was: of a class 0 or 1, else the truth."""
    found = probabilities(kind, logits)
    if kind != CLASSES:
        return found.ravel(), truth.ravel()
    best = found.argmax(axis=1)
    return found.max(axis=1), (best == truth).astype(float)
