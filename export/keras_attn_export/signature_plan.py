"""Which signatures a source's file gets: their lengths, the options they are made with, and the proof run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from keras_attn.errors import ArgumentError
from keras_attn.models.tasks.own_encoder import OwnEncoder
from keras_attn.sources.lengths import ENCODER_LENGTHS
from keras_attn.sources.source import AnySource, EncoderSource, LanguageSource, TranslationSource
from keras_attn_export.buckets import (
    PROMPT_PARTS,
    SPARSE_LENGTHS,
    STEP_PARTS,
    Bucket,
    Sparsity,
    batch_sizes,
    choose_buckets,
    choose_prompt_buckets,
    growing,
    sharing_steps,
)
from keras_attn_export.proof.decoder_run import LanguageProofRun, TranslationProofRun, decoder_layout
from keras_attn_export.proof.encoder_run import EncoderProofRun, encoder_layout
from keras_attn_export.proof.proof_run import ProofRun
from keras_attn_export.shortlist_lexicon import SizedShortlist
from keras_attn_export.tflite.convert import has_lowering

DEFAULT_BEAM = 5
MEDIAPIPE_LENGTH = 128
"""Tokens at which MediaPipe cuts a text by default; it computes that many for every text."""


def plan_signatures(
    source: AnySource,
    buckets: Iterable[int | tuple[int, int]] | None,
    beam: int | None,
    batch: int | None,
    heads: bool,
    in_graph: bool,
    short: SizedShortlist | None,
) -> tuple[list[Bucket], dict[str, Any], list[dict[str, Any]], type[ProofRun]]:
    """Plan the signatures of a source: buckets, the lowering's options, the manifest's, and the proof run.

    Raises:
        ArgumentError: when an argument does not make sense for this source.
    """
    if beam is not None and beam < 1:
        raise ArgumentError(f"beam must be at least 1, not {beam}")
    if batch is not None and not isinstance(source, TranslationSource):
        raise ArgumentError("batch: only translators decode several sentences together; leave it out")
    if isinstance(source, EncoderSource):
        if beam is not None:
            raise ArgumentError(
                "beam: only translators search with a beam, and this is an encoder; leave it out"
            )
        sparsity = Sparsity.of(source.config.get("backbone", {}).get("config", {}))
        lengths = ENCODER_LENGTHS if sparsity is None else SPARSE_LENGTHS
        fixed = source.model.roles.length if isinstance(source.model, OwnEncoder) else None
        if fixed is not None:
            lengths = (fixed,)
            if buckets is not None and [*buckets] != [fixed]:
                raise ArgumentError(
                    f"lengths: the model takes {fixed} tokens, no more and no less; leave it out"
                )
        layout = choose_buckets(
            buckets, source.longest, source.longest_trained, lengths, sparsity, source.longest_text
        )
        if sparsity is not None:
            sparsity.check(layout, heads)
        options = {"heads": heads, **({"pairs": True} if source.segments else {})}
        return layout, options, encoder_layout(layout, heads, in_graph), EncoderProofRun
    if isinstance(source, LanguageSource):
        if beam is not None:
            raise ArgumentError(
                "beam: only translators search with a beam, and this is a language model; leave it out"
            )
        layout = choose_prompt_buckets(buckets, source.longest)
        if not has_lowering(source.model):
            layout = [_traced_bucket(bucket, source.model, PROMPT_PARTS) for bucket in layout]
            if heads:
                raise ArgumentError(
                    "heads: a model of your own class does not return its attention; leave it out"
                )
        options = {"rows": [1], **({"heads": True} if heads else {})}
        return layout, options, decoder_layout(layout, [1], heads), LanguageProofRun
    if heads:
        raise ArgumentError("heads: a translator's bundle returns only the mean of its heads; leave it out")
    layout = choose_buckets(buckets, source.longest, source.longest_trained)
    if not has_lowering(source.model):
        layout = [_traced_bucket(bucket, source.model, STEP_PARTS) for bucket in layout]
    elif source.class_name in ("Transformer", "T5"):
        # Recurrent models have no growing cache: the cost of their steps depends only on the source's length.
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


def one_length(
    source: EncoderSource, lengths: Iterable[int | tuple[int, int]] | None
) -> list[int | tuple[int, int]] | None:
    """Return the only length of a file for MediaPipe; `None` where the model itself has only one.

    Raises:
        ArgumentError: there are several.
    """
    if lengths is not None:
        found = [*lengths]
        if len(found) != 1:
            raise ArgumentError(
                f"lengths: a file for MediaPipe has one length, not {len(found)}; give the one at which "
                "texts are cut"
            )
        return found
    if isinstance(source.model, OwnEncoder) and source.model.roles.length is not None:
        return None
    limits = (MEDIAPIPE_LENGTH, source.longest, source.longest_text)
    return [min(each for each in limits if each is not None)]


def _traced_bucket(bucket: Bucket, model: Any, parts: Sequence[int]) -> Bucket:
    """Return a bucket of a model that is traced: with smaller steps if its state has `caches`."""
    return dataclasses.replace(
        bucket, targets=growing(bucket.target, parts) if model.caches else (bucket.target,)
    )
