"""Training a recognizer of entities, from texts with labelled spans to a run folder."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.data.batching.row_batches import RowBatch
from keras_attn.data.errors import DataError
from keras_attn.data.readers.tagged import TaggedTexts, read_tagged
from keras_attn.data.span_labels import SpanLabels, parts_at_spans
from keras_attn.data.splits import hold_out
from keras_attn.models import Bert, TokenClassifier
from keras_attn.scores.spans import span_scores
from keras_attn.training.config.token_classification import TokenClassificationConfig
from keras_attn.training.optimization.position_objectives import LabelObjective
from keras_attn.training.step_batch import TrainingBatch, mean_loss
from keras_attn.training.tasks.encoder_training import HELD_OUT, EncoderTraining, padded_rows


class TokenClassificationTraining(EncoderTraining):
    """The training of a recognizer of entities."""

    config: TokenClassificationConfig
    backbones = (Bert,)

    def read(self) -> None:
        """Read the texts and their spans."""
        config = self.config
        self.train = _read(config.train)
        self.test = _read(config.test) if config.test else None
        if config.validation:
            self.held_out = _read(config.validation)
        else:
            self.train, self.held_out = _hold_out(self.train)
        kinds = {kind for spans in self.train.spans for _, _, kind in spans}
        if not kinds:
            raise DataError(f"{self.train.path} has no entities: nothing can be learned.")
        self.labels = SpanLabels(sorted(kinds), config.scheme, config.pieces == "first")
        for tagged in (self.held_out, self.test):
            if tagged is not None:
                _check_kinds(tagged, kinds)
        self._report_on_the_data()

    def _report_on_the_data(self) -> None:
        seen = set(self.train.texts)
        for tagged in (self.held_out, self.test):
            if tagged is not None:
                self.note_shared(seen, tagged.texts, "texts", tagged.path)

    def texts(self) -> Sequence[str]:
        """Return the training texts; for a new tokenizer in parts, whose ends no token will cross."""
        if self.config.init:
            return self.train.texts
        each = zip(self.train.texts, self.train.spans, strict=True)
        return [part for text, spans in each for part in parts_at_spans(text, spans)]

    def encode(self) -> None:
        """Encode the texts in windows, with the label of each token."""
        self.rows, self.numbers, self.weights, lost = self._encoded(self.train)
        self.held_out_rows, self.held_out_numbers, self.held_out_weights, _ = self._encoded(self.held_out)
        if lost:
            unit, remedy = ("word", ": try --pieces all") if self.labels.first_only else ("token", "")
            self.progress.note(
                f"{lost} entities of {self.train.path} begin or end inside a {unit}, which gets one label "
                f"as a whole{remedy}"
            )

    def _encoded(self, tagged: TaggedTexts) -> tuple[list[Any], list[Any], list[Any], int]:
        rows, numbers, weights, lost = [], [], [], 0
        for text, spans in zip(tagged.texts, tagged.spans, strict=True):
            found = self.reader.spans(text)
            if not found.ids:
                continue
            words = self.reader.words(text, found)
            labels, counted, cut = self.labels.of_tokens(text, found, words, spans)
            lost += cut
            room = self.config.max_tokens - len(found.before) - len(found.after)
            for window in found.windows(self.config.max_tokens, room // 4):
                inside = slice(window.offset, window.offset + window.behind - window.first)
                row_numbers, row_weights = (np.zeros(len(window.ids), kind) for kind in (np.int32, bool))
                row_numbers[inside] = labels[window.first : window.behind]
                row_weights[inside] = counted[window.first : window.behind]
                rows.append(window.ids)
                numbers.append(row_numbers)
                weights.append(row_weights)
        return rows, numbers, weights, lost

    def targets(self, batch: RowBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return the label of each token, and 1 where it counts."""
        return padded_rows(batch, self.numbers, np.int32), padded_rows(batch, self.weights, np.float32)

    def new_model(self, backbone: Any, initial: Any) -> TokenClassifier:
        """Return the recognizer."""
        return TokenClassifier(
            backbone,
            self.labels.names,
            strategy="first" if self.config.pieces == "first" else "simple",
            **self.head_dropout,
            name="token_classifier",
        )

    def make_task(self) -> LabelObjective:
        """Return the model wrapped with its loss."""
        return LabelObjective(self.model, self.config.label_smoothing)

    def describe(self) -> dict:
        """Return the entries of run.json: data and labels."""
        return {
            "data": {"name": Path(self.config.train).name, "train_texts": len(self.train)},
            "labels": self.labels.names,
            "max_tokens": self.config.max_tokens,
        }

    def examples(self) -> list[Any]:
        """Return the held-out texts with their spans."""
        return [
            [text, [[label, start, end] for start, end, label in spans]]
            for text, spans in zip(self.held_out.texts, self.held_out.spans, strict=True)
        ]

    def evaluate(self) -> dict:
        """Return the loss of the held-out texts, and F1, precision and recall of their spans."""
        loss = mean_loss(self.task, self._held_out_batches(), self.devices.place)
        scores = self._scores(self.held_out)
        return {
            "validation_loss": round(loss, 5),
            **{name: scores[name] for name in ("f1", "precision", "recall")},
        }

    def _held_out_batches(self):
        for batch in self.batches_of(self.held_out_rows).in_order():
            yield TrainingBatch(
                self.inputs(self.held_out_rows, batch),
                padded_rows(batch, self.held_out_numbers, np.int32),
                padded_rows(batch, self.held_out_weights, np.float32),
            )

    def _scores(self, tagged: TaggedTexts) -> dict[str, Any]:
        entities = self.encoder.answers(lambda: self.predictor.entities(tagged.texts))
        found = [[(each.start, each.end, each.label) for each in one] for one in entities]
        return span_scores(tagged.spans, found)

    def finished(self) -> None:
        """Score the test texts, if there are any."""
        if not self.test:
            return
        scores = {**self._scores(self.test), "sentences": len(self.test)}
        self.write_test(scores)
        self.progress.note(
            f"{self.config.test}: F1 {scores['f1']:.4f}, precision {scores['precision']:.4f}, recall "
            f"{scores['recall']:.4f} of {scores['spans']} entities"
        )


def _read(path: str) -> TaggedTexts:
    """Read a file.

    Raises:
        DataError: as `read_tagged`, or if spans overlap, for a token has one label.
    """
    tagged = read_tagged(path)
    for number, spans in enumerate(tagged.spans, start=1):
        for (_, end, one), (start, _, other) in itertools.pairwise(spans):
            if start < end:
                raise DataError(
                    f"{path}, text {number}: the spans {one!r} and {other!r} overlap at character {start}, "
                    "and a token has one label: leave one of them out."
                )
    return tagged


def _hold_out(tagged: TaggedTexts) -> tuple[TaggedTexts, TaggedTexts]:
    different = len(set(tagged.texts))
    kinds = ["+".join(sorted({kind for _, _, kind in spans})) for spans in tagged.spans]
    kept, out = hold_out(tagged.texts, min(HELD_OUT, max(1, different // 10)), kinds)
    if not out:
        kept, out = hold_out(tagged.texts, min(HELD_OUT, max(1, different // 10)))
    if different < 2 or not out:
        raise DataError(f"{tagged.path} has one text: too few to hold any out: give a validation file.")
    parts = (
        TaggedTexts(tagged.path, [tagged.texts[i] for i in rows], [tagged.spans[i] for i in rows])
        for rows in (kept, out)
    )
    return next(parts), next(parts)


def _check_kinds(tagged: TaggedTexts, kinds: set[str]) -> None:
    for number, spans in enumerate(tagged.spans, start=1):
        for _, _, kind in spans:
            if kind not in kinds:
                known = ", ".join(sorted(kinds))
                raise DataError(
                    f"{tagged.path}, text {number}: the label {kind!r} is not one of the training's, {known}."
                )
