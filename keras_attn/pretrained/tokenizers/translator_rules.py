"""The rules of the tokenizers of translators: BART, mBART, NLLB, PEGASUS and T5; see `class_rules`.

A multilingual tokenizer puts the source's language around a text; `languages` says where.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors

from keras_attn.pretrained.tokenizers import class_rules
from keras_attn.pretrained.tokenizers.class_rules import ClassRule, Parts, Rows, spaced
from keras_attn.pretrained.tokenizers.language_names import MBART, MBART_50, NLLB

LANGUAGE_OPTIONS: dict[str, type] = {"src_lang": str, "tgt_lang": str}
TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
# PEGASUS's token for a whole sentence.
MASKED_SENTENCE = "<mask_1>"
# Two or more spaces are one.
_ONE_SPACE = normalizers.Replace(Regex(" {2,}"), " ")


def _charsmap(charsmap: bytes | None) -> list[normalizers.Normalizer]:
    return [normalizers.Precompiled(charsmap)] if charsmap else []


def _mbart_pieces(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """mBART's pieces (Liu et al., 2020, arXiv:2001.08210), without SentencePiece's rules for characters."""
    return spaced({}, [], [pre_tokenizers.WhitespaceSplit()], "always")


def _mbart_50_pieces(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """mBART-50's pieces (Tang et al., 2020, arXiv:2008.00401)."""
    return spaced({}, [*_charsmap(charsmap), _ONE_SPACE], [], "always")


def _nllb_pieces(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """NLLB's pieces (Costa-jussà et al., 2022, arXiv:2207.04672)."""
    return spaced({}, [*_charsmap(charsmap), _ONE_SPACE] if charsmap else [], [], "always")


def _pegasus_pieces(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """PEGASUS's pieces (Zhang et al., 2020, arXiv:1912.08777)."""
    lines = [normalizers.Replace(Regex(r"\n"), " ")]
    return spaced({}, [*(_charsmap(charsmap) or lines), _ONE_SPACE], [], "always")


def _t5_pieces(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """T5's pieces (Raffel et al., 2020, arXiv:1910.10683)."""
    return spaced({}, _charsmap(charsmap), [pre_tokenizers.WhitespaceSplit()], "always")


def _around(before: list[str], after: list[str], tokenizer: Tokenizer) -> processors.PostProcessor:
    """Return what puts tokens around a text.

    Raises:
        LookupError: if the tokenizer lacks one.
    """
    numbers = []
    for token in dict.fromkeys([*before, *after]):
        number = tokenizer.token_to_id(token)
        if number is None:
            raise LookupError(repr(token))
        numbers.append((token, number))
    return processors.TemplateProcessing(
        single=[*before, "$A", *after], pair=[*before, "$A", "$B", *after], special_tokens=numbers
    )


def _language_first(default: str) -> Any:
    def template(tokenizer: Tokenizer, tokens: Mapping[str, str], values: Mapping[str, Any]) -> Any:
        source, end = values.get("src_lang", default), tokens["eos_token"]
        if values.get("legacy_behaviour"):
            return _around([], [end, source], tokenizer)
        return _around([source], [end], tokenizer)

    return template


def _language_last(tokenizer: Tokenizer, tokens: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    return _around([], [tokens["eos_token"], values.get("src_lang", "en_XX")], tokenizer)


def _ended(tokenizer: Tokenizer, tokens: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    return _around([], [tokens["eos_token"]], tokenizer)


def _each_ended(tokenizer: Tokenizer, tokens: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    end = tokens["eos_token"]
    number = tokenizer.token_to_id(end)
    if number is None:
        raise LookupError(repr(end))
    return processors.TemplateProcessing(
        single=["$A", end], pair=["$A", end, "$B", end], special_tokens=[(end, number)]
    )


def _four(tokens: Mapping[str, str]) -> Rows:
    return [(tokens[f"{role}_token"], 0.0) for role in ("bos", "pad", "eos", "unk")]


def _with_languages(languages: tuple[str, ...]) -> Any:
    def rows(rows: Rows, tokens: Mapping[str, str]) -> Rows:
        """Put four symbols for SentencePiece's three, and languages and mask behind the pieces."""
        return [
            *_four(tokens),
            *rows[3:],
            *((language, 0.0) for language in languages),
            (tokens["mask_token"], 0.0),
        ]

    return rows


def _nllb_rows(rows: Rows, tokens: Mapping[str, str]) -> Rows:
    """Put four symbols before all other pieces."""
    first = _four(tokens)
    known = {text for text, _ in first}
    return [*first, *(row for row in rows if row[0] not in known)]


def _pegasus_rows(rows: Rows, tokens: Mapping[str, str]) -> Rows:
    """Put PEGASUS's tokens of pre-training between SentencePiece's first two symbols and the other pieces."""
    first = [tokens["pad_token"], tokens["eos_token"], tokens["mask_token"], MASKED_SENTENCE]
    return [
        *((token, 0.0) for token in first),
        *((f"<unk_{number}>", -100.0) for number in range(2, 103)),
        *rows[2:],
    ]


RULES = {
    **class_rules.RULES,
    "BartTokenizer": class_rules.RULES["RobertaTokenizer"],
    "MBartTokenizer": ClassRule(
        "Unigram",
        ("sentencepiece.bpe.model",),
        TOKENS,
        _mbart_pieces,
        _language_last,
        options=LANGUAGE_OPTIONS,
        takes_spaces=("mask_token",),
        further=MBART,
        keeps_further=True,
        rows=_with_languages(MBART),
        unknown_id=3,
    ),
    "MBart50Tokenizer": ClassRule(
        "Unigram",
        ("sentencepiece.bpe.model",),
        TOKENS,
        _mbart_50_pieces,
        _language_first("en_XX"),
        options=LANGUAGE_OPTIONS,
        takes_spaces=("mask_token",),
        further=MBART_50,
        keeps_further=True,
        rows=_with_languages(MBART_50),
        unknown_id=3,
    ),
    "NllbTokenizer": ClassRule(
        "BPE",
        ("sentencepiece.bpe.model",),
        TOKENS,
        _nllb_pieces,
        _language_first("eng_Latn"),
        options={**LANGUAGE_OPTIONS, "legacy_behaviour": bool},
        takes_spaces=("mask_token",),
        further=NLLB,
        keeps_further=True,
        rows=_nllb_rows,
        model_options={"fuse_unk": True},
    ),
    **dict.fromkeys(
        ("T5Tokenizer", "MT5Tokenizer"),
        ClassRule(
            "Unigram",
            ("spiece.model",),
            {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
            _t5_pieces,
            _each_ended,
            options={"extra_ids": int},
            keeps_further=True,
            unknown_id=2,
            sentinels=100,
        ),
    ),
    "PegasusTokenizer": ClassRule(
        "Unigram",
        ("spiece.model",),
        {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask_2>"},
        _pegasus_pieces,
        _ended,
        options={"offset": int, "mask_token_sent": str},
        further=(MASKED_SENTENCE, *(f"<unk_{number}>" for number in range(2, 103))),
        keeps_further=True,
        rows=_pegasus_rows,
    ),
}
