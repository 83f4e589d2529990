"""What a translator's texts begin and end with, by the rule of its tokenizer's class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from keras_attn.device.text.text_template import SOURCE, TARGET, TextTemplate
from keras_attn.pretrained.checkpoint import read_json
from keras_attn.pretrained.tokenizers.language_names import MBART, MBART_50
from keras_attn.pretrained.tokenizers.m2m100 import is_m2m100, is_small100, language_ids, m2m100_options
from keras_attn.pretrained.tokenizers.tokenizer_json import rule_of
from keras_attn.pretrained.tokenizers.tokenizer_options import OPTIONS

_NLLB = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
# The source language of each class if tokenizer_config.json names none.
_USUAL_SOURCE = {"NllbTokenizer": "eng_Latn", "MBart50Tokenizer": "en_XX", "MBartTokenizer": "en_XX"}


def read_text_template(folder: Path, tokenizer: Tokenizer, options: Mapping[str, Any]) -> TextTemplate:
    """Return the tokens around a folder's texts.

    Args:
        folder: the checkpoint's.
        tokenizer: its tokenizer.
        options: its `search_options`.
    """
    start, end, first = options["start_id"], options["end_id"], options["first_id"]
    given = read_json(folder / OPTIONS) if (folder / OPTIONS).is_file() else {}
    named = given.get("src_lang"), given.get("tgt_lang")
    if is_m2m100(folder):
        languages = language_ids(folder, tokenizer)
        if is_small100(folder):
            return TextTemplate((TARGET,), (end,), start, first, languages, default_target=named[1])
        given = m2m100_options(folder).values
        source = given.get("src_lang", "en")
        target = given.get("tgt_lang") or _code_of(first, languages)
        return TextTemplate((SOURCE,), (end,), start, TARGET, languages, source, target)
    name = rule_of(folder)
    if name not in _USUAL_SOURCE:
        alone = tokenizer.encode("").ids
        number = alone.index(end) if end in alone else len(alone)
        return TextTemplate((*alone[:number],), (*(alone[number:] or [end]),), start, first)
    languages = _languages(name, tokenizer)
    source = named[0] or _USUAL_SOURCE[name]
    if name == "MBartTokenizer" and (start in languages.values() or first is None):
        target = named[1] or _code_of(start, languages)
        return TextTemplate((), (end, SOURCE), TARGET, first, languages, source, target)
    target = named[1] or _code_of(first, languages)
    behind = name == "MBartTokenizer" or given.get("legacy_behaviour", False)
    before, after = ((), (end, SOURCE)) if behind else ((SOURCE,), (end,))
    return TextTemplate(before, after, start, TARGET, languages, source, target)


def _languages(name: str, tokenizer: Tokenizer) -> dict[str, int]:
    if name == "NllbTokenizer":
        added = tokenizer.get_added_tokens_decoder()
        found = {token.content: number for number, token in sorted(added.items()) if token.special}
        return {code: number for code, number in found.items() if _NLLB.fullmatch(code)}
    known = MBART_50 if name == "MBart50Tokenizer" else MBART
    numbers = ((code, tokenizer.token_to_id(code)) for code in known)
    return {code: number for code, number in numbers if number is not None}


def _code_of(number: int | None, languages: Mapping[str, int]) -> str | None:
    return next((code for code, each in languages.items() if each == number), None)
