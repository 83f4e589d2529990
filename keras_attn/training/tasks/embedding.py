"""Training a sentence encoder, from texts that belong together to a run folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.data.batching.ragged import stored
from keras_attn.data.batching.row_batches import RowBatch
from keras_attn.data.byte_tokenizer import encode_texts
from keras_attn.data.errors import DataError
from keras_attn.data.readers.text_groups import TextGroups, read_groups
from keras_attn.data.splits import hold_out
from keras_attn.models import TextEmbedder
from keras_attn.models.tasks.task_model import default_pooling
from keras_attn.scores.retrieval import group_scores, unit_vectors
from keras_attn.training import run_folder
from keras_attn.training.config.embedding import EmbeddingConfig
from keras_attn.training.errors import TrainingError
from keras_attn.training.optimization.embedding_objective import PAIRS, SCORES, EmbeddingObjective
from keras_attn.training.step_batch import TrainingBatch, mean_loss
from keras_attn.training.tasks.encoder_training import HELD_OUT, EncoderTraining, padded_targets
from keras_attn.training.teacher_outputs import load_teacher, teacher_vectors

METRICS = {PAIRS: ("mrr", "recall_at_1"), SCORES: ("spearman",), None: ()}


class EmbeddingTraining(EncoderTraining):
    """The training of a sentence encoder."""

    config: EmbeddingConfig

    def read(self) -> None:
        """Read the rows."""
        config = self.config
        self.train = read_groups(config.train)
        self.test = read_groups(config.test) if config.test else None
        if config.validation:
            self.held_out = read_groups(config.validation)
        else:
            firsts = [row[0] for row in self.train.texts]
            kept, out = hold_out(firsts, min(HELD_OUT, max(1, len(set(firsts)) // 10)))
            if not out:
                raise DataError(
                    f"{config.train} has one text: too few to hold any out: give a validation file."
                )
            self.train, self.held_out = self.train.part(kept), self.train.part(out)
        self.kind = None if self.train.width == 1 else PAIRS if self.train.scores is None else SCORES
        if self.kind is None and config.teacher is None:
            raise DataError(
                f"{config.train} has single texts, which teach nothing without `teacher`: give pairs, in a "
                ".tsv, .csv or .jsonl file."
            )
        for groups in (self.held_out, self.test):
            if groups is not None and (groups.width, groups.scores is None) != (
                self.train.width,
                self.train.scores is None,
            ):
                raise DataError(f"{groups.path}: rows are not of the form that they have in {config.train}.")
        if self.metric not in (known := self._scores_known()):
            raise TrainingError(f"`metric` must be one of {', '.join(known)} here, got {self.metric!r}.")
        seen = set(self.train.texts)
        for groups in (self.held_out, self.test):
            if groups is not None:
                self.note_shared(seen, groups.texts, "rows", groups.path)

    @property
    def metric(self) -> str:
        """The score that selects the best checkpoint, by default that of the data's kind."""
        return self.config.metric or self._scores_known()[0]

    def _scores_known(self) -> list[str]:
        return [*METRICS[self.kind], *(["cosine"] if self.config.teacher else [])]

    def texts(self) -> Sequence[str]:
        """Return all texts, each once."""
        return self.train.different

    def encode(self) -> None:
        """Encode the texts, and compute the teacher's vectors of them."""
        config, groups = self.config, self.train
        self.numbers, self.encoded = self._numbered(groups)
        self.held_out_numbers, self.held_out_encoded = self._numbered(self.held_out)
        # A row is as long as the longest of its texts.
        self.rows = [max((self.encoded[n] for n in row), key=len) for row in self.numbers]
        self.taught = self.held_out_taught = None
        if config.teacher and config.distillation:
            with self.devices.primary_first():
                folder = self.output / run_folder.ENCODED / "teacher"
                found = stored(folder, self._teacher_vectors)
            self.taught, self.held_out_taught = found["train"], found["held_out"]

    def _numbered(self, groups: TextGroups) -> tuple[np.ndarray, list[list[int]]]:
        """Return the number of each text, (N, K) int32, and the ids of each number's text."""
        texts = groups.different
        numbers = {text: number for number, text in enumerate(texts)}
        rows = [[numbers[text] for text in row] for row in groups.texts]
        return np.array(rows, np.int32), encode_texts(self.tokenizer, texts, self.config.max_tokens)

    def _teacher_vectors(self) -> dict[str, np.ndarray]:
        config = self.config
        assert config.teacher is not None
        self.progress.note(f"computing the vectors of {config.teacher}")
        teacher = load_teacher(config.teacher, TextEmbedder, config.max_tokens)
        found = {}
        for name, groups in (("train", self.train), ("held_out", self.held_out)):
            found[name] = teacher_vectors(teacher, groups.different, config)
        return found

    def _goals(self, taught: np.ndarray | None, groups: TextGroups, numbers: np.ndarray, rows: Any) -> Any:
        """Return the teacher's vectors (R, K, D) or the scores (R,) of some rows."""
        if taught is not None:
            chosen = numbers[rows]
            if self.config.translations:
                chosen = np.broadcast_to(chosen[:, :1], chosen.shape)
            return np.asarray(taught[chosen])
        return (
            np.zeros(len(rows), np.float32)
            if groups.scores is None
            else np.array(groups.scores, np.float32)[rows]
        )

    def step_batch(self, batch: RowBatch) -> TrainingBatch:
        """Return the batch of a step."""
        return self._batch(batch, self.train, self.numbers, self.encoded, self.taught)

    def _batch(
        self,
        batch: RowBatch,
        groups: TextGroups,
        numbers: np.ndarray,
        encoded: Sequence[Sequence[int]],
        taught: np.ndarray | None,
    ) -> TrainingBatch:
        chosen = numbers[batch.rows]  # (R, K)
        token_ids = np.full((batch.size, chosen.shape[1], batch.width), self.special_ids["pad"], np.int32)
        exists = np.zeros(token_ids.shape, bool)
        for place, row in enumerate(chosen):
            for column, number in enumerate(row):
                ids = encoded[number]
                token_ids[place, column, : len(ids)], exists[place, column, : len(ids)] = ids, True
        goals = self._goals(taught, groups, numbers, batch.rows)
        inputs = {
            "token_ids": token_ids,
            "padding_mask": exists,
            "text_numbers": np.pad(chosen, [(0, batch.size - len(chosen)), (0, 0)], constant_values=-1),
        }
        return TrainingBatch(inputs, *padded_targets(batch, goals))

    def targets(self, batch: RowBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return targets and weights of a batch."""
        made = self.step_batch(batch)
        return made.targets, made.weights

    def new_model(self, backbone: Any, initial: Any) -> TextEmbedder:
        """Return the sentence encoder, with a dense layer if the teacher's vectors have another size."""
        config = self.config
        wide = None if self.taught is None else int(self.taught.shape[-1])
        if isinstance(initial, TextEmbedder) and config.pooling in (None, initial.pooling):
            made = initial
        else:
            default = default_pooling(backbone)
            pooling = config.pooling or ("mean" if default == "pooled" else default)
            made = TextEmbedder(backbone, pooling, name="embedder")
        if wide not in (None, made.output_dim):
            if made.dense or made.dimensions is not None:
                raise TrainingError(
                    f"{config.init} has vectors of {made.output_dim} numbers and the teacher "
                    f"{config.teacher} of {wide}: choose a teacher of the same size."
                )
            self.progress.note(
                f"a dense layer brings vectors of {made.output_dim} numbers to the teacher's {wide}"
            )
            dense = [{"units": wide, "activation": "linear", "use_bias": True}]
            made = TextEmbedder(backbone, made.pooling, dense=dense, name="embedder")
        if wrong := [size for size in config.dimensions if size > made.output_dim]:
            raise TrainingError(
                f"`dimensions` has {wrong[0]}, but the model has vectors of {made.output_dim} numbers."
            )
        return made

    def make_task(self) -> EmbeddingObjective:
        """Return the model wrapped with its loss."""
        config = self.config
        share = 0.0 if self.taught is None else config.distillation
        return EmbeddingObjective(
            self.model,
            self.kind,
            config.similarity_scale,
            config.dimensions,
            1.0 if self.kind is None else share,
        )

    def describe(self) -> dict:
        """Return the entries of run.json: the data."""
        data = {"name": Path(self.config.train).name, "train_rows": len(self.train)}
        return {"data": data, "max_tokens": self.config.max_tokens}

    def examples(self) -> list[Any]:
        """Return the held-out texts, each once."""
        return self.held_out.different

    def evaluate(self) -> dict:
        """Return the loss of the held-out rows, and the scores of this kind."""
        loss = mean_loss(self.task, self._held_out_batches(), self.devices.place)
        scores = self._scores(self.held_out)
        found = {name: scores[name] for name in METRICS[self.kind]}
        for size in self.config.dimensions:
            found |= {f"{name}_{size}": scores[f"{name}_{size}"] for name in METRICS[self.kind][:1]}
        if self.held_out_taught is not None:
            found["cosine"] = self._cosine()
        return {"validation_loss": round(loss, 5), **found}

    def _held_out_batches(self) -> Iterator[TrainingBatch]:
        encoded, numbers = self.held_out_encoded, self.held_out_numbers
        rows = [max((encoded[n] for n in row), key=len) for row in numbers]
        for batch in self.batches_of(rows).in_order():
            yield self._batch(batch, self.held_out, numbers, encoded, self.held_out_taught)

    def _vectors(self, groups: TextGroups) -> dict[str, np.ndarray]:
        texts = groups.different
        found = self.encoder.answers(lambda: self.predictor.embed(texts, prompt="", truncate=True))
        return {each.input: each.embedding for each in found}

    def _scores(self, groups: TextGroups) -> dict[str, Any]:
        if self.kind is None:
            return {"sentences": len(groups)}
        vectors = self._vectors(groups)
        scores = group_scores(vectors, groups.texts, groups.scores)
        for size in self.config.dimensions:
            short = {text: vector[:size] for text, vector in vectors.items()}
            name = METRICS[self.kind][0]
            scores[f"{name}_{size}"] = group_scores(short, groups.texts, groups.scores)[name]
        return scores

    def _cosine(self) -> float:
        """Return the mean cosine of the held-out vectors and the teacher's."""
        assert self.held_out_taught is not None
        vectors, rows = self._vectors(self.held_out), self.held_out.texts
        ours = unit_vectors(np.stack([np.stack([vectors[text] for text in row]) for row in rows]))
        goals = self._goals(self.held_out_taught, self.held_out, self.held_out_numbers, np.arange(len(rows)))
        return float((ours * unit_vectors(goals)).sum(axis=-1).mean())

    def finished(self) -> None:
        """Score the test rows, if there are any."""
        if not self.test or self.kind is None:
            return
        scores = self._scores(self.test)
        self.write_test(scores)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items() if name != "sentences")
        self.progress.note(f"{self.config.test}: {shown} of {scores['sentences']} rows")
