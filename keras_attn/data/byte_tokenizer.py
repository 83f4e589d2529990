"""Lossless byte-level BPE, as in GPT-2 (Radford et al., 2019, section 2.2), for BERT and GPT.

Every text is a sequence of bytes, so no token is unknown, and `decode(encode(text)) == text`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from keras_attn.data.errors import DataError

BERT_TOKENS = {"pad": "[PAD]", "unknown": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
"""Special tokens of a BERT-like model by their roles."""

GPT_TOKENS: dict[str, str] = dict.fromkeys(("start", "end", "pad", "unknown"), "<|endoftext|>")
"""GPT-2 has one special token, which separates texts."""

_AT_ONCE = 10_000  # texts that are encoded together


def train_byte_tokenizer(
    texts: Iterable[str], vocabulary_size: int, special_tokens: dict[str, str]
) -> Tokenizer:
    """Train a tokenizer; the same texts give the same one.

    Args:
        texts: training texts.
        vocabulary_size: entries, including special tokens and 256 bytes; a small corpus may have fewer.
        special_tokens: `BERT_TOKENS`, which enclose every text in `[CLS]` and `[SEP]`, or
            `GPT_TOKENS`.

    Raises:
        DataError: if `vocabulary_size` leaves no room besides special tokens and bytes.
    """
    special = list(dict.fromkeys(special_tokens.values()))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    least = len(special) + len(alphabet) + 1
    if vocabulary_size < least:
        raise DataError(
            f"vocabulary_size {vocabulary_size} is too small: give {least} or more, usually a few thousand."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # A word begins with the space before it, and so does the mask that stands for one.
    added = [AddedToken(token, lstrip=token == special_tokens.get("mask"), special=True) for token in special]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size, special_tokens=added, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    if "cls" in special_tokens:
        cls, sep = special_tokens["cls"], special_tokens["sep"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
        )
    # A special token that is written out in a text is text.
    tokenizer.encode_special_tokens = True
    return tokenizer


def ids_of(
    tokenizer: Tokenizer, special_tokens: dict[str, str], name: str | os.PathLike[str]
) -> dict[str, int]:
    """Return the ids of special tokens by role; those that the tokenizer lacks are left out.

    Raises:
        DataError: if there is no padding token; `name` is the tokenizer's in the message.
    """
    found = {role: tokenizer.token_to_id(token) for role, token in special_tokens.items()}
    found = {role: number for role, number in found.items() if number is not None}
    if "pad" not in found:
        raise DataError(f"{name} has no padding token such as {BERT_TOKENS['pad']}.")
    return found


def encode_texts(
    tokenizer: Tokenizer, texts: Sequence[str | tuple[str, str]], max_tokens: int
) -> list[list[int]]:
    """Return the token ids of texts, or pairs, with special tokens, truncated to `max_tokens`.

    Of a pair the longer text is truncated.
    """
    tokenizer.enable_truncation(max_tokens)
    try:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
    finally:
        tokenizer.no_truncation()


def encode_stream(
    tokenizer: Tokenizer, texts: Sequence[str], separator: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all texts, (N,) int32, with `separator` after each, and where words begin, bool."""
    ids, starts = zip(*_pieces(tokenizer, texts, separator), strict=True)
    return np.concatenate(ids), np.concatenate(starts)


def _pieces(tokenizer, texts, separator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for first in range(0, len(texts), _AT_ONCE):
        for encoding in tokenizer.encode_batch(texts[first : first + _AT_ONCE], add_special_tokens=False):
            words = np.array([*encoding.word_ids, -1], int)
            yield np.array([*encoding.ids, separator], np.int32), np.diff(words, prepend=-2) != 0
