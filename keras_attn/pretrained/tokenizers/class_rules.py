"""The rules by which transformers' tokenizer classes build a tokenizer from a vocabulary.

A class takes nothing else from tokenizer.json but the vocabulary, SentencePiece's rules for characters, and
the added tokens. Here each is one entry of `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors

from keras_attn.pretrained.tokenizers.sentencepiece_rules import SPACE

Rows = list[tuple[str, float]]
"""Pieces of a unigram model with their scores, by id."""
Parts = tuple[normalizers.Normalizer | None, pre_tokenizers.PreTokenizer, decoders.Decoder]


@dataclass(frozen=True)
class ClassRule:
    """How one class makes a tokenizer.

    Attributes:
        model: kind of the model: "WordPiece", "BPE" or "Unigram".
        files: the vocabulary files that stand for a tokenizer.json.
        tokens: special tokens by role, in the order in which missing ones are added.
        parts: makes normalizer, pre-tokenizer and decoder from the options and the rules for characters.
        template: makes the post-processor from the special tokens' contents.
        options: the options that are read, with the types of their values.
        takes_spaces: roles whose tokens include the spaces before them, where they are given as text only.
        further: special tokens beside those of the roles, if tokenizer_config.json lists none.
        keeps_further: whether those are added to a SentencePiece model's own symbols, too.
        rows: makes the vocabulary of a SentencePiece model's pieces.
        unknown_id: the id of the unknown piece; `None` for that of the unknown token.
        sentinels: how many tokens `<extra_id_N>` follow the pieces, unless the option `extra_ids` says so.
        model_options: further arguments of a model of pairs, which then has the unknown token.
    """

    model: str
    files: tuple[str, ...]
    tokens: Mapping[str, str]
    parts: Callable[[Mapping[str, Any], bytes | None], Parts]
    template: Callable[[Tokenizer, Mapping[str, str], Mapping[str, Any]], processors.PostProcessor]
    options: Mapping[str, type] = field(default_factory=dict)
    takes_spaces: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    keeps_further: bool = False
    rows: Callable[[Rows, Mapping[str, str]], Rows] = lambda rows, tokens: rows
    unknown_id: int | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)
    sentinels: int = 0


def bert_normalizer(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of BERT's normalizer, from the options of its tokenizer."""
    return {
        "clean_text": True,
        "handle_chinese_chars": values.get("tokenize_chinese_chars", True),
        "strip_accents": values.get("strip_accents"),
        "lowercase": values.get("do_lower_case", True),
    }


def _word_pieces(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """BERT's words (Devlin et al., 2019)."""
    normalizer = normalizers.BertNormalizer(**bert_normalizer(values))
    return normalizer, pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()


def _byte_pairs(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """GPT-2's words (Radford et al., 2019, section 2.2)."""
    prefix = values.get("add_prefix_space", False)
    return None, pre_tokenizers.ByteLevel(add_prefix_space=prefix), decoders.ByteLevel()


def spaced(
    values: Mapping[str, Any],
    steps: Sequence[normalizers.Normalizer],
    first: Sequence[pre_tokenizers.PreTokenizer],
    without: str,
) -> Parts:
    """Split at spaces, which become part of the pieces behind them."""
    scheme = "always" if values.get("add_prefix_space", True) else without
    metaspace = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    return (
        normalizers.Sequence(list(steps)) if steps else None,
        pre_tokenizers.Sequence([*first, metaspace]),
        decoders.Metaspace(replacement=SPACE, prepend_scheme=scheme),
    )


def _pieces(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """XLM-RoBERTa's pieces (Conneau et al., 2020, arXiv:1911.02116)."""
    steps = [normalizers.Precompiled(charsmap)] if charsmap else []
    return spaced(values, steps, [pre_tokenizers.WhitespaceSplit()], "never")


def _albert_pieces(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """ALBERT's pieces, without accents and upper case."""
    steps: list[normalizers.Normalizer] = [normalizers.Replace(each, '"') for each in ("``", "''")]
    if not values.get("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if values.get("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    if charsmap:
        steps.append(normalizers.Precompiled(charsmap))
    return spaced(values, steps, [pre_tokenizers.WhitespaceSplit()], "never")


def _deberta_pieces(values: Mapping[str, Any], charsmap: bytes | None) -> Parts:
    """DeBERTa's pieces, to which SentencePiece's own rules for characters do not apply."""
    steps: list[normalizers.Normalizer] = [normalizers.Lowercase()] if values.get("do_lower_case") else []
    steps += [
        normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
        normalizers.NFC(),
        normalizers.Strip(left=False, right=True),
    ]
    marks = [pre_tokenizers.Punctuation(behavior="isolated")] if values.get("split_by_punct") else []
    return spaced(values, steps, marks, "first")


def _id_of(tokenizer: Tokenizer, token: str) -> int:
    """Return the id of a special token; a missing one has been added before."""
    found = tokenizer.token_to_id(token)
    assert found is not None
    return found


def _segments(tokenizer: Tokenizer, tokens: Mapping[str, str], values: Any) -> processors.PostProcessor:
    """`[CLS] A [SEP] B [SEP]`, with a segment for each text."""
    start, end = tokens["cls_token"], tokens["sep_token"]
    return processors.TemplateProcessing(
        single=f"{start}:0 $A:0 {end}:0",
        pair=f"{start}:0 $A:0 {end}:0 $B:1 {end}:1",
        special_tokens=[(token, _id_of(tokenizer, token)) for token in (start, end)],
    )


def _doubled(tokenizer: Tokenizer, tokens: Mapping[str, str], values: Any) -> processors.PostProcessor:
    """`<s> A </s> </s> B </s>`."""
    start, end = tokens["bos_token"], tokens["eos_token"]
    return processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} {end} $B {end}",
        special_tokens=[(token, _id_of(tokenizer, token)) for token in (start, end)],
    )


def _trimmed(
    tokenizer: Tokenizer, tokens: Mapping[str, str], values: Mapping[str, Any]
) -> processors.PostProcessor:
    """The same with positions of tokens in the text that leave out spaces."""
    start, end = tokens["cls_token"], tokens["sep_token"]
    return processors.RobertaProcessing(
        (end, _id_of(tokenizer, end)),
        (start, _id_of(tokenizer, start)),
        trim_offsets=values.get("trim_offsets", True),
        add_prefix_space=values.get("add_prefix_space", False),
    )


def _after_four(rows: Rows, tokens: Mapping[str, str]) -> Rows:
    """XLM-RoBERTa's ids: `<s> <pad> </s> <unk>`, the pieces behind SentencePiece's symbols, `<mask>`."""
    first = [(tokens[f"{role}_token"], 0.0) for role in ("bos", "pad", "eos", "unk")]
    return [*first, *rows[3:], (tokens["mask_token"], 0.0)]


def _after_five(rows: Rows, tokens: Mapping[str, str]) -> Rows:
    """CamemBERT's ids: fairseq's five symbols, the pieces behind `<unk>`, `<mask>`."""
    first = [
        ("<s>NOTUSED", 0.0),
        (tokens["pad_token"], 0.0),
        ("</s>NOTUSED", 0.0),
        (tokens["unk_token"], 0.0),
        ("<unk>NOTUSED", -100.0),
    ]
    return [*first, *rows[1:], (tokens["mask_token"], 0.0)]


_ROBERTA_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
_BRACKETED = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_PREFIX: dict[str, type] = {"add_prefix_space": bool}
RULES = {
    "RobertaTokenizer": ClassRule(
        "BPE",
        ("vocab.json", "merges.txt"),
        _ROBERTA_TOKENS,
        _byte_pairs,
        _trimmed,
        options={**_PREFIX, "trim_offsets": bool},
    ),
    "XLMRobertaTokenizer": ClassRule(
        "Unigram",
        ("sentencepiece.bpe.model",),
        _ROBERTA_TOKENS,
        _pieces,
        _doubled,
        options=_PREFIX,
        rows=_after_four,
        unknown_id=3,
    ),
    "CamembertTokenizer": ClassRule(
        "Unigram",
        ("sentencepiece.bpe.model",),
        _ROBERTA_TOKENS,
        _pieces,
        _doubled,
        options=_PREFIX,
        takes_spaces=("mask_token",),
        further=("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"),
        rows=_after_five,
    ),
    "MPNetTokenizer": ClassRule(
        "WordPiece",
        ("vocab.txt",),
        {**_ROBERTA_TOKENS, "unk_token": "[UNK]"},
        _word_pieces,
        lambda tokenizer, tokens, values: _trimmed(tokenizer, tokens, {}),
        options={"do_lower_case": bool, "strip_accents": bool, "tokenize_chinese_chars": bool},
        takes_spaces=("mask_token",),
    ),
    "AlbertTokenizer": ClassRule(
        "Unigram",
        ("spiece.model",),
        {**_BRACKETED, "unk_token": "<unk>", "pad_token": "<pad>"},
        _albert_pieces,
        _segments,
        options={**_PREFIX, "do_lower_case": bool, "keep_accents": bool},
        unknown_id=1,
    ),
    "DebertaV2Tokenizer": ClassRule(
        "Unigram",
        ("spm.model",),
        _BRACKETED,
        _deberta_pieces,
        _segments,
        options={**_PREFIX, "do_lower_case": bool, "split_by_punct": bool, "unk_id": int},
    ),
}


def special_tokens(
    rule: ClassRule, roles: Mapping[str, AddedToken], plain: frozenset[str]
) -> dict[str, AddedToken]:
    """Return the special tokens by role, in the order in which missing ones are added.

    Args:
        rule: the class.
        roles: those that the folder gives.
        plain: roles whose tokens it gives as text only.
    """
    found = {}
    for role, content in rule.tokens.items():
        given = roles.get(role)
        if given is None or role in plain:
            content = content if given is None else given.content
            given = AddedToken(content, special=True, lstrip=role in rule.takes_spaces)
        found[role] = given
    return found
