"""The vocabulary of a trained model, cut to the tokens that the training texts have."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from keras_attn.data.smaller_tokenizer import pieces_of_words, smaller_tokenizer

_AT_ONCE = 10_000  # texts that are encoded together
_MARKS = ("##", "▁", "Ġ", "</w>")
"""What pieces have before or behind their characters."""


def keep_tokens(initial: Any, texts: Sequence[str | tuple[str, str]], count: int) -> Any:
    """Return the model with the most frequent tokens of some texts, numbered in their order.

    Special tokens, pieces of one character, and the pieces that kept ones are merged from stay as well, so
    that every other text is still read, in more tokens. Texts of kept tokens are read as before, and the
    model computes the same for them.

    Args:
        initial: an `InitialModel`: a backbone, or a task over one, with its tokenizer.
        texts: training texts, or pairs.
        count: number of frequent tokens.

    Raises:
        ArgumentError: the tokenizer is of a kind that cannot be cut.
    """
    tokenizer, size = initial.tokenizer, initial.backbone.vocabulary_size
    frequencies: Counter[int] = Counter()
    for first in range(0, len(texts), _AT_ONCE):
        some = list(texts[first : first + _AT_ONCE])
        for encoding in tokenizer.encode_batch_fast(some, add_special_tokens=False):
            frequencies.update(encoding.ids)
    content = json.loads(tokenizer.to_str())
    names = {number: piece for piece, number in tokenizer.get_vocab().items() if number < size}
    needed = {token["id"] for token in content["added_tokens"] if token["id"] < size}
    needed.update(initial.special_ids.values())
    needed.update(number for number, _ in frequencies.most_common(count))
    needed.update(number for number, piece in names.items() if _is_character(piece))
    if content["model"]["type"] == "Unigram":
        # What is unknown costs as much as the least likely piece, and more.
        scores = [score for _, score in content["model"]["vocab"]]
        needed.add(int(np.argmin(scores)))
    kept = sorted(pieces_of_words(tokenizer, needed & names.keys()))
    place = {number: new for new, number in enumerate(kept)}
    fewer = smaller_tokenizer(tokenizer, kept, "keep_tokens")
    around = _renumbered(content["post_processor"], place)
    found = Tokenizer.from_str(json.dumps({**json.loads(fewer.to_str()), "post_processor": around}))
    found.encode_special_tokens = tokenizer.encode_special_tokens
    special = {role: place[number] for role, number in initial.special_ids.items()}
    model = _with_rows(initial.model, kept, place)
    return dataclasses.replace(initial, model=model, tokenizer=found, special_ids=special)


def _is_character(piece: str) -> bool:
    for mark in _MARKS:
        piece = piece.removeprefix(mark) if mark != "</w>" else piece.removesuffix(mark)
    return len(piece) <= 1 or (piece.startswith("<0x") and piece.endswith(">"))


def _renumbered(processor: Any, place: Mapping[int, int]) -> Any:
    """Return what puts special tokens around texts, with their new numbers."""
    if processor is None:
        return None
    match processor["type"]:
        case "Sequence":
            return {**processor, "processors": [_renumbered(each, place) for each in processor["processors"]]}
        case "TemplateProcessing":
            tokens = {
                name: {**token, "ids": [place[number] for number in token["ids"]]}
                for name, token in processor["special_tokens"].items()
            }
            return {**processor, "special_tokens": tokens}
        case "BertProcessing" | "RobertaProcessing":
            ends = {name: [processor[name][0], place[processor[name][1]]] for name in ("sep", "cls")}
            return {**processor, **ends}
        case _:
            return processor


def _with_rows(model: Any, kept: Sequence[int], place: Mapping[int, int]) -> Any:
    """Return a model whose variables have these rows of what there is one of for each token."""
    config = model.get_config()
    inner = config["backbone"]["config"] if "backbone" in config else config
    before = inner["vocabulary_size"]
    inner.update(vocabulary_size=len(kept), pad_id=place[inner["pad_id"]])
    smaller = type(model).from_config(config)
    values = {variable.path.partition("/")[2]: variable for variable in model.weights}
    for variable in smaller.weights:  # without the states of dropout
        value = np.asarray(values[variable.path.partition("/")[2]])
        for axis, (old, new) in enumerate(zip(value.shape, variable.shape, strict=True)):
            if (old, new) == (before, len(kept)):
                value = np.take(value, kept, axis)  # of V rows, those of the kept tokens
        variable.assign(value)
    return smaller
