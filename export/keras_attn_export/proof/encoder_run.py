"""The proof run of encoders: the values of every text, and accuracy, neighbours or hidden words."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_attn.device.proof.checks import judge_encoder, judge_exchanged
from keras_attn.device.proof.encoder_proof import (
    NO_TOKEN,
    EncoderFigures,
    EncoderProof,
    exchanged_texts,
    measure_encoder,
)
from keras_attn.device.proof.tolerance import comparable
from keras_attn.device.runtime.encoder import Encoder, LiteRTEncoder
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.task_names import TOKEN_TASKS
from keras_attn.encoding import KerasEncoder
from keras_attn.models.tasks.own_encoder import OwnEncoder
from keras_attn_export.buckets import Bucket
from keras_attn_export.mediapipe.checks import MediaPipeFile, held_out, output_check, tokens_check
from keras_attn_export.mediapipe.file import NAME as MEDIAPIPE
from keras_attn_export.mediapipe.file import make_file
from keras_attn_export.mediapipe.tokenizing import vocabulary
from keras_attn_export.proof.answers_metric import ANSWERS, AnswersMetric
from keras_attn_export.proof.decoder_checks import accept
from keras_attn_export.proof.encoder_metric import EncoderMetric, hidden_words
from keras_attn_export.proof.heads_check import heads_check
from keras_attn_export.proof.padding_check import padding_check
from keras_attn_export.proof.points_metric import PointsMetric
from keras_attn_export.proof.proof_run import ProofRun, latency, named, operators
from keras_attn_export.proof.references import BEST, OTHERS, choose_sources
from keras_attn_export.proof.token_references import token_references
from keras_attn_export.proof.tokenizer_check import text_latency, tokenizer_check
from keras_attn_export.recipes import Tolerance, tolerance_for
from keras_attn_export.tflite.int4_selection import Measured

if TYPE_CHECKING:
    from keras_attn.encoding import KerasEncoder


def encoder_layout(buckets: Sequence[Bucket], heads: bool, in_graph: bool) -> list[dict[str, Any]]:
    """Return the manifest's `buckets`."""
    return [
        {
            "source": bucket.source,
            "encode": bucket.encode,
            **({"heads": bucket.heads} if heads else {}),
            **({"text": bucket.text} if in_graph else {}),
        }
        for bucket in buckets
    ]


class EncoderProofRun(ProofRun):
    """Compares the files with the Keras model, text by text."""

    def run(self) -> EncoderProof:
        """Measure everything; return the proof for the bundle.

        Raises:
            ExportError: at the first check that fails.
        """
        for name, (file, recipe) in self.files.items():
            self.require(operators(name, file, recipe, self.in_graph))
        proof, metric, limit, task = self._proof, self._metric, self._limit, self.source.task
        encoders: dict[str, Encoder] = {"Keras": self._keras}
        encoders |= {name: self._opened(file, name) for name, (file, _) in self.files.items()}
        self._compare_tokenizers(encoders)
        model = self.source.model
        if isinstance(model, OwnEncoder) and model.roles.length is None:
            texts = [proof.source(i).tolist() for i in range(len(proof))]
            self.require(padding_check(self._keras, texts))
        figures: dict[str, EncoderFigures] = {}
        for name, (_, recipe) in self.files.items():
            self.progress(f"measuring {name} against the Keras model")
            figures[name] = measure_encoder(encoders[name], proof)
            checks = judge_encoder(figures[name], _accepting(proof, tolerance_for(recipe, task)))
            self.require(*(named(check, name) for check in checks))
            changes = exchanged_texts(encoders[name], proof)
            self.require(named(judge_exchanged(changes, figures[name].mean_error), name))
            if any("heads" in bucket for bucket in self.layout):
                texts = [proof.source(i).tolist() for i in range(len(proof))]
                self.require(heads_check(name, recipe, encoders[name].heads, encoders["Keras"].heads, texts))
        if self._encoded:
            self.progress(f"running {len(metric.texts)} held-out texts through each model")
            points = {}
            for name in self.files:
                points[name], milliseconds = metric.score(encoders[name])
                self.latency[name] = latency(milliseconds, metric.tokens)
            self.require(metric.check(points))
        if self.settings.mediapipe:
            self._add_mediapipe(list(encoders.values())[-1])
        last = list(figures.values())[-1]
        # A cosine may be twice as far from 1, and by its rounding.
        slack = max(1e-6, 1 - last.agreement) if proof.embeds else 0.05
        agreement = last.agreement - slack
        return accept(proof, last.max_error, last.mean_error, agreement, limit)

    def measured(self, file: Path) -> Measured:
        """Measure the values of a quantized file."""
        figures = measure_encoder(self._opened(file), self._proof)
        used = self._limit.used(figures.max_error, figures.mean_error, figures.agreement)
        return Measured(figures.mean_error, used)

    def passes(self, file: Path) -> bool:
        """Return whether a quantized file loses no more of the task's metric than is accepted."""
        return not self._encoded or self._metric.holds(self._metric.score(self._opened(file))[0])

    @property
    def _limit(self) -> Tolerance:
        return tolerance_for(self.recipe, self.source.task)

    @functools.cached_property
    def _keras(self) -> KerasEncoder:
        lengths = [bucket.source for bucket in self.settings.buckets]
        segments = self.source.tokenizer.marks_segments
        return KerasEncoder(self.source.model, lengths, self.source.special_ids["end"], segments)

    @functools.cached_property
    def _held_out(self) -> list[tuple[list[int], Any]]:
        """The ids of each held-out text that is not empty, and what is right for it, if that is known."""
        tokenizer = self.source.tokenizer
        encoded = [tokenizer.encode(*_texts(text)) for text in self.source.texts]
        labelled = itertools.zip_longest(encoded, self.source.references[: len(encoded)])
        return [
            (tokenizer.cut(ids, self._keras.max_tokens), label)
            for ids, label in labelled
            if len(ids) > tokenizer.enclosing
        ]

    @property
    def _encoded(self) -> list[list[int]]:
        return [ids for ids, _ in self._held_out]

    @functools.cached_property
    def _proof(self) -> EncoderProof:
        self.progress("computing the references with the Keras model")
        return self._references(self._keras, self._encoded)

    @functools.cached_property
    def _metric(self) -> PointsMetric:
        if self.source.task in ANSWERS:
            return AnswersMetric(
                self.source, self._keras, self.settings.metric_sentences, self._limit.metric_loss
            )
        return EncoderMetric(
            self.source,
            self._keras,
            self._encoded,
            [label for _, label in self._held_out if label is not None],
            self.settings.metric_sentences,
            self._limit.metric_loss,
            self.settings.seed + 1,
        )

    def _opened(self, file: Path, name: str = "") -> LiteRTEncoder:
        special_ids, pairs = self.source.special_ids, self.source.pairs
        model = Model(file, name=name)
        return LiteRTEncoder(model, self.layout, special_ids["pad"], special_ids["end"], pairs)

    def _compare_tokenizers(self, encoders: Mapping[str, Encoder]) -> None:
        """Hold the tokenizer in the graph of the file that ships against tokenizer.json."""
        name, encoder = list(encoders.items())[-1]
        if not self.in_graph or not isinstance(encoder, LiteRTEncoder):
            return
        self.progress("comparing the tokenizer in the graph with tokenizer.json")
        tokenizer, texts = self.source.tokenizer, self.source.texts
        limit = tolerance_for(self.recipe, self.source.task).max_error
        check = tokenizer_check(encoder, tokenizer, texts, self.settings.metric_sentences, limit)
        self.require(named(check, name))
        if texts:
            self.latency[f"{name}, from the text"] = text_latency(encoder, tokenizer, texts)

    def _add_mediapipe(self, encoder: Encoder) -> None:
        """Rewrite the file that ships for MediaPipe, and compare the two."""
        self.progress("writing and comparing the file for MediaPipe")
        source, (bucket,) = self.source, self.layout
        labels = source.config["labels"] if source.task == "classification" else ()
        several = bool(source.config.get("multi_label"))
        lines = vocabulary(source.tokenizer.tokenizer, source.special_ids)
        path = self.converted.quantized.with_name(MEDIAPIPE)
        content = self.converted.quantized.read_bytes()
        path.write_bytes(make_file(content, bucket["encode"], source.task, lines, labels, several))
        file = MediaPipeFile(path, source.task, lines)
        texts = held_out(source.texts, self.settings.metric_sentences)
        self.require(output_check(file, encoder, source.task, several, texts))
        prompts = source.config.get("prompts") or {}
        prompt = prompts.get(source.config.get("default_prompt") or "", "")
        self.require(tokens_check(file, source.tokenizer, texts, prompt))
        self.other_files[MEDIAPIPE] = path

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about this task only."""
        model = {"class_name": self.source.class_name, "config": self.source.config}
        if self.source.task == "classification":
            model |= {"labels": self.source.config["labels"], "classes": self.source.classes}
        if self.source.task == "token-classification":
            model["labels"] = self.source.config["labels"]
        if self.source.pairs:
            model["pairs"] = True
        return {"task": self.source.task, "model": model}

    def _references(self, keras: KerasEncoder, encoded: Sequence[Sequence[int]]) -> EncoderProof:
        """Compute the proof's inputs with the Keras model and keep some of their values."""
        source, rng = self.source, np.random.default_rng(self.settings.seed)
        chosen = choose_sources(
            encoded,
            self.settings.buckets,
            source.special_ids,
            source.vocabulary_size,
            self.settings.sentences,
            self.settings.seed,
        )
        if source.segments or source.task == "question-answering":
            chosen = _paired(chosen, source.special_ids["end"])
        if source.task == "masked-lm":
            chosen, positions = hidden_words(chosen, source.special_ids["mask"], rng)
        else:
            positions = [0] * len(chosen)
        computed = [keras.run_sized(ids, place) for ids, place in zip(chosen, positions, strict=True)]
        ids = np.full((len(chosen), max(map(len, chosen))), source.special_ids["pad"], np.int32)
        for row, text in enumerate(chosen):
            ids[row, : len(text)] = text
        inputs = {
            "source_ids": ids,
            "source_lengths": np.array([len(text) for text in chosen], np.int32),
            "positions": np.array(positions, np.int32),
            "logit_size": float(np.median(np.abs([logit for _, logit in computed]))),
        }
        if source.task in TOKEN_TASKS:
            return token_references([result for result, _ in computed], inputs, rng)
        results = np.array([result for result, _ in computed])
        width = results.shape[1]
        if source.task == "masked-lm":
            best = np.argsort(-results, axis=-1, kind="stable")[:, :BEST]
            checked = np.concatenate([best, rng.integers(0, width, (len(chosen), OTHERS))], 1)
        else:
            checked = np.broadcast_to(np.arange(width), results.shape)
        embeds = source.task == "embedding"
        return EncoderProof(
            **inputs,
            best=np.full(len(chosen), NO_TOKEN, np.int32) if embeds else results.argmax(-1).astype(np.int32),
            check_ids=np.ascontiguousarray(checked, np.int32),
            check_scores=comparable(np.take_along_axis(results, checked, 1)).astype(np.float32),
        )


def _texts(text: str | tuple[str, str]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def _accepting(proof: EncoderProof, limit: Tolerance) -> EncoderProof:
    return accept(proof, limit.max_error, limit.mean_error, limit.token_agreement, limit)


def _paired(texts: Sequence[Sequence[int]], end_id: int) -> list[list[int]]:
    """Make two texts of every other one that is not two: where the end stands, the second begins."""
    paired = [list(text) for text in texts]
    for text in paired[::2]:
        if end_id not in text[:-1]:
            text[len(text) // 2] = end_id
    return paired
