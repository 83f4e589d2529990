"""Training a model that finds answers in texts, from questions with contexts to a run folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.data.batching.row_batches import RowBatch
from keras_attn.data.errors import DataError
from keras_attn.data.readers.squad import Question, read_questions
from keras_attn.data.splits import hold_out
from keras_attn.device.errors import TextTooLong
from keras_attn.device.tasks.answerer import OVERLAP
from keras_attn.device.text.token_spans import TokenSpans, Window
from keras_attn.models import Bert, QuestionAnswerer
from keras_attn.scores.answers import answer_scores
from keras_attn.training.config.question_answering import QuestionAnsweringConfig
from keras_attn.training.errors import TrainingError
from keras_attn.training.optimization.position_objectives import AnswerObjective
from keras_attn.training.step_batch import TrainingBatch, mean_loss
from keras_attn.training.tasks.encoder_training import HELD_OUT, EncoderTraining, padded_targets


class QuestionAnsweringTraining(EncoderTraining):
    """The training of a model that finds answers."""

    config: QuestionAnsweringConfig
    backbones = (Bert,)
    pairs = True

    def read(self) -> None:
        """Read the questions."""
        config = self.config
        self.train = read_questions(config.train)
        self.test = read_questions(config.test) if config.test else []
        if config.validation:
            self.held_out = read_questions(config.validation)
        else:
            # The questions of a context stay together.
            contexts = [each.context for each in self.train]
            kept, out = hold_out(contexts, min(HELD_OUT, max(1, len(set(contexts)) // 10)))
            if not out:
                raise DataError(
                    f"{config.train} has one context: too few to hold any out: give a validation file."
                )
            self.held_out = [self.train[i] for i in out][:HELD_OUT]
            self.train = [self.train[i] for i in kept]
        if not any(each.answers for each in self.train):
            raise DataError(f"{config.train} has no answers: nothing can be learned.")
        # A model that never saw a question without an answer must not find none.
        self.no_answer = any(not each.answers for each in self.train)
        seen = {(each.question, each.context) for each in self.train}
        for questions, path in ((self.held_out, config.validation or config.train), (self.test, config.test)):
            asked = [(each.question, each.context) for each in questions]
            self.note_shared(seen, asked, "questions", path)

    def texts(self) -> Sequence[str]:
        """Return the questions and the contexts, each once."""
        return list(dict.fromkeys(text for each in self.train for text in (each.question, each.context)))

    def encode(self) -> None:
        """Encode questions and contexts in windows, with the positions of the answers."""
        if not self.reader.joins_pairs:
            raise TrainingError(
                f"{self.config.init or self.config.model}: the tokenizer puts no special token between two "
                "texts, question and context."
            )
        self.rows, self.positions, cut = self._encoded(self.train)
        self.held_out_rows, self.held_out_positions, _ = self._encoded(self.held_out)
        if cut:
            self.progress.note(
                f"{cut} questions of {self.config.train} are so long that they leave no room for a context: "
                "left out"
            )

    def _encoded(self, questions: Sequence[Question]) -> tuple[list[list[int]], np.ndarray, int]:
        rows: list[list[int]] = []
        positions: list[tuple[int, int]] = []
        limit, cut = self.config.max_tokens, 0
        overlap = min(limit // 2, OVERLAP)  # as on the device
        for each in questions:
            spans = self.reader.spans(each.question, each.context, 1)
            if len(spans.before) + len(spans.after) + overlap >= limit:
                cut += 1
                continue
            place = _tokens_of(spans, each)
            for window in spans.windows(limit, overlap):
                rows.append(window.ids)
                positions.append(_in_window(place, window))
        return rows, np.array(positions, np.int32).reshape(-1, 2), cut

    def targets(self, batch: RowBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the answers' starts and ends, and 1 for each row."""
        return padded_targets(batch, self.positions[batch.rows])

    def new_model(self, backbone: Any, initial: Any) -> QuestionAnswerer:
        """Return the model."""
        return QuestionAnswerer(backbone, **self.head_dropout, name="question_answerer")

    def make_task(self) -> AnswerObjective:
        """Return the model wrapped with its loss."""
        return AnswerObjective(self.model, self.config.label_smoothing)

    def describe(self) -> dict:
        """Return the entries of run.json: the data, and whether questions may have no answer."""
        data = {"name": Path(self.config.train).name, "train_questions": len(self.train)}
        return {"data": data, "no_answer": self.no_answer, "max_tokens": self.config.max_tokens}

    def examples(self) -> list[Any]:
        """Return the held-out questions with their contexts and answers."""
        return [
            [each.question, each.context, [text for text, _ in each.answers] or [""]]
            for each in self.held_out
        ]

    def evaluate(self) -> dict:
        """Return the loss of the held-out windows, and the exact matches and F1 of the answers."""
        loss = mean_loss(self.task, self._held_out_batches(), self.devices.place)
        scores = self._scores(self.held_out)
        return {
            "validation_loss": round(loss, 5),
            **{name: scores[name] for name in ("f1", "exact_match")},
        }

    def _held_out_batches(self):
        for batch in self.batches_of(self.held_out_rows).in_order():
            targets = padded_targets(batch, self.held_out_positions[batch.rows])
            yield TrainingBatch(self.inputs(self.held_out_rows, batch), *targets)

    def _scores(self, questions: Sequence[Question]) -> dict[str, Any]:
        def ask() -> list[str]:
            return [self._answer(each) for each in questions]

        right = [[text for text, _ in each.answers] for each in questions]
        return answer_scores(right, self.encoder.answers(ask))

    def _answer(self, question: Question) -> str:
        """Return the answer's text; none to a question that leaves no room for its context."""
        try:
            found = self.predictor.answer(question.question, question.context, no_answer=self.no_answer)
        except TextTooLong:
            return ""
        return found.text

    def finished(self) -> None:
        """Score the test questions, if there are any."""
        if not self.test:
            return
        scores = self._scores(self.test)
        self.write_test(scores)
        self.progress.note(
            f"{self.config.test}: exact matches {scores['exact_match']:.4f}, F1 {scores['f1']:.4f} of "
            f"{scores['sentences']} questions"
        )


def _tokens_of(spans: TokenSpans, question: Question) -> tuple[int, int] | None:
    """Return the first and the last token of the first answer in the context; `None` without one."""
    if not question.answers:
        return None
    text, start = question.answers[0]
    end = start + len(text)
    inside = [i for i, (begin, behind) in enumerate(spans.offsets) if begin < end and behind > start]
    return (inside[0], inside[-1]) if inside else None


def _in_window(place: tuple[int, int] | None, window: Window) -> tuple[int, int]:
    """Return the positions of an answer among a window's tokens; the first where it lacks the answer."""
    if place is None or place[0] < window.first or place[1] >= window.behind:
        return 0, 0
    first, last = (window.offset + token - window.first for token in place)
    return first, last
