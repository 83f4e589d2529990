"""Convert tokenizers of other libraries to those of runs and bundles."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models

from keras_attn.data.text_vectorization import check_one_id_a_word, text_vectorization_tokenizer
from keras_attn.data.tokenizer import load_tokenizer
from keras_attn.device.text.tokenizer import EncoderTokenizer, PromptTokenizer, Tokenizer
from keras_attn.errors import ArgumentError, ArgumentTypeError
from keras_attn.pretrained.tokenizers.tokenizer_json import unknown_id

# Usual names of special tokens, the most frequent first.
SPECIAL_NAMES = {
    "pad": ("<pad>", "[PAD]", "<|endoftext|>"),
    "start": ("<bos>", "<s>", "[START]", "[BOS]", "[CLS]", "<|endoftext|>"),
    "end": ("<eos>", "</s>", "[END]", "[EOS]", "[SEP]", "<|endoftext|>"),
    "unknown": ("<unk>", "[UNK]", "<|endoftext|>"),
    "mask": ("[MASK]", "<mask>"),
}


def as_tokenizer(tokenizer: Any, task: str = "translation", **special_tokens: str | int | None) -> Tokenizer:
    """Convert a tokenizer to the one that a model is evaluated and exported with.

    Args:
        tokenizer: a `tokenizers.Tokenizer`, the path of a `tokenizer.json`, a KerasHub `BertTokenizer`,
            `DistilBertTokenizer`, `ElectraTokenizer`, `GPT2Tokenizer` or `RobertaTokenizer`, or an adapted
            `keras.layers.TextVectorization` of the output mode `"int"`, without n-grams and functions of
            one's own; its `output_sequence_length` is not part of a tokenizer. One of `keras_attn.device` is
            returned as it is.
        task: `"translation"` for a `Tokenizer`, `"generation"` for a `PromptTokenizer`; an `EncoderTokenizer`
            for `"classification"`, `"embedding"`, `"masked-lm"` and `"next-sentence"`.
        **special_tokens: `pad`, `start`, `end`, `unknown` and `mask`, each a token or its id; by default
            those with usual names, such as `"<pad>"` or `"[PAD]"`. An encoder's start and end are those that
            the tokenizer itself puts around a text.

    Raises:
        ArgumentTypeError: if the tokenizer is of another type.
        ArgumentError: if one of its options cannot be reproduced, or a special token is missing.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    unknown_roles = special_tokens.keys() - SPECIAL_NAMES.keys()
    if unknown_roles:
        raise ArgumentTypeError(f"special tokens are {', '.join(SPECIAL_NAMES)}, not {min(unknown_roles)}")
    raw = _raw(tokenizer)
    found = {role: _id_of(raw, role, special_tokens.get(role)) for role in SPECIAL_NAMES}
    if task == "translation":
        return Tokenizer(raw, _complete(found))
    if task == "generation":
        # A language model needs only the end token.
        by_default = dict.fromkeys(found, found["end"])
        return PromptTokenizer(raw, _complete({**by_default, **_known(found)}))
    return _encoder(raw, found, task)


def _raw(tokenizer: Any) -> RawTokenizer:
    if isinstance(tokenizer, RawTokenizer):
        return tokenizer
    if isinstance(tokenizer, str | os.PathLike):
        return load_tokenizer(tokenizer)
    names = {each.__name__ for each in type(tokenizer).__mro__}
    if "TextVectorization" in names:
        return _from_text_vectorization(tokenizer)
    if hasattr(tokenizer, "save_to_preset"):
        from keras_attn.pretrained.tokenizers.kerashub import load_preset_tokenizer

        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save_to_preset(folder)
            return load_preset_tokenizer(Path(folder))
    raise ArgumentTypeError(
        f"`tokenizer` is a {type(tokenizer).__name__}: give a tokenizers.Tokenizer, the path of a "
        "tokenizer.json, a KerasHub tokenizer, or a keras.layers.TextVectorization"
    )


def _from_text_vectorization(layer: Any) -> RawTokenizer:
    check_one_id_a_word(layer)
    return text_vectorization_tokenizer(layer)


def _id_of(raw: RawTokenizer, role: str, given: str | int | None) -> int | None:
    if isinstance(given, int):
        return given
    names = SPECIAL_NAMES[role] if given is None else (given,)
    found = next((name for name in names if raw.token_to_id(name) is not None), None)
    if found is not None:
        return raw.token_to_id(found)
    if given is not None:
        raise ArgumentError(f"the tokenizer has no token {given!r}, which `{role}` names")
    if isinstance(raw.model, models.WordLevel) and role == "pad" and raw.token_to_id("") == 0:
        return 0  # TextVectorization's
    return None


def _known(found: dict[str, int | None]) -> dict[str, int]:
    return {role: number for role, number in found.items() if number is not None}


def _complete(found: dict[str, int | None]) -> dict[str, int]:
    missing = [role for role, number in found.items() if number is None and role != "mask"]
    if missing:
        named = ", ".join(f"{role}=..." for role in missing)
        raise ArgumentError(
            f"the tokenizer has no special token for {', '.join(missing)} under a usual name: name it by "
            f"`as_tokenizer(tokenizer, task, {named})`"
        )
    return _known({role: number for role, number in found.items() if role != "mask"})


def _encoder(raw: RawTokenizer, found: dict[str, int | None], task: str) -> EncoderTokenizer:
    enclosing = raw.encode("").ids
    if len(enclosing) > 2:
        raise ArgumentError(
            f"the tokenizer must put none or two special tokens around a text, not {len(enclosing)}"
        )
    if len(enclosing) == 1 and raw.encode("a").ids[-1:] != enclosing:
        raise ArgumentError("the tokenizer must put its only special token behind a text, not before it")
    known = _known(found)
    pad = known.get("pad", 0)
    # If texts are not enclosed, start and end are never read.
    start, end = (enclosing[0], enclosing[-1]) if enclosing else (pad, pad)
    unknown = unknown_id(raw)
    special = {"pad": pad, "start": start, "end": end, "unknown": end if unknown is None else unknown}
    added = {number for number, token in raw.get_added_tokens_decoder().items() if token.special}
    if known.get("mask") in added:
        special["mask"] = known["mask"]
    return EncoderTokenizer(raw, special, written_specials=task == "masked-lm")
