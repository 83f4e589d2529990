"""The export: lower, convert, quantize, prove, and only then write the bundle."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_attn.device.files.atomic_write import scratch_folder
from keras_attn.device.files.bundle import Bundle, check_destination, write_bundle
from keras_attn.device.proof.checks import Check
from keras_attn.device.proof.decoder_proof import MOST_INPUTS
from keras_attn.device.proof.verify import verify
from keras_attn.errors import ArgumentError
from keras_attn.models import NextSentence
from keras_attn.models.tasks.own_encoder import OwnEncoder, roles_json
from keras_attn.sources.find_source import find_source, reading_pairs
from keras_attn.sources.lengths import read_lengths
from keras_attn.sources.prediction_source import PredictionSource
from keras_attn.sources.source import AnySource, LanguageSource, Source, TranslationSource
from keras_attn_export.buckets import (
    Bucket,
)
from keras_attn_export.graph_tokenizer.word_pieces import check_in_graph
from keras_attn_export.mediapipe.tokenizing import check_source
from keras_attn_export.one_call_plan import OneCall, plan_one_call
from keras_attn_export.proof.prediction_run import PredictionProofRun, prediction_layout
from keras_attn_export.proof.proof_run import ExportError, ProofRun, Settings
from keras_attn_export.proof.row_check import rows_check
from keras_attn_export.recipes import Recipe, find_recipe
from keras_attn_export.samples import prediction_samples, text_samples
from keras_attn_export.shortlist_lexicon import make_shortlist
from keras_attn_export.signature_plan import DEFAULT_BEAM, one_length, plan_signatures
from keras_attn_export.tflite.convert import (
    ConversionError,
    Converted,
    convert,
    convert_traced,
    find_lowering,
    has_lowering,
)
from keras_attn_export.tflite.int4_selection import select_int4
from keras_attn_export.tflite.smoothing import Sample
from keras_attn_export.tracing.handover import Traced
from keras_attn_export.tracing.refusals import in_our_words

ENCODER_TRACE = "keras_attn_export.tracing.encoder:trace"


def export_bundle(
    source: Any,
    bundle: str | os.PathLike[str],
    recipe: str | Recipe,
    *,
    tokenizer: Any,
    examples: Sequence[Any] | None,
    languages: dict[str, str] | Sequence[str] | None,
    lengths: Iterable[int | tuple[int, int]] | None,
    buckets: Iterable[int | tuple[int, int]] | None,
    labels: Sequence[str] | None,
    task: str | None,
    beam: int | None,
    batch: int | Sequence[int] | None,
    heads: bool,
    pairs: bool,
    tokenizer_in_graph: bool,
    mediapipe: bool,
    one_call: bool,
    shortlist: Sequence[tuple[str, str]] | None,
    proof_sentences: int,
    metric_sentences: int,
    seed: int,
    lowering: str | None,
    conversions: str | os.PathLike[str] | None,
    progress: Callable[[str], None] | None,
) -> Bundle:
    """Export as `keras_attn_export.api.export` documents."""
    if not 1 <= proof_sentences <= MOST_INPUTS:
        raise ArgumentError(f"proof_sentences must be between 1 and {MOST_INPUTS}, not {proof_sentences}")
    if lengths is not None and buckets is not None:
        raise ArgumentError("lengths and buckets are two names of the same argument: give one of them")
    lengths = read_lengths(buckets if lengths is None else lengths)
    chosen = find_recipe(recipe)
    check_destination(bundle)
    progress = progress or (lambda line: None)
    sides = languages if isinstance(languages, dict) else None
    kept = None if languages is None or isinstance(languages, dict) else [*languages]
    found = find_source(
        source,
        tokenizer=tokenizer,
        examples=examples,
        languages=sides,
        lengths=lengths,
        labels=labels,
        task=task,
        seed=seed,
    )
    if isinstance(found, PredictionSource):
        given = {
            "languages": kept,
            "beam": beam,
            "heads": heads or None,
            "pairs": pairs or None,
            "tokenizer_in_graph": tokenizer_in_graph or None,
            "mediapipe": mediapipe or None,
            "one_call": one_call or None,
            "shortlist": shortlist,
            "lowering": lowering,
        }
        _check_not_given(given)
        settings = Settings((), proof_sentences, 0, 0, seed)
        counts = sorted({1, *_batches(batch)})
        return _export_prediction(found, bundle, chosen, counts, settings, conversions, progress)
    if pairs or isinstance(found.model, NextSentence):
        found = reading_pairs(found)
    if tokenizer_in_graph:
        if lowering is not None:
            raise ArgumentError("tokenizer_in_graph: a lowering of your own has none; leave one of them out")
        check_in_graph(found)
    if mediapipe:
        lengths = one_length(check_source(found), lengths)
    cut = []
    if kept is not None:
        progress(f"cutting the vocabulary to what {', '.join(kept)} need")
        found, check = _cut(found, kept)
        cut.append(check)
    short = None
    if shortlist is not None:
        progress(f"learning a translation lexicon from {len(shortlist)} pairs of texts")
        short = make_shortlist(found, shortlist)
    batch = _only_batch(batch)
    layout, options, described, kind = plan_signatures(
        found, lengths, beam, batch, heads, tokenizer_in_graph, short
    )
    whole = plan_one_call(found, layout) if one_call else None
    if whole is not None:
        described = [{**each, "one_call": whole.signature(each["source"])} for each in described]
    searched = beam or DEFAULT_BEAM
    settings = Settings(layout, proof_sentences, metric_sentences, searched, seed, short, mediapipe)
    first = _rows_checks(found, layout, options, seed, progress)
    with scratch_folder("keras_attn_export") as work:
        progress(f"lowering and converting the signatures of {len(layout)} lengths")
        kept = None if conversions is None else Path(conversions)
        traced = None if lowering else _traced(found, layout, options, tokenizer_in_graph, whole)
        texts = traced is not None and not isinstance(found, LanguageSource)
        samples = text_samples(found, layout, seed) if texts else []
        converted = _convert(work, found, chosen, layout, options, lowering, traced, samples, whole, kept)
        proof_run = kind(found, chosen, described, converted, settings, progress)
        proof_run.checks.extend([*cut, *first])
        if chosen.selects_int4:
            proof_run.checks.append(_select_int4(proof_run, progress))
        return proven_bundle(bundle, proof_run, work)


def _cut(source: AnySource, languages: Sequence[str]) -> tuple[AnySource, Check]:
    """Cut a translator to some of its languages.

    Raises:
        ExportError: it has other answers then.
    """
    from keras_attn.generation import keras_translator
    from keras_attn.sources.vocabulary_cut import cut_vocabulary

    found, figures = cut_vocabulary(source, languages, keras_translator)
    check = Check("vocabulary", not figures.lost, figures.detail, figures.to_json())
    if not check.ok:
        raise ExportError(check.name, check.detail, [check])
    return found, check


def _batches(batch: int | Sequence[int] | None) -> list[int]:
    """Return the numbers of examples that are computed together, besides 1.

    Raises:
        ArgumentError: one is less than 2, or not a whole number.
    """
    sizes = [] if batch is None else list(batch) if isinstance(batch, Sequence) else [batch]
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 2:
            raise ArgumentError(f"batch must be at least 2, not {size!r}; leave it out for one at a time")
    return sizes


def _only_batch(batch: int | Sequence[int] | None) -> int | None:
    """Return the number of sentences that are decoded together, of which there is one at most."""
    sizes = _batches(batch)
    if len(sizes) > 1:
        raise ArgumentError(
            f"batch: texts are computed together in one number, not {sizes}; give the largest"
        )
    return sizes[0] if sizes else None


def _check_not_given(options: Mapping[str, Any]) -> None:
    """Raise an ArgumentError if there are options of text models for a model of arrays."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ArgumentError(f"{', '.join(given)}: a model of arrays has no such option; leave it out")


def _export_prediction(
    source: PredictionSource,
    bundle: str | os.PathLike[str],
    recipe: Recipe,
    counts: Sequence[int],
    settings: Settings,
    conversions: str | os.PathLike[str] | None,
    progress: Callable[[str], None],
) -> Bundle:
    """Export any Keras model: trace its call, then convert, quantize and prove it as the others."""
    layout = prediction_layout(source, counts)
    arguments = {"interface": source.interface.to_json(), "buckets": layout}
    traced = Traced(source.model, "keras_attn_export.tracing.prediction:trace", arguments)
    with scratch_folder("keras_attn_export") as work:
        progress(f"tracing and converting the signatures of {len(layout)} lengths")
        try:
            samples = prediction_samples(source, layout)
            kept = None if conversions is None else Path(conversions)
            converted = convert_traced(work, traced, recipe, samples, conversions=kept)
        except ConversionError as error:
            raise ExportError("conversion", in_our_words(str(error))) from None
        proof_run = PredictionProofRun(source, recipe, layout, converted, settings, progress)
        if recipe.selects_int4:
            proof_run.checks.append(_select_int4(proof_run, progress))
        return proven_bundle(bundle, proof_run, work)


def proven_bundle(bundle: str | os.PathLike[str], proof_run: ProofRun, work: Path) -> Bundle:
    """Run a proof run, and write a bundle whose proof has been repeated from its files.

    Raises:
        ExportError: a check fails; no bundle is written.
    """
    manifest, files = proof_run.contents(proof_run.run())
    proof_run.progress("repeating the proof from the written bundle")
    written = write_bundle(work / "bundle", manifest, files)
    report = verify(written.path)
    if not report.ok:
        failed = next(check for check in report.checks if not check.ok)
        raise ExportError(f"verify {failed.name}", failed.detail, report.checks)
    return write_bundle(bundle, manifest, files)


def _rows_checks(
    source: AnySource,
    layout: Sequence[Bucket],
    options: Mapping[str, Any],
    seed: int,
    progress: Callable[[str], None],
) -> list[Check]:
    """Check the rows of a model of the user's own class, if it is to decode batches.

    Raises:
        ExportError: its rows depend on each other.
    """
    if not options.get("batches") or has_lowering(source.model):
        return []
    progress("comparing the rows of a batch with each alone")
    check = rows_check(source.model, layout[0].source, source.special_ids, seed)
    if not check.ok:
        raise ExportError(check.name, check.detail, [check])
    return [check]


def _convert(
    work: Path,
    source: Source,
    recipe: Recipe,
    layout: Sequence[Bucket],
    options: Mapping[str, Any],
    lowering: str | None,
    traced: Traced | None,
    samples: Sequence[Sample],
    one_call: OneCall | None,
    conversions: Path | None,
) -> Converted:
    try:
        if traced is not None:
            in_graph = "tokenizer" in traced.arguments
            return convert_traced(work, traced, recipe, samples, in_graph, conversions)
        return convert(
            work,
            config=source.config,
            weights=source.weights(),
            lowering=lowering or find_lowering(source.class_name),
            buckets=layout,
            options=options,
            recipe=recipe,
            one_call=one_call,
            conversions=conversions,
        )
    except ConversionError as error:
        raise ExportError("conversion", str(error)) from None


def _traced(
    source: Source,
    layout: Sequence[Bucket],
    options: Mapping[str, Any],
    in_graph: bool,
    one_call: OneCall | None,
) -> Traced | None:
    """Return how encoders and own translators are traced; `None` for what is lowered."""
    model = source.model
    if has_lowering(model):
        return None
    described = [dataclasses.asdict(bucket) for bucket in layout]
    if isinstance(source, TranslationSource | LanguageSource):
        for name, value in (("shortlist", options.get("shortlist")), ("one_call", one_call)):
            if value:
                raise ArgumentError(f"{name}: a model of your own class has none; leave it out")
        return Traced(model, "keras_attn_export.tracing.steps:trace", {"buckets": described, **options})
    arguments = {"buckets": described, **options}
    if in_graph:
        tokenizer = source.tokenizer
        content = {"tokenizer": tokenizer.tokenizer.to_str(), "special_ids": tokenizer.special_ids}
        arguments["tokenizer"] = content
    if isinstance(model, OwnEncoder):
        if options["heads"]:
            raise ArgumentError(
                "heads: a model of your own class does not return its attention; leave it out"
            )
        arguments["own"] = {"task": model.task, "roles": roles_json(model.roles)}
        model = model.model
    return Traced(model, ENCODER_TRACE, arguments)


def _select_int4(proof_run: ProofRun, progress: Callable[[str], None]) -> Check:
    """Quantize matrices to 4 bits where the proof run's limits accept it; return which as a check."""
    recipe, converted = proof_run.recipe, proof_run.converted
    trial = converted.quantized.with_name("trial.tflite")

    def written(content: bytes) -> Path:
        trial.write_bytes(content)
        return trial

    mixed = select_int4(
        converted.raw.read_bytes(),
        recipe.weights,
        recipe.activations,
        lambda content: proof_run.measured(written(content)),
        lambda content: proof_run.passes(written(content)),
        progress,
    )
    converted.quantized.write_bytes(mixed.content)
    return Check(f"{recipe.name} widths", True, str(mixed), mixed.as_json())
