"""Tokens that must not follow what a search has produced."""

from __future__ import annotations

from collections.abc import Sequence


def forbidden_tokens(
    ids: Sequence[int], start_id: int, end_id: int, min_length: int, no_repeat_ngram: int
) -> set[int]:
    """Return the tokens that must not follow.

    Args:
        ids: what has been produced.
        start_id: the token that came before.
        end_id: the token that ends a target.
        min_length: tokens to produce before it may come.
        no_repeat_ngram: the length of the sequences of tokens, the start token included, that must not occur
            twice; 0 for no such rule.
    """
    found = {end_id} if len(ids) < min_length else set()
    if no_repeat_ngram:
        fed = [start_id, *ids]
        before = no_repeat_ngram - 1  # tokens of a sequence that have come when its last one is chosen
        last = fed[len(fed) - before :]
        found |= {fed[at] for at in range(before, len(fed)) if fed[at - before : at] == last}
    return found
