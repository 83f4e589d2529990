"""The checks of models that decode, measured on files and on the Keras model.

Scores, tokens and shuffled sources are measured by the functions that every device repeats
(`keras_attn.device.proof`); search, metric and cost need the Keras model or the held-out texts and are
measured here only.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from keras_attn.device.proof.checks import Check, judge, judge_one_call, judge_shortlist, judge_shuffled
from keras_attn.device.proof.decoder_proof import Proof, ProofFile, measure, shuffled_change
from keras_attn.device.proof.one_call_proof import measure_one_call
from keras_attn.device.proof.shortlist_proof import measure_shortlist
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn.device.proof.verify import measure_all
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.language_model import step_model_class
from keras_attn.device.search.one_call import OneCall
from keras_attn.device.search.shortlist import ShortlistedStepModel
from keras_attn.device.tasks.generator import Generation, Generator
from keras_attn.device.tasks.translator import Translation, Translator
from keras_attn.device.text.tokenizer import beginning_of
from keras_attn.sources.source import LanguageSource, TranslationSource
from keras_attn_export.proof.references import Sized, choose_sources, make_proof, spread
from keras_attn_export.recipes import FP32, Tolerance
from keras_attn_export.shortlist_lexicon import SizedShortlist
from keras_attn_export.tflite.int4_selection import Measured

AnyProof = TypeVar("AnyProof", bound=ProofFile)
AnyDecoder = TranslationSource | LanguageSource
Answer = Translation | Generation

ENOUGH_SENTENCES = 50
"""With fewer held-out texts the metric is not compared with a tolerance."""
LANGUAGE_STEPS = 64
"""A language model seldom ends by itself: its references have at most this many tokens."""


class Keras:
    """The trained model: its translator or generator, its proof, and its scores of single tokens."""

    batch = 32

    def __init__(self, source: AnyDecoder, buckets: Sequence[Any]) -> None:
        from keras_attn.generation import keras_generator, keras_translator

        self._source = source
        self._buckets = buckets
        self._logit_size = 0.0
        lengths = {
            "max_source_tokens": buckets[-1].source,
            "max_target_tokens": max(bucket.target for bucket in buckets),
        }
        self.device: Any = (
            keras_generator(source.model, source.tokenizer, **lengths)
            if isinstance(source, LanguageSource)
            else keras_translator(
                source.model,
                source.tokenizer,
                batch_size=self.batch,
                **source.search,
                **lengths,
            )
        )

    def proof(self, sentences: int, seed: int) -> Proof:
        """Decode the proof's inputs and keep tokens and scores."""
        from keras_attn.generation import keras_step_model_class

        source, buckets = self._source, self._buckets
        if isinstance(source, LanguageSource):
            encoded = [ids[: max(2, len(ids) // 2)] for ids in map(source.tokenizer.encode, source.texts)]
            encoded = [ids[: buckets[-1].source] for ids in encoded]
        else:
            encoded = [source.tokenizer.encode(text) for text, _ in source.pairs]
        sources = choose_sources(
            encoded, buckets, source.special_ids, source.vocabulary_size, sentences, seed
        )
        limits = [_max_target_tokens(buckets, len(ids)) for ids in sources]
        if isinstance(source, LanguageSource):
            limits = [min(limit, LANGUAGE_STEPS) for limit in limits]
        steps = keras_step_model_class(source.task)(Sized(source.model), max(limits))
        proof = make_proof(steps, sources, limits, source.special_ids, seed)
        self._logit_size = proof.logit_size
        return proof

    def first_gap(self, text: str, ids: Sequence[int], other_ids: Sequence[int]) -> float:
        """Compute the difference of the scores of the first tokens in which two outputs for a text differ."""
        special, tokenizer = self._source.special_ids, self._source.tokenizer
        ids, other_ids = [*ids, special["end"]], [*other_ids, special["end"]]
        step = next(i for i, pair in enumerate(zip(ids, other_ids, strict=False)) if pair[0] != pair[1])
        source = np.asarray([tokenizer.encode(text)], np.int32)
        steps = self.device.step_models(step + len(beginning_of(special)))
        state = steps.start(source, np.ones_like(source, bool))
        for token in [*beginning_of(special), *ids[:step]]:
            scores, state = steps.step(np.asarray([token], np.int32), state)
        return self.gap(scores[0, ids[step]], scores[0, other_ids[step]])

    def gap(self, score: float, other: float) -> float:
        """Return the difference of two scores, as limits count it."""
        counted = counted_errors(np.array([score]), np.array([other]), logit_size=self._logit_size)
        return float(counted[0])


class Candidate:
    """A .tflite file under test."""

    def __init__(
        self,
        name: str,
        file: Path,
        layout: Sequence[Mapping[str, Any]],
        source: AnyDecoder,
        short: SizedShortlist | None = None,
    ) -> None:
        self.name = name
        self.file = file
        self.special_ids = source.special_ids
        self._tokenizer = source.tokenizer
        self._device: Any = Generator
        if isinstance(source, TranslationSource):
            self._device = functools.partial(Translator, **source.search)
        kind, model, pad = step_model_class(source.task), Model(file, name=name), source.special_ids["pad"]
        self.steps = kind(model, layout, pad)
        self._force_end = isinstance(source, TranslationSource) and source.force_end
        self._one_call = OneCall(model, layout, source.special_ids) if "one_call" in layout[0] else None
        self._short = ShortlistedStepModel(model, layout, pad, short.shortlist) if short else None

    def scores(self, proof: Proof, tolerance: Tolerance) -> list[Check]:
        """Measure with every number of rows; return the checks for scores and tokens."""
        accepted = dataclasses.replace(
            proof,
            max_error=tolerance.max_error,
            mean_error=tolerance.mean_error,
            min_token_agreement=tolerance.token_agreement,
        )
        self.figures = measured = measure_all(self.steps, proof, self.special_ids)
        checks = judge(measured, accepted)
        for check in checks:
            check.name = f"{self.name} {check.name}"
        return checks

    def measured(self, proof: Proof, tolerance: Tolerance) -> Measured:
        """Measure the log-probabilities, with one row."""
        found = measure(self.steps.for_length, proof, self.special_ids, rows=1, greedy=False)
        used = tolerance.used(found.max_error, found.mean_error, found.token_agreement)
        return Measured(found.mean_error, used)

    def shuffled(self, proof: Proof) -> Check:
        """Check that the source matters."""
        change = shuffled_change(self.steps.for_length, proof, self.special_ids)
        check = judge_shuffled(change, next(iter(self.figures.values())))
        check.name = f"{self.name} shuffled"
        return check

    def one_call(self, proof: Proof) -> list[Check]:
        """Compare one call with the search over steps, where the file has it."""
        if self._one_call is None:
            return []
        figures = measure_one_call(self._one_call, self.steps, proof, self.special_ids, self._force_end)
        # Twice the error, as devices accept it: see `accept`.
        check = judge_one_call(figures, 2 * max(each.mean_error for each in self.figures.values()))
        check.name = f"{self.name} {check.name}"
        return [check]

    def shortlist(self, proof: Proof, tolerance: Tolerance) -> list[Check]:
        """Compare the steps of candidates with those of the whole vocabulary, where the file has them."""
        if self._short is None:
            return []
        figures = [
            measure_shortlist(self._short, self.steps, proof, self.special_ids, rows)
            for rows in self.steps.row_counts
        ]
        check = judge_shortlist(figures, tolerance.max_error, tolerance.mean_error)
        check.name = f"{self.name} {check.name}"
        return [check]

    def coverage(self, translations: Sequence[Translation]) -> float:
        """Return the fraction of the best translations' tokens that are candidates of their sources."""
        assert self._short is not None
        shortlist, size = self._short.shortlist, self._short.size
        known = [
            np.isin(each.outputs[0].ids, shortlist.candidates(np.array(each.source_ids), size))
            for each in translations
        ]
        return float(np.concatenate(known).mean())

    def device(self) -> Any:
        """Return the device's translator or generator over this file."""
        return self._over(self.steps)

    def short_device(self) -> Any:
        """Return the device's translator with its shortlist."""
        return self._over(self._short)

    def _over(self, steps: Any) -> Any:
        return self._device(
            steps.for_length,
            self._tokenizer,
            max_source_tokens=steps.max_source_tokens,
            max_target_tokens=steps.max_target_tokens,
        )


def accept(
    proof: AnyProof, max_error: float, mean_error: float, agreement: float, limit: Tolerance
) -> AnyProof:
    """Return the proof with what devices accept: twice the errors measured here, within the recipe's.

    Other processors round differently, but a file that computes garbage is far outside.

    Args:
        proof: without tolerances.
        max_error: as measured.
        mean_error: as measured.
        agreement: the least accepted fraction of agreeing answers.
        limit: what the recipe accepts.
    """
    least = FP32.tolerance.max_error
    return dataclasses.replace(
        proof,
        max_error=min(limit.max_error, max(least, 2 * max_error)),
        mean_error=min(limit.mean_error, max(least, 2 * mean_error)),
        min_token_agreement=max(0.0, agreement),
    )


def sample_pairs(source: TranslationSource, longest: int, count: int) -> list[tuple[str, str]]:
    """Return at most `count` held-out pairs, evenly spread.

    Sources that are empty or have more than `longest` tokens are left out, and so are pairs without a target
    unless all are.
    """
    given = any(target.strip() for _, target in source.pairs)
    kept = [
        (text, target)
        for text, target in source.pairs
        if text.strip() and (target.strip() or not given) and len(source.tokenizer.encode(text)) <= longest
    ]
    return spread(kept, count)


def same_search(
    keras: Sequence[Answer],
    fp32: Sequence[Answer],
    beam: int,
    model: Keras,
) -> Check:
    """Compare what a search finds with the Keras model and with its fp32 lowering.

    Outputs may differ only at ties of the Keras model: the scores of both outputs, or those of the
    first tokens in which they differ, lie within 1e-4. Every difference is listed.
    """
    different = []
    for one, other in zip(keras, fp32, strict=True):
        ids, other_ids = one.outputs[0].ids, other.outputs[0].ids
        if ids != other_ids:
            gap = min(model.gap(one.score, other.score), model.first_gap(one.input, ids, other_ids))
            different.append({"input": one.input, "keras": one.text, "fp32": other.text, "score_gap": gap})
    wrong = [each for each in different if each["score_gap"] > FP32.tolerance.max_error]
    kind = "greedy search" if beam == 1 else f"beam {beam}"
    detail = f"{kind}: {len(keras) - len(different)} of {len(keras)} outputs equal Keras', token by token"
    if different:
        shown = max(different, key=lambda each: each["score_gap"])
        detail += (
            f", {len(wrong)} others are not ties; {shown['input']!r} differs by {shown['score_gap']:.1e}"
        )
    return Check(f"fp32 search {beam}", not wrong, detail, {"sentences": len(keras), "different": different})


def metric(
    translations: Mapping[str, Sequence[Translation]],
    references: Sequence[str],
    source: TranslationSource,
    limit: float,
    beam: int,
) -> Check:
    """Score translations by the task's metric; the last kind may lose `limit` points against the first."""
    from keras_attn.scores.bleu import corpus_scores

    scores = {
        kind: corpus_scores([each.text for each in found], references, source.bleu_tokenize)
        for kind, found in translations.items()
    }
    factor = 100 if source.metric == "exact_match" else 1
    points = {kind: factor * score[source.metric] for kind, score in scores.items()}
    kinds = list(points)
    loss = points[kinds[0]] - points[kinds[-1]]
    enough = len(references) >= ENOUGH_SENTENCES
    label = "exact match, %" if source.metric == "exact_match" else "BLEU"
    kind = "greedy" if beam == 1 else f"beam {beam}"
    detail = f"{label}, {kind}: " + ", ".join(f"{kind} {value:.2f}" for kind, value in points.items())
    detail += f" on {len(references)} sentences"
    if not enough:
        detail += f" (fewer than {ENOUGH_SENTENCES}: not compared with the {limit} points accepted)"
    return Check(
        f"metric {beam}", loss <= limit or not enough, detail, {**scores, "loss": loss, "accepted": limit}
    )


def timed(
    answer: Callable[[str], Answer], texts: Sequence[str], beam: int
) -> tuple[list[Answer], dict[str, Any]]:
    """Answer one text at a time; return the answers and the latency."""
    milliseconds, found = [], []
    answer(texts[0])  # Signatures are made ready on first use.
    for text in texts:
        clock = time.perf_counter()
        found.append(answer(text))
        milliseconds.append(1000 * (time.perf_counter() - clock))
    tokens = sum(len(each.outputs[0].ids) + 1 for each in found)
    return found, {
        "median_ms": float(np.median(milliseconds)),
        "p90_ms": float(np.percentile(milliseconds, 90)),
        "tokens_per_second": 1000 * tokens / sum(milliseconds),
        "sentences": len(texts),
        "beam": beam,
        "threads": 1,
    }


def _max_target_tokens(buckets: Sequence[Any], source_tokens: int) -> int:
    """Return the most target tokens of the bucket for a source."""
    return next(bucket.target for bucket in buckets if bucket.source >= source_tokens)
