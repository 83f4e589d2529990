"""The check of a tokenizer in the graph: its ids, and the time of a text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from keras_attn.device.proof.checks import Check, judge_tokenizer
from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS, measure_tokenizer
from keras_attn.device.runtime.encoder import LiteRTEncoder
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn_export.proof.proof_run import latency
from keras_attn_export.proof.references import spread

_TIMED = 100


def tokenizer_check(
    encoder: LiteRTEncoder,
    tokenizer: EncoderTokenizer,
    texts: Sequence[str],
    count: int,
    max_error: float,
) -> Check:
    """Compare ids and results of texts with those of tokenizer.json.

    Args:
        encoder: over the file under test.
        tokenizer: that of tokenizer.json.
        texts: held-out ones, compared besides `HARD_TEXTS`.
        count: the most of these that are compared.
        max_error: largest accepted difference of a result.
    """
    chosen = spread(texts, count)
    check = judge_tokenizer(measure_tokenizer(encoder, tokenizer, [*HARD_TEXTS, *chosen]), max_error)
    check.detail += f" ({len(HARD_TEXTS)} hard ones, {len(chosen)} held-out ones)"
    return check


def text_latency(encoder: LiteRTEncoder, tokenizer: EncoderTokenizer, texts: Sequence[str]) -> dict[str, Any]:
    """Measure the time from a text to its result, each text in the smallest signature that holds it."""
    chosen = spread(texts, _TIMED)
    lengths = [len(tokenizer.encode(text)) for text in chosen]
    milliseconds = []
    for text, length in zip(chosen, lengths, strict=True):
        held = encoder.length_for(length)
        clock = time.perf_counter()
        encoder.run_text(text, held)
        milliseconds.append(1000 * (time.perf_counter() - clock))
    read = sum(min(length, encoder.max_tokens) for length in lengths)
    return latency(milliseconds, read)
