"""The texts in `proof.npz`, by which a bundle's tokenizer is proven too."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from keras_attn.device.proof.text_proof import TextProof, prove_texts
from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS
from keras_attn.device.task_names import TOKEN_TASKS
from keras_attn.sources.source import AnySource, EncoderSource, TranslationSource
from keras_attn_export.proof.references import spread

HELD_OUT, LONGEST = 24, 2000
"""Number of held-out texts of each side, and characters of each."""
_NOT_IN_A_BROWSER = "\ufeff"
"""Browsers drop it when they decode bytes."""


def make_texts(source: AnySource, files: Mapping[str, bytes]) -> TextProof:
    """Record the ids of hard texts and of held-out ones in all their languages, and texts of ids.

    Args:
        source: what is exported.
        files: contents of the tokenizer's files and of a shortlist, by name.
    """
    held_out, targets = _held_out(source)
    added = source.tokenizer.tokenizer.get_added_tokens_decoder().values()
    written = [f"one {token.content} two{token.content}" for token in spread(list(added), HELD_OUT)]
    texts = [*dict.fromkeys([*HARD_TEXTS[:-1], *written, *held_out])]
    targets = [*dict.fromkeys([*HARD_TEXTS[:-1], *targets])]
    targets = [text for text in targets if _NOT_IN_A_BROWSER not in text]
    pairs = []
    if isinstance(source, EncoderSource) and source.pairs:
        pairs = list(zip(texts, [*texts[1:], texts[0]], strict=True))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    spans = isinstance(source, EncoderSource) and source.task in TOKEN_TASKS
    return prove_texts(source.tokenizer, digests, texts, targets, pairs, spans)


def _held_out(source: AnySource) -> tuple[list[str], list[str]]:
    """Return held-out inputs, and texts like the outputs."""
    if isinstance(source, TranslationSource):
        pairs = spread(source.pairs, HELD_OUT)
        texts, targets = [text for text, _ in pairs], [text for _, text in pairs]
    else:
        texts = [each for text in source.texts for each in ([text] if isinstance(text, str) else text)]
        texts = targets = spread(texts, HELD_OUT)
    return [text[:LONGEST] for text in texts], [text[:LONGEST] for text in targets]
