"""Inputs from which the amplitudes in a model are measured before it is quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.sources.prediction_source import PredictionSource
from keras_attn.sources.source import EncoderSource, Source, TranslationSource
from keras_attn_export.buckets import Bucket
from keras_attn_export.proof.references import spread
from keras_attn_export.tflite.smoothing import Sample

_COUNT, _MOST_TOKENS = 16, 4096


def text_samples(source: Source, buckets: Sequence[Bucket], seed: int) -> list[Sample]:
    """Return held-out texts as inputs of signatures that encode; without texts, random tokens.

    A text runs in the longest signature that it fills, so that next to no padding is measured.

    Args:
        source: an encoder, or a translator.
        buckets: ascending.
        seed: random seed of the tokens.
    """
    rng = np.random.default_rng(seed)
    tokens = [source.tokenizer.encode(*texts) for texts in spread(_texts(source), _COUNT)]
    length = buckets[0].source
    while len(tokens) < min(_COUNT // 2, max(1, _MOST_TOKENS // length)):
        tokens.append(rng.integers(0, source.vocabulary_size, length).tolist())
    made, total = [], 0
    for ids in tokens:
        bucket = [each for each in buckets if each.source <= max(len(ids), length)][-1]
        if total and total + bucket.source > _MOST_TOKENS:
            continue
        total += bucket.source
        ids = ids[: bucket.source]
        token_ids = np.full((1, bucket.source), source.special_ids["pad"], np.int32)
        mask = np.zeros((1, bucket.source), np.float32)
        token_ids[0, : len(ids)], mask[0, : len(ids)] = ids, 1
        made.append((bucket.encode, {"token_ids": token_ids, _MASKS[type(source)]: mask}))
    return made


def prediction_samples(source: PredictionSource, layout: Sequence[Mapping[str, Any]]) -> list[Sample]:
    """Return examples of a model of arrays, the user's or made ones.

    Args:
        source: the model.
        layout: the manifest's `buckets`.
    """
    shortest = layout[0]
    numbers = spread(range(source.examples.count or _COUNT), _COUNT)
    examples = [source.examples.example(i, shortest["source"]) for i in numbers]
    return [(shortest["predict"]["1"], each) for each in examples]


_MASKS: dict[type, str] = {EncoderSource: "padding_mask", TranslationSource: "source_mask"}


def _texts(source: Source) -> Sequence[tuple[str, ...]]:
    """Return the texts of a source, each alone or with its second one."""
    if isinstance(source, TranslationSource):
        return [(text,) for text, _ in source.pairs]
    texts = source.texts if isinstance(source, EncoderSource) else ()
    return [(text,) if isinstance(text, str) else tuple(text) for text in texts]
