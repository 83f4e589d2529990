"""The proof runs of models that decode: scores at every step, searches, and the task's metric."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_attn.device.files.bundle_tokenizer import TEMPLATE
from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.perplexity import text_loss
from keras_attn.device.search.language_model import LiteRTLanguageModel
from keras_attn.device.tasks.translator import Translation
from keras_attn_export.buckets import BatchSize, Bucket
from keras_attn_export.proof.conditioning import explained
from keras_attn_export.proof.decoder_checks import (
    Candidate,
    Keras,
    accept,
    metric,
    same_search,
    sample_pairs,
    timed,
)
from keras_attn_export.proof.heads_check import heads_check
from keras_attn_export.proof.perplexity import sample_texts, text_metric
from keras_attn_export.proof.proof_run import ProofRun, operators
from keras_attn_export.tflite.int4_selection import Measured

CONTINUED, ADDED = 50, 16
"""Held-out texts that every language model continues, and the tokens that it adds."""


def decoder_layout(
    buckets: Sequence[Bucket],
    rows: Sequence[int],
    heads: bool = False,
    short: bool = False,
    batches: Sequence[Sequence[int]] = (),
) -> list[dict[str, Any]]:
    """Return the manifest's `buckets`; batches are (sentences, beams).

    Of buckets that share their steps only the largest names those of batches.
    """

    def names(step: Callable[[Bucket], Callable[[int, int], str]], bucket: Bucket) -> dict[str, Any]:
        return {
            str(count): {str(target): step(bucket)(count, target) for target in bucket.targets}
            for count in rows
        }

    return [
        {
            "source": bucket.source,
            "target": bucket.target,
            "encode": bucket.encode,
            "steps": names(lambda each: each.step, bucket),
            **({"short_steps": names(lambda each: each.short, bucket)} if short else {}),
            **({"heads": bucket.heads} if heads else {}),
            **_batch_layout(bucket, batches),
        }
        for bucket in buckets
    ]


def _batch_layout(bucket: Bucket, batches: Sequence[Sequence[int]]) -> dict[str, Any]:
    if not batches or bucket.source < bucket.step_source:
        return {}
    described = []
    for batch in (BatchSize(*sizes) for sizes in batches):
        steps = {str(target): bucket.batch_step(batch, target) for target in bucket.batch_targets(batch)}
        described.append({"sentences": batch.sentences, "beams": batch.beams, "steps": steps})
    return {"batches": described}


class DecoderProofRun(ProofRun):
    """Compares the files with the Keras model, step by step; a subclass scores the task."""

    def run(self) -> Proof:
        """Measure everything; return the proof for the bundle.

        Raises:
            ExportError: at the first check that fails.
        """
        for name, (file, recipe) in self.files.items():
            self.require(operators(name, file, recipe))
        keras, proof = self._keras, self._proof
        candidates = {name: self._candidate(name, file) for name, (file, _) in self.files.items()}
        for name, candidate in candidates.items():
            self.progress(f"measuring {name} against the Keras model")
            scores, *others = candidate.scores(proof, self.files[name][1].tolerance)
            if not scores.ok and not self.files[name][1].quantized:
                source, limit = self.source, self.files[name][1].tolerance.max_error
                scores.detail = explained(
                    scores.detail, source.model, source.task, proof, source.special_ids, limit
                )
            self.require(scores, *others)
            self.require(
                *candidate.one_call(proof), *candidate.shortlist(proof, self.files[name][1].tolerance)
            )
        last = candidates[list(candidates)[-1]]
        self.require(last.shuffled(proof))
        self.compare_heads(keras, candidates, proof)
        self.score(keras, candidates)
        figures = list(last.figures.values())
        return accept(
            proof,
            max(each.max_error for each in figures),
            max(each.mean_error for each in figures),
            min(each.token_agreement for each in figures) - 0.05,
            self.recipe.tolerance,
        )

    @functools.cached_property
    def _keras(self) -> Keras:
        return Keras(self.source, self.settings.buckets)

    @functools.cached_property
    def _proof(self) -> Proof:
        self.progress("decoding the references with the Keras model")
        return self._keras.proof(self.settings.sentences, self.settings.seed)

    def measured(self, file: Path) -> Measured:
        """Measure the log-probabilities of a quantized file, with one row."""
        return self._candidate("", file).measured(self._proof, self.recipe.tolerance)

    def passes(self, file: Path) -> bool:
        """Return whether a quantized file passes the checks of scores, of searches and of the metric."""
        candidate, proof, limit = self._candidate("", file), self._proof, self.recipe.tolerance
        checks = [
            *candidate.scores(proof, limit),
            *candidate.one_call(proof),
            *candidate.shortlist(proof, limit),
        ]
        return all(check.ok for check in checks) and self.scores_well(self._keras, candidate)

    def scores_well(self, keras: Keras, candidate: Candidate) -> bool:
        """Return whether a file loses no more of the task's metric than is accepted."""
        raise NotImplementedError

    def _candidate(self, name: str, file: Path) -> Candidate:
        return Candidate(name, file, self.layout, self.source, self.settings.short)

    def compare_heads(self, keras: Keras, candidates: Mapping[str, Candidate], proof: Proof) -> None:
        """Compare the attention of all heads, where the files give it."""
        texts = [proof.source(i).tolist() for i in range(len(proof))]
        for name, candidate in candidates.items():
            steps, recipe = candidate.steps, self.files[name][1]
            if isinstance(steps, LiteRTLanguageModel) and "heads" in self.layout[0]:
                self.require(heads_check(name, recipe, steps.heads, keras.device.head_weights, texts))

    def score(self, keras: Keras, candidates: Mapping[str, Candidate]) -> None:
        """Compare searches and the task's metric on held-out texts, if there are any."""
        raise NotImplementedError


class TranslationProofRun(DecoderProofRun):
    """Compares the files with the Keras model as translators."""

    @functools.cached_property
    def _held_out(self) -> tuple[list[str], list[str]]:
        longest, count = self.settings.buckets[-1].source, self.settings.metric_sentences
        pairs = sample_pairs(self.source, longest, count)
        return [source for source, _ in pairs], [target for _, target in pairs]

    @property
    def _widths(self) -> list[int]:
        return sorted({1, self.settings.beam})

    @functools.cache  # noqa: B019 - as long as the export
    def _translated(self, keras: Keras, width: int) -> list[Translation]:
        return keras.device.translate(self._held_out[0], beam=width)

    def scores_well(self, keras: Keras, candidate: Candidate) -> bool:
        """Return whether a file loses no more BLEU or exact matches than is accepted."""
        (texts, references), loss = self._held_out, self.recipe.tolerance.metric_loss
        if not any(references):
            return True
        for width in self._widths:
            found = {"Keras": self._translated(keras, width)}
            found["file"] = candidate.device().translate(texts, beam=width)
            if not metric(found, references, self.source, loss, width).ok:
                return False
        return True

    def score(self, keras: Keras, candidates: Mapping[str, Candidate]) -> None:
        """Compare searches, greedy and with the beam, and BLEU or exact matches."""
        texts, references = self._held_out
        if not texts:
            return
        devices = {name: candidate.device() for name, candidate in candidates.items()}
        last = list(devices)[-1]
        short = f"{last}, shortlist"
        if self.settings.short is not None:
            devices[short] = candidates[last].short_device()
        for width in self._widths:
            self.progress(f"translating {len(texts)} held-out texts with each model, beam {width}")
            found: dict[str, Any] = {"Keras": self._translated(keras, width)}
            for name, translator in devices.items():
                found[name], self.latency[f"{name}, beam {width}"] = timed(
                    lambda text, to=translator, beam=width: to.translate(text, beam=beam), texts, width
                )
            self.require(same_search(found["Keras"], found["fp32"], width, keras))
            shortened = found.pop(short, None)
            if any(references):
                loss = self.recipe.tolerance.metric_loss
                self.require(metric(found, references, self.source, loss, width))
                if shortened is not None:
                    compared = {"Keras": found["Keras"], short: shortened}
                    check = metric(compared, references, self.source, loss, width)
                    check.name = f"shortlist {check.name}"
                    share = check.figures["coverage"] = candidates[last].coverage(found[last])
                    check.detail += f"; {share:.2%} of the tokens chosen from all are candidates"
                    self.require(check)

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about this task only."""
        search = {"search": self.source.search} if self.source.search else {}
        template = self.source.template
        more = {} if template is None else {TEMPLATE: template.to_json()}
        return {"task": "translation", "languages": self.source.languages, **search, **more}


class LanguageProofRun(DecoderProofRun):
    """Compares the files with the Keras model as language models."""

    @functools.cached_property
    def _held_out(self) -> list[list[int]]:
        return sample_texts(self.source, self.settings.buckets, self.settings.metric_sentences)

    @functools.cache  # noqa: B019 - as long as the export
    def _keras_loss(self, keras: Keras) -> tuple[float, int]:
        return text_loss(keras.device.step_models, self._held_out, self.source.special_ids, keras.batch)

    def _loss(self, candidate: Candidate) -> tuple[float, int]:
        return text_loss(candidate.steps.for_length, self._held_out, self.source.special_ids)

    def scores_well(self, keras: Keras, candidate: Candidate) -> bool:
        """Return whether a file's perplexity is no more above the Keras model's than is accepted."""
        if not self._held_out:
            return True
        losses = {"Keras": self._keras_loss(keras), "": self._loss(candidate)}
        return text_metric(losses, len(self._held_out), self.recipe.tolerance).ok

    def score(self, keras: Keras, candidates: Mapping[str, Candidate]) -> None:
        """Compare the texts that are most probable to follow, and perplexity."""
        texts = self._held_out
        if not texts:
            return
        prompts = [self.source.tokenizer.decode(ids[: max(1, len(ids) // 2)]) for ids in texts[:CONTINUED]]
        most = min(ADDED, max(bucket.target for bucket in self.settings.buckets))
        self.progress(f"continuing {len(prompts)} held-out texts with each model")
        found = {"Keras": keras.device.generate(prompts, max_length=most, truncate=True)}
        for name, candidate in candidates.items():
            generator = candidate.device()
            found[name], self.latency[name] = timed(
                lambda text, to=generator: to.generate(text, max_length=most, truncate=True), prompts, 1
            )
        self.require(same_search(found["Keras"], found["fp32"], 1, keras))
        self.progress(f"reading {len(texts)} held-out texts with each model")
        losses = {"Keras": self._keras_loss(keras)}
        for name, candidate in candidates.items():
            losses[name] = self._loss(candidate)
        self.require(text_metric(losses, len(texts), self.recipe.tolerance))

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about this task only."""
        return {"task": "generation"}
