"""A tokenizer with some of its tokens, renumbered in their order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection
from typing import Any

from tokenizers import Tokenizer

from keras_attn.errors import ArgumentError


def pieces_of_words(tokenizer: Tokenizer, tokens: Collection[int]) -> set[int]:
    """Return ids with those of which pairs are merged to become these, where the model is of such pairs.

    Texts of these tokens are then read as before: no merge that was made is missing.
    """
    model = json.loads(tokenizer.to_str())["model"]
    kept = set(tokens)
    if model["type"] != "BPE":
        return kept
    rank = {pair: number for number, pair in enumerate(map(_pair, model["merges"]))}
    numbers, names = model["vocab"], {number: piece for piece, number in model["vocab"].items()}
    for number in tokens:
        parts = list(names.get(number, ""))
        kept.update(numbers[part] for part in parts if part in numbers)
        while True:
            ranked = [rank.get(pair, len(rank)) for pair in itertools.pairwise(parts)]
            if not ranked or (best := min(ranked)) == len(rank):
                break
            at = ranked.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
            kept.add(numbers[parts[at]])
    return kept


def smaller_tokenizer(tokenizer: Tokenizer, kept: list[int], option: str) -> Tokenizer:
    """Return a tokenizer of some tokens, whose ids are their places in `kept`, which is ascending.

    It puts nothing around a text. `option` is what the caller asked for it by, for messages.

    Raises:
        ArgumentError: the tokenizer is of a kind that cannot be cut.
    """
    content = json.loads(tokenizer.to_str())
    place = {number: new for new, number in enumerate(kept)}
    model = content["model"]
    match model["type"]:
        case "Unigram":
            rows = model["vocab"]
            model["unk_id"] = place.get(model["unk_id"])
            model["vocab"] = [rows[number] for number in kept if number < len(rows)]
        case "BPE" | "WordLevel" | "WordPiece":
            model["vocab"] = {piece: place[n] for piece, n in model["vocab"].items() if n in place}
        case kind:
            raise ArgumentError(f"{option}: a tokenizer of kind {kind} cannot be cut; leave it out")
    if model["type"] == "BPE":
        known = model["vocab"]
        merges = [_pair(merge) for merge in model["merges"]]
        model["merges"] = [list(pair) for pair in merges if {*pair, "".join(pair)} <= known.keys()]
    added = [each for each in content["added_tokens"] if each["id"] in place]
    content["added_tokens"] = [{**each, "id": place[each["id"]]} for each in added]
    content |= {"post_processor": None, "padding": None, "truncation": None}
    found = Tokenizer.from_str(json.dumps(content))
    for number, new in place.items():
        if found.id_to_token(new) != tokenizer.id_to_token(number):
            raise ArgumentError(
                f"{option}: this tokenizer cannot be cut: token {tokenizer.id_to_token(number)!r} would get "
                "another number; leave it out"
            )
    return found


def _pair(merge: Any) -> tuple[str, str]:
    """Return a merge of two pieces, which older files have as one text."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second
