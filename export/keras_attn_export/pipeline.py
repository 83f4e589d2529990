"""The export: lower, convert, quantize, prove, and only then write the bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_attn.device.files.atomic_write import scratch_folder
from keras_attn.device.files.bundle import Bundle, check_destination, write_bundle
from keras_attn.device.proof.decoder_proof import MOST_INPUTS
from keras_attn.device.proof.verify import verify
from keras_attn.errors import ArgumentError
from keras_attn.models import NextSentence
from keras_attn_export.buckets import (
    ENCODER_LENGTHS,
    SPARSE_LENGTHS,
    Bucket,
    batch_sizes,
    choose_buckets,
    choose_prompt_buckets,
    sharing_steps,
)
from keras_attn_export.graph_tokenizer.word_pieces import check_in_graph
from keras_attn_export.one_call_plan import OneCall, plan_one_call
from keras_attn_export.proof.decoder_run import LanguageProofRun, TranslationProofRun, decoder_layout
from keras_attn_export.proof.encoder_run import EncoderProofRun, encoder_layout
from keras_attn_export.proof.proof_run import ExportError, ProofRun, Settings
from keras_attn_export.recipes import Recipe, find_recipe
from keras_attn_export.shortlist_lexicon import SizedShortlist, make_shortlist
from keras_attn_export.sources.sources import (
    AnySource,
    EncoderSource,
    LanguageSource,
    Source,
    TranslationSource,
    find_source,
    reading_pairs,
)
from keras_attn_export.tflite.convert import ConversionError, Converted, convert, find_lowering

__all__ = ["ExportError", "export"]

DEFAULT_BEAM = 5


def export(
    source: Any,
    bundle: str | os.PathLike[str],
    recipe: str | Recipe = "int8",
    *,
    tokenizer: Any = None,
    examples: Sequence[Any] | None = None,
    languages: dict[str, str] | None = None,
    buckets: Iterable[int | tuple[int, int]] | None = None,
    beam: int | None = None,
    batch: int | None = None,
    heads: bool = False,
    pairs: bool = False,
    tokenizer_in_graph: bool = False,
    one_call: bool = False,
    shortlist: Sequence[tuple[str, str]] | None = None,
    proof_sentences: int = 32,
    metric_sentences: int = 1000,
    seed: int = 0,
    lowering: str | None = None,
    conversions: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Bundle:
    """Export a trained model to a proven bundle.

    Args:
        source: a run folder, a Hugging Face folder, a `keras_attn.training.Run`, or a Keras model with
            its `tokenizer`.
        bundle: folder or `.zip` to write. A bundle that is there is replaced, when the new one is proven.
        recipe: `"fp32"`, `"fp16"`, `"int8"`, `"int8-weights"`, `"int4-mixed"`, or a `Recipe`.
        tokenizer: `keras_attn.device.Tokenizer` of a Keras model, an `EncoderTokenizer` for an encoder.
        examples: held-out examples for the proof, instead of the run's: (source, target) pairs of texts for
            a translator, (text, label) pairs for a classifier, texts otherwise.
        languages: labels of `source` and `target`, instead of the run's.
        buckets: lengths that become signatures, or (source, target) pairs; by default 16, 32, 64 and 128 for
            translators, 32 to 512 for encoders and prompts, 32 to 4096 for BigBird, as far as the model goes
            or was trained. Where BigBird is sparse a length must be a multiple of its `block_size`.
        beam: most hypotheses that a translator's search on the device may keep (besides greedy search); by
            default 5.
        batch: how many sentences a translator on the device decodes together when it is given many; by
            default one after the other.
        heads: whether the bundle of an encoder or a language model gives the attention of all heads as well;
            not where BigBird is sparse.
        pairs: whether a classifier's bundle also reads two texts at a time, told apart by segments; a
            `NextSentence`'s always does.
        tokenizer_in_graph: whether a classifier's or sentence encoder's file gets signatures that begin with
            the text itself, besides those of token ids; they need tensorflow-text's operators on the host.
        one_call: whether the file gets signatures that search greedily in one call as well, for hosts that
            would rather not write a loop over steps.
        shortlist: parallel text, (source, target), such as a translator was trained with: the bundle then has
            a shortlist of likely target tokens for each source, and steps that score these alone.
        proof_sentences: held-out texts that `proof.npz` carries.
        metric_sentences: held-out texts that every model is scored on.
        seed: decides the made-up inputs of the proof.
        lowering: "module:function" of a `keras_attn_export.lowering.base.Lowering`, for models of your own.
        conversions: folder that keeps the converted models, so that another export of the same model with
            the same options, by another recipe, need not convert it again; by default none is kept. It is
            for one version of this package: the folder knows those of TensorFlow and the quantizer alone.
        progress: called with a line at the start of each stage.

    Returns:
        The opened bundle.

    Raises:
        ExportError: when the model cannot be lowered or a check of the proof fails; no bundle is written.
        ArgumentError: when an argument does not make sense.
    """
    if not 1 <= proof_sentences <= MOST_INPUTS:
        raise ArgumentError(f"proof_sentences must be between 1 and {MOST_INPUTS}, not {proof_sentences}")
    chosen = find_recipe(recipe)
    check_destination(bundle)
    found = find_source(source, tokenizer=tokenizer, examples=examples, languages=languages)
    if pairs or isinstance(found.model, NextSentence):
        found = reading_pairs(found)
    if tokenizer_in_graph:
        check_in_graph(found)
    progress = progress or (lambda line: None)
    short = None
    if shortlist is not None:
        progress(f"learning which pieces translate which from {len(shortlist)} pairs of texts")
        short = make_shortlist(found, shortlist)
    layout, options, described, kind = _plan(found, buckets, beam, batch, heads, tokenizer_in_graph, short)
    whole = plan_one_call(found, layout) if one_call else None
    if whole is not None:
        described = [{**each, "one_call": whole.signature(each["source"])} for each in described]
    settings = Settings(layout, proof_sentences, metric_sentences, beam or DEFAULT_BEAM, seed, short)
    with scratch_folder("keras_attn_export") as work:
        progress(f"lowering and converting the signatures of {len(layout)} lengths")
        in_graph = found.tokenizer if tokenizer_in_graph else None
        kept = None if conversions is None else Path(conversions)
        converted = _convert(work, found, chosen, layout, options, lowering, in_graph, whole, kept)
        proof_run = kind(found, chosen, described, converted, settings, progress)
        proof = proof_run.run()
        manifest, files = proof_run.contents(proof)
        progress("repeating the proof from the written bundle")
        written = write_bundle(work / "bundle", manifest, files)
        report = verify(written.path)
        if not report.ok:
            failed = next(check for check in report.checks if not check.ok)
            raise ExportError(f"verify {failed.name}", failed.detail, report.checks)
        return write_bundle(bundle, manifest, files)


def _plan(
    source: AnySource,
    buckets: Iterable[int | tuple[int, int]] | None,
    beam: int | None,
    batch: int | None,
    heads: bool,
    in_graph: bool,
    short: SizedShortlist | None,
) -> tuple[list[Bucket], dict[str, Any], list[dict[str, Any]], type[ProofRun]]:
    """Say which signatures a source gets: buckets, the lowering's options, the manifest's, and the proof run.

    Raises:
        ArgumentError: when an argument does not make sense for this source.
    """
    if beam is not None and beam < 1:
        raise ArgumentError(f"beam must be at least 1, not {beam}")
    if batch is not None and batch < 2:
        raise ArgumentError(f"batch must be at least 2, not {batch}; leave it out for one sentence at a time")
    if batch is not None and not isinstance(source, TranslationSource):
        raise ArgumentError("batch: only translators decode several sentences together")
    if isinstance(source, EncoderSource):
        sparsity = source.sparsity
        lengths = ENCODER_LENGTHS if sparsity is None else SPARSE_LENGTHS
        layout = choose_buckets(
            buckets, source.longest, source.longest_trained, lengths, sparsity, source.longest_text
        )
        if sparsity is not None:
            sparsity.check(layout, heads)
        options = {"heads": heads, **({"pairs": True} if source.pairs else {})}
        return layout, options, encoder_layout(layout, heads, in_graph), EncoderProofRun
    if isinstance(source, LanguageSource):
        if beam is not None:
            raise ArgumentError("beam: only translators search with a beam; a language model samples")
        layout = choose_prompt_buckets(buckets, source.model.max_sequence_length)
        options = {"rows": [1], **({"heads": True} if heads else {})}
        return layout, options, decoder_layout(layout, [1], heads), LanguageProofRun
    if heads:
        raise ArgumentError("heads: a translator's bundle gives the mean of its heads only")
    layout = choose_buckets(buckets, source.longest, source.longest_trained)
    if source.class_name == "Transformer":
        # Recurrent models have no cache that grows, and all their steps' cost is in the source's length.
        layout = sharing_steps(layout)
    rows = sorted({1, beam or DEFAULT_BEAM})
    batches = [[size, beams] for beams in rows for size in batch_sizes(batch or 0)]
    options = {
        "rows": rows,
        **({"batches": batches} if batches else {}),
        **({"shortlist": short.size} if short else {}),
    }
    described = decoder_layout(layout, rows, short=short is not None, batches=batches)
    return layout, options, described, TranslationProofRun


def _convert(
    work: Path,
    source: Source,
    recipe: Recipe,
    layout: Sequence[Bucket],
    options: Mapping[str, Any],
    lowering: str | None,
    tokenizer: Any,
    one_call: OneCall | None,
    conversions: Path | None,
) -> Converted:
    try:
        return convert(
            work,
            config=source.config,
            weights=source.weights(),
            lowering=lowering or find_lowering(source.class_name),
            buckets=layout,
            options=options,
            recipe=recipe,
            tokenizer=tokenizer,
            one_call=one_call,
            conversions=conversions,
        )
    except ConversionError as error:
        raise ExportError("conversion", str(error)) from None
