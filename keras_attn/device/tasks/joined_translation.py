"""The translation of a text, joined from those of its parts."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from keras_attn.device.search.beam_search import Hypothesis
from keras_attn.device.tasks.translation import Output, Translation, joined_alignment
from keras_attn.device.text.sentences import join_texts
from keras_attn.device.text.tokenizer import Tokenizer


class Part(NamedTuple):
    """A part of a text: which text it belongs to, its ids, and the white space that followed it."""

    text: int
    ids: list[int]
    separator: str


def joined_translation(
    tokenizer: Tokenizer,
    text: str,
    parts: list[tuple[Part, list[Hypothesis]]],
    length_penalty: float,
    alignments: bool,
) -> Translation:
    """Join the translations of a text's parts.

    Args:
        tokenizer: of the direction.
        text: the text.
        parts: of the text, each with the hypotheses for it, the best first.
        length_penalty: exponent of the length in the score.
        alignments: whether to keep the attention over the source.
    """
    source_ids = [token for part, _ in parts for token in part.ids]
    lengths = [len(part.ids) for part, _ in parts]
    separators = [part.separator for part, _ in parts]
    count = max((len(hypotheses) for _, hypotheses in parts), default=1)
    outputs = []
    for k in range(count):
        chosen = [hypotheses[min(k, len(hypotheses) - 1)] for _, hypotheses in parts]
        length = sum(len(hypothesis.ids) + hypothesis.finished for hypothesis in chosen)
        log_prob = sum(hypothesis.log_prob for hypothesis in chosen)
        if "first" in tokenizer.special_ids:
            chosen = [_without_first(hypothesis) for hypothesis in chosen]
        ids = [token for hypothesis in chosen for token in hypothesis.ids]
        outputs.append(
            Output(
                text=join_texts([tokenizer.decode(hypothesis.ids) for hypothesis in chosen], separators),
                score=log_prob / length**length_penalty if length else 0.0,
                ids=ids,
                tokenizer=tokenizer.target,
                alignment=joined_alignment(chosen, lengths) if alignments else None,
            )
        )
    return Translation(text, outputs, source_ids, tokenizer)


def _without_first(found: Hypothesis) -> Hypothesis:
    """Leave out the token that every translation of a direction begins with."""
    alignment = None if found.alignment is None else found.alignment[1:]
    return dataclasses.replace(found, ids=found.ids[1:], alignment=alignment)
