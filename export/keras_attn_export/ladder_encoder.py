"""The ladder of encoders: the values of every text, and accuracy, neighbours or hidden words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.device.encoder import Encoder, LiteRTEncoder
from keras_attn.device.encoder_proof import (
    NO_TOKEN,
    EncoderFigures,
    EncoderProof,
    exchanged_texts,
    measure_encoder,
)
from keras_attn.device.interpreter import Model
from keras_attn.device.tolerance import comparable
from keras_attn.device.verify import Rung, judge_encoder, judge_exchanged
from keras_attn_export.buckets import Bucket
from keras_attn_export.ladder import Ladder, latency, operators
from keras_attn_export.ladder_heads import heads_rung
from keras_attn_export.ladder_tokenizer import text_latency, tokenizer_rung
from keras_attn_export.proof import ENOUGH_SENTENCES, accept
from keras_attn_export.recipes import Tolerance, tolerance_for
from keras_attn_export.references import BEST, OTHERS, choose_sources, spread


def encoder_layout(buckets: Sequence[Bucket], heads: bool, in_graph: bool) -> list[dict[str, Any]]:
    """Give the manifest's `buckets`."""
    return [
        {
            "source": bucket.source,
            "encode": bucket.encode,
            **({"heads": bucket.heads} if heads else {}),
            **({"text": bucket.text} if in_graph else {}),
        }
        for bucket in buckets
    ]


class EncoderLadder(Ladder):
    """Compares the files with the Keras model, text by text."""

    def climb(self) -> EncoderProof:
        """Measure everything; return the proof for the bundle.

        Raises:
            ExportError: at the first rung that fails.
        """
        from keras_attn.encoding import KerasEncoder

        source, task = self.source, self.source.task
        pad, end = source.special_ids["pad"], source.special_ids["end"]
        encoders: dict[str, Encoder] = {
            "Keras": KerasEncoder(source.model, [bucket.source for bucket in self.settings.buckets], end)
        }
        for name, (file, recipe) in self.files.items():
            self.hold(operators(name, file, recipe, self.in_graph))
        self.tell("computing the references with the Keras model")
        encoded = [source.tokenizer.encode(text) for text in source.texts]
        longest = encoders["Keras"].max_tokens
        # An empty text leaves, and its label with it.
        empty = source.tokenizer.enclosing
        references = [
            label for ids, label in zip(encoded, source.references, strict=False) if len(ids) > empty
        ]
        encoded = [source.tokenizer.cut(ids, longest) for ids in encoded if len(ids) > empty]
        proof = self._references(encoders["Keras"], encoded)

        def opened(file: Path, name: str = "") -> LiteRTEncoder:
            return LiteRTEncoder(Model(file, name=name), self.layout, pad, end)

        self.narrow(lambda file: measure_encoder(opened(file), proof).mean_error)
        encoders |= {name: opened(file, name) for name, (file, _) in self.files.items()}
        self._compare_tokenizers(encoders)
        figures: dict[str, EncoderFigures] = {}
        for name, (_, recipe) in self.files.items():
            self.tell(f"measuring {name} against the Keras model")
            figures[name] = measure_encoder(encoders[name], proof)
            limit = tolerance_for(recipe, task)
            rungs = judge_encoder(figures[name], _accepting(proof, limit))
            self.hold(*(_named(rung, name) for rung in rungs))
            changes = exchanged_texts(encoders[name], proof)
            self.hold(_named(judge_exchanged(changes, figures[name]), name))
            if any("heads" in bucket for bucket in self.layout):
                texts = [proof.source(i).tolist() for i in range(len(proof))]
                self.hold(heads_rung(name, recipe, encoders[name].heads, encoders["Keras"].heads, texts))
        if encoded:
            self._score(encoders, encoded, references)
        last = list(figures.values())[-1]
        # A cosine may be twice as far from 1, and by its rounding.
        slack = max(1e-6, 1 - last.agreement) if proof.embeds else 0.05
        agreement = last.agreement - slack
        return accept(proof, last.max_error, last.mean_error, agreement, tolerance_for(self.recipe, task))

    def _compare_tokenizers(self, encoders: Mapping[str, Encoder]) -> None:
        """Hold the tokenizer in the graph of the file that ships against tokenizer.json."""
        name, encoder = list(encoders.items())[-1]
        if not self.in_graph or not isinstance(encoder, LiteRTEncoder):
            return
        self.tell("comparing the tokenizer in the graph with tokenizer.json")
        tokenizer, texts = self.source.tokenizer, self.source.texts
        limit = tolerance_for(self.recipe, self.source.task).max_error
        rung = tokenizer_rung(encoder, tokenizer, texts, self.settings.metric_sentences, limit)
        self.hold(_named(rung, name))
        if texts:
            self.latency[f"{name}, from the text"] = text_latency(encoder, tokenizer, texts)

    def facts(self) -> dict[str, Any]:
        """Give what the manifest says about this task alone."""
        model = {"class_name": self.source.class_name, "config": self.source.config}
        if self.source.task == "classification":
            model |= {"labels": self.source.config["labels"], "classes": self.source.classes}
        return {"task": self.source.task, "model": model}

    def _references(self, keras: Encoder, encoded: Sequence[Sequence[int]]) -> EncoderProof:
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
        if source.pairs:
            chosen = _paired(chosen, source.special_ids["end"])
        if source.task == "masked-lm":
            chosen, positions = _hidden_words(chosen, source.special_ids["mask"], rng)
        else:
            positions = [0] * len(chosen)
        results = np.stack([keras.run(ids, place) for ids, place in zip(chosen, positions, strict=True)])
        width = results.shape[1]
        if source.task == "masked-lm":
            best = np.argsort(-results, axis=-1, kind="stable")[:, :BEST]
            checked = np.concatenate([best, rng.integers(0, width, (len(chosen), OTHERS))], 1)
        else:
            checked = np.broadcast_to(np.arange(width), results.shape)
        ids = np.full((len(chosen), max(map(len, chosen))), source.special_ids["pad"], np.int32)
        for row, text in enumerate(chosen):
            ids[row, : len(text)] = text
        embeds = source.task == "embedding"
        return EncoderProof(
            source_ids=ids,
            source_lengths=np.array([len(text) for text in chosen], np.int32),
            positions=np.array(positions, np.int32),
            best=np.full(len(chosen), NO_TOKEN, np.int32) if embeds else results.argmax(-1).astype(np.int32),
            check_ids=np.ascontiguousarray(checked, np.int32),
            check_scores=comparable(np.take_along_axis(results, checked, 1)).astype(np.float32),
        )

    def _score(
        self, encoders: Mapping[str, Encoder], encoded: Sequence[list[int]], references: Sequence[str]
    ) -> None:
        """Hold the task's metric on held-out texts."""
        source = self.source
        places = spread(range(len(encoded)), self.settings.metric_sentences)
        count, texts = len(places), [encoded[i] for i in places]
        positions, words = [0] * count, []
        if source.task == "masked-lm":
            rng = np.random.default_rng(self.settings.seed + 1)
            words = texts
            texts, positions = _hidden_words(texts, source.special_ids["mask"], rng)
        self.tell(f"running {count} held-out texts through each model")
        found = {}
        for name, encoder in encoders.items():
            milliseconds, results = [], []
            for ids, position in zip(texts, positions, strict=True):
                clock = time.perf_counter()
                results.append(encoder.run(ids, position))
                milliseconds.append(1000 * (time.perf_counter() - clock))
            found[name] = np.stack(results)
            if name != "Keras":
                self.latency[name] = latency(milliseconds, sum(map(len, texts)))
        if source.task == "classification":
            labels = [source.config["labels"].index(references[i]) for i in places]
            points = {name: 100 * float(np.mean(each.argmax(-1) == labels)) for name, each in found.items()}
            what = "accuracy, %"
        elif source.task == "embedding":
            points = {name: _neighbours(found["Keras"], each) for name, each in found.items()}
            what = "nearest neighbours that are Keras', %"
        else:
            hidden = [text[position] for text, position in zip(words, positions, strict=True)]
            points = {name: 100 * float(np.mean(each.argmax(-1) == hidden)) for name, each in found.items()}
            what = "hidden words found, %"
        self.hold(_metric(what, points, count, tolerance_for(self.recipe, source.task).metric_loss))


def _named(rung: Rung, name: str) -> Rung:
    rung.name = f"{name} {rung.name}"
    return rung


def _accepting(proof: EncoderProof, limit: Tolerance) -> EncoderProof:
    return accept(proof, limit.max_error, limit.mean_error, limit.token_agreement, limit)


def _paired(texts: Sequence[Sequence[int]], end_id: int) -> list[list[int]]:
    """Make two texts of every other one: where the end stands in its middle, the second begins."""
    paired = [list(text) for text in texts]
    for text in paired[::2]:
        text[len(text) // 2] = end_id
    return paired


def _hidden_words(
    texts: Sequence[Sequence[int]], mask_id: int, rng: np.random.Generator
) -> tuple[list[list[int]], list[int]]:
    """Put the mask in the place of one word of each text, the first and last token aside."""
    hidden, positions = [], []
    for text in texts:
        position = int(rng.integers(1, max(2, len(text) - 1)))
        hidden.append([*text[:position], mask_id, *text[position + 1 :]])
        positions.append(position)
    return hidden, positions


def _neighbours(reference: np.ndarray, found: np.ndarray) -> float:
    """Percentage of texts whose nearest other text is the same among both embeddings."""

    def nearest(vectors: np.ndarray) -> np.ndarray:
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, -np.inf)
        return cosines.argmax(1)

    return 100 * float(np.mean(nearest(reference) == nearest(found)))


def _metric(what: str, points: Mapping[str, float], count: int, limit: float) -> Rung:
    kinds = list(points)
    loss = points[kinds[0]] - points[kinds[-1]]
    enough = count >= ENOUGH_SENTENCES
    detail = f"{what}: " + ", ".join(f"{kind} {value:.2f}" for kind, value in points.items())
    detail += f" on {count} texts"
    if not enough:
        detail += f" (fewer than {ENOUGH_SENTENCES}: not held against the {limit} points accepted)"
    return Rung("metric", loss <= limit or not enough, detail, {**points, "loss": loss, "accepted": limit})
