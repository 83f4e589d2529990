"""A lossless subword tokenizer: byte-pair encoding over `▁`-marked words, with byte fallback.

    normalizer      Prepend("▁")                     one mark in front of the text, always exactly one
    pre-tokenizer   Metaspace("▁", never), Digits    words start with their mark; every digit is a word
    model           BPE with byte fallback           Sennrich et al. 2016, arXiv:1508.07909
    decoder         ▁ to space, bytes to text, fuse, drop the first space

`decode(encode(text)) == text` for every text without a literal `▁` (U+2581).
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from keras_attn.data.errors import DataError
from keras_attn.device.files.atomic_write import write_text
from keras_attn.errors import ArgumentError

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>")
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))

_MARK = "▁"
_RESERVED = len(SPECIAL_TOKENS) + len(BYTE_TOKENS)


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Train a tokenizer on `texts` (for a joint vocabulary: the texts of both sides, one after the other).

    The same texts give the same tokenizer. `vocabulary_size` counts everything: four special tokens, 256
    byte tokens, the alphabet and the merges; a small corpus may run out of merges earlier. Characters that
    occur once, or beyond half of the remaining entries, are encoded as bytes: so a large script does not fill
    the vocabulary with characters too rare to learn, and the bytes are trained.

    Raises:
        DataError: if there is no text, or `vocabulary_size` leaves no ids besides special and byte tokens.
    """
    room = vocabulary_size - _RESERVED
    if room < 2:
        raise DataError(
            f"vocabulary_size {vocabulary_size} is too small: {_RESERVED} entries are special and byte "
            f"tokens, so give at least {_RESERVED + 2} (usually a few thousand)."
        )
    texts = list(texts)
    alphabet = _alphabet(texts, limit=room // 2)
    if not alphabet:
        raise DataError("The tokenizer needs text to learn from, but every text is empty.")
    tokenizer = _untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[*SPECIAL_TOKENS, *BYTE_TOKENS],
        # With exactly this many initial characters the trainer drops all others. Left to choose by itself, it
        # breaks ties in the order of a hash table, and two runs could differ.
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer, length=len(texts))
    layout = json.loads(tokenizer.to_str())
    # The trainer can only reserve the bytes as special tokens. As such they would be recognised in the text
    # (a written "<0x41>" would become an A) and dropped by decode; only in the model's vocabulary are they
    # neither.
    layout["added_tokens"] = [token for token in layout["added_tokens"] if token["content"] in SPECIAL_TOKENS]
    return _from_layout(layout)


def save_tokenizer(tokenizer: Tokenizer, path: str | os.PathLike[str]) -> None:
    """Write `tokenizer.json` atomically: no reader sees an incomplete file."""
    write_text(path, tokenizer.to_str(pretty=True))


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Read a `tokenizer.json`, with special tokens written in a text taken for text.

    `Tokenizer.from_file` reads the same file, but takes a written `<eos>` for the end of the sentence: this
    option is not part of the file format.

    Raises:
        DataError: if the file is missing or is not a tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_str(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"There is no tokenizer at {path}.") from None
    except Exception as error:  # the library raises plain Exception
        raise DataError(f"{path} is not a readable tokenizer.json: {error}") from error
    tokenizer.encode_special_tokens = True
    return tokenizer


def with_dropout(tokenizer: Tokenizer, p: float) -> Tokenizer:
    """Return a copy that skips each merge with probability `p` (BPE-dropout, Provilkov et al. 2020,
    arXiv:1910.13267).

    The library's generator is not seeded, so encodings of one text differ, also between runs.

    Raises:
        ArgumentError: if `p` is not a probability.
    """
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"BPE-dropout must be between 0 and 1, not {p}.")
    layout = json.loads(tokenizer.to_str())
    layout["model"]["dropout"] = float(p) if p else None
    return _from_layout(layout)


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the ids of padding, start, end and unknown, by the names that run folders and bundles use.

    Raises:
        DataError: if the tokenizer lacks one of them.
    """
    ids = {}
    for role, token in zip(("pad", "start", "end", "unknown"), SPECIAL_TOKENS, strict=True):
        token_id = tokenizer.token_to_id(token)
        if token_id is None:
            raise DataError(f"The tokenizer has no special token {token}.")
        ids[role] = token_id
    return ids


def encode_pairs(tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
    """Return the token ids of (source, target) pairs, without start and end: batches add those."""
    sources = tokenizer.encode_batch_fast([source for source, _ in pairs], add_special_tokens=False)
    targets = tokenizer.encode_batch_fast([target for _, target in pairs], add_special_tokens=False)
    return [(source.ids, target.ids) for source, target in zip(sources, targets, strict=True)]


def _untrained() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Prepend(_MARK)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=_MARK, prepend_scheme="never", split=True),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(_MARK, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def _from_layout(layout: dict) -> Tokenizer:
    tokenizer = Tokenizer.from_str(json.dumps(layout, ensure_ascii=False))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _alphabet(texts: Sequence[str], limit: int) -> list[str]:
    """Return the `limit` most frequent characters that occur at least twice."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    if not counts:
        return []
    del counts[" "]
    counts[_MARK] = len(texts) + 1  # every text starts with one, so it is always kept
    by_frequency = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [character for character, count in by_frequency if count > 1 and character != _MARK]
    return [_MARK, *kept[: limit - 1]]
