"""The plan of the signatures for one call per sentence: their lengths, and the options of the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_attn.device.tasks.generator import DEFAULT_MAX_LENGTH
from keras_attn.device.tasks.translator import default_max_length
from keras_attn.device.text.tokenizer import never_produced
from keras_attn.errors import ArgumentError
from keras_attn.sources.source import LanguageSource, TranslationSource
from keras_attn_export.buckets import Bucket


@dataclass(frozen=True)
class OneCall:
    """The options of a greedy search in a graph; they are passed as JSON to the process that converts.

    Attributes:
        lengths: source tokens and most target tokens of each signature.
        start: the token that the first step is fed; `None` for language models, which begin with their
            prompt's last token.
        end: the token that ends an output.
        pad: fills up outputs.
        suppress: tokens that are never produced.
        force_end: whether an output that reaches its limit counts as finished, at no cost.
        default_limit: most tokens to produce by default, as (per source token, more).
        first: the token that every output begins with, at no cost; `None` where the model chooses it.
        asked: inputs of the signatures besides the source: `start_token` and `first_token`, where these
            depend on the call, as on the language.
    """

    lengths: Sequence[Sequence[int]]
    start: int | None
    end: int
    pad: int
    suppress: Sequence[int]
    force_end: bool
    default_limit: Sequence[int]
    first: int | None = None
    asked: Sequence[str] = ()

    def signature(self, source: int) -> str:
        """Return the name of the signature for sources of up to `source` tokens."""
        return f"{'generate' if self.start is None else 'translate'}_{source}"


def plan_one_call(source: Any, buckets: Sequence[Bucket]) -> OneCall:
    """Return the plan with which one call finds the same as the device's search by default.

    Raises:
        ArgumentError: the source is an encoder, which does not search, or its search has further rules.
    """
    if not isinstance(source, TranslationSource | LanguageSource):
        raise ArgumentError("one_call: an encoder always answers in one call; leave it out")
    special = source.special_ids
    if isinstance(source, TranslationSource) and (source.min_length or source.no_repeat_ngram):
        raise ArgumentError("one_call: this model's search has rules of what may follow; leave it out")
    generates = isinstance(source, LanguageSource)
    if generates:
        lengths, limit = [(each.source, each.target) for each in buckets], (0, DEFAULT_MAX_LENGTH)
    else:
        more = default_max_length(0)
        limit = default_max_length(1) - more, more
        lengths = [
            # A search may take the steps of a larger bucket, where there are more tokens than in its own.
            (each.source, min(default_max_length(each.source), max(larger.target for larger in buckets[i:])))
            for i, each in enumerate(buckets)
        ]
    return OneCall(
        lengths=lengths,
        start=None if generates else special["start"],
        end=special["end"],
        pad=special["pad"],
        suppress=never_produced(special),
        force_end=not generates and source.force_end,
        default_limit=limit,
        first=special.get("first"),
        asked=[] if generates or source.template is None else list(source.template.asked),
    )
