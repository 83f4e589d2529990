"""The check of a language model's perplexity on held-out texts, which every file computes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from keras_attn.device.proof.checks import Check
from keras_attn.sources.source import LanguageSource
from keras_attn_export.buckets import Bucket
from keras_attn_export.proof.references import spread
from keras_attn_export.recipes import Tolerance

LONGEST, ENOUGH_TOKENS = 64, 500
"""Most tokens that are read of a text, and the fewest in all with which the metric is compared."""


def sample_texts(source: LanguageSource, buckets: Sequence[Bucket], count: int) -> list[list[int]]:
    """Return the beginnings of at most `count` held-out texts, evenly spread, as ids."""
    longest = min(LONGEST, max(bucket.target for bucket in buckets))
    encoded = [source.tokenizer.encode(text)[:longest] for text in source.texts]
    return spread([ids for ids in encoded if len(ids) > 1], count)


def text_metric(losses: Mapping[str, tuple[float, int]], texts: int, tolerance: Tolerance) -> Check:
    """Compare perplexities; the last model's may be `metric_loss` percent above the first's."""
    found = {name: math.exp(loss) for name, (loss, _) in losses.items()}
    kinds, tokens = list(found), next(iter(losses.values()))[1]
    loss = 100 * (found[kinds[-1]] / found[kinds[0]] - 1)
    enough = tokens >= ENOUGH_TOKENS
    detail = "perplexity: " + ", ".join(f"{kind} {value:.3f}" for kind, value in found.items())
    detail += f" on {tokens} tokens of {texts} texts"
    if not enough:
        detail += f" (fewer than {ENOUGH_TOKENS}: not compared with the {tolerance.metric_loss} % accepted)"
    figures = {"perplexity": found, "loss": loss, "accepted": tolerance.metric_loss, "tokens": tokens}
    return Check("metric", loss <= tolerance.metric_loss or not enough, detail, figures)
