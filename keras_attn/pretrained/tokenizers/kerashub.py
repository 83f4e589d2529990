"""Tokenizers of KerasHub's presets, as `tokenizers.Tokenizer` of the same ids."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from keras_attn.pretrained.checkpoint import read_json
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.tokenizers.kerashub_pieces import ENCLOSING, sentence_pieces

CONFIG = "tokenizer.json"
ASSETS = "assets/tokenizer"
WORD_PIECES, BYTE_PAIRS = "vocabulary.txt", ("vocabulary.json", "merges.txt")
BERT_CLASSES = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer")
# Special tokens of byte pairs: around a text, if there are such, and all.
BYTE_PAIR_SPECIAL = {
    "GPT2Tokenizer": ((), ("<|endoftext|>",)),
    "RobertaTokenizer": (("<s>", "</s>"), ("<s>", "</s>", "<pad>", "<mask>")),
}
CLASSES = (*BERT_CLASSES, *BYTE_PAIR_SPECIAL, *ENCLOSING)
# Options that change no id, and options with a single supported value.
HARMLESS = {"name", "trainable", "dtype", "config_file", "special_tokens_in_strings"}
ONLY: dict[str, Any] = {
    **dict.fromkeys(("vocabulary", "merges", "sequence_length", "special_tokens")),
    "split": True,
    "split_on_cjk": True,
    "add_bos": False,
    "add_eos": False,
}
COMPUTED = {
    **dict.fromkeys(BERT_CLASSES, ("lowercase", "strip_accents", "suffix_indicator", "oov_token")),
    **dict.fromkeys(BYTE_PAIR_SPECIAL, ("add_prefix_space",)),
    **dict.fromkeys(ENCLOSING, ()),
}
BERT_SPECIAL = ("[CLS]", "[SEP]", "[PAD]", "[MASK]")
# What separates words, what is a word of its own, and a temporary separator.
SPACES = r"[ \t\n\r\f]|\p{Cc}|\p{Cf}"
PUNCTUATION = r"[!-/:-@\[-`{-~]|\p{P}"
IDEOGRAPHS = (
    r"[\u4E00-\u9FFF\u3400-\u4DBF\uF900-\uFAFF\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}\x{2B740}-\x{2B81F}"
    r"\x{2B820}-\x{2CEAF}\x{2F800}-\x{2FA1F}]"
)
SEPARATOR = "\x01"
IGNORABLE = (
    r"[\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u202A-\u202E\u2060-\u206F\u3164"
    r"\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFF8\x{1BCA0}-\x{1BCA3}\x{1D173}-\x{1D17A}\x{E0000}-\x{E0FFF}]"
)


def load_preset_tokenizer(folder: Path) -> Tokenizer:
    """Build the tokenizer of a preset's folder.

    KerasHub takes a word of more than 100 bytes for unknown; here the limit is 100 characters.

    Raises:
        PretrainedError: if the folder has none, or its class or an option is not known, one line for each.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise PretrainedError(f"{folder} is a KerasHub preset without a tokenizer: {CONFIG} is missing.")
    given = read_json(path)
    name = str(given.get("registered_name")).removeprefix("keras_hub>")
    if name not in CLASSES:
        raise PretrainedError(f"{path}: {name} is not a tokenizer that is known, only {', '.join(CLASSES)}.")
    options = {name: value for name, value in (given.get("config") or {}).items() if value is not None}
    problems = [
        f"option {option}={value!r} is not supported"
        for option, value in options.items()
        if option not in HARMLESS
        and option not in COMPUTED[name]
        and not (option in ONLY and value == ONLY[option])
        and not (
            option == "unsplittable_tokens" and set(value) == set(BYTE_PAIR_SPECIAL.get(name, ((), ()))[1])
        )
    ]
    if problems:
        raise PretrainedError("\n  ".join([f"{path}: the tokenizer is not supported:", *problems]))
    if name in BERT_CLASSES:
        return _word_pieces(folder / ASSETS, options)
    if name in ENCLOSING:
        return sentence_pieces(folder / ASSETS, name)
    return _byte_pairs(folder / ASSETS, options, *BYTE_PAIR_SPECIAL[name])


def _word_pieces(assets: Path, options: Mapping[str, Any]) -> Tokenizer:
    path = assets / WORD_PIECES
    if not path.is_file():
        raise PretrainedError(f"{path} is missing.")
    lines = path.read_text(encoding="utf-8").split("\n")
    vocabulary = {line.rstrip(): number for number, line in enumerate(lines[: -1 if not lines[-1] else None])}
    unknown = options.get("oov_token", "[UNK]")
    lacking = [token for token in (unknown, *BERT_SPECIAL) if token not in vocabulary]
    if lacking:
        raise PretrainedError(f"{path} lacks the special tokens {', '.join(lacking)}.")
    suffix = options.get("suffix_indicator", "##")
    tokenizer = Tokenizer(
        models.WordPiece(
            vocabulary, unk_token=unknown, continuing_subword_prefix=suffix, max_input_chars_per_word=100
        )
    )
    tokenizer.normalizer = normalizers.Sequence(_normalizers(options))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(SEPARATOR, "removed")
    tokenizer.decoder = decoders.WordPiece(prefix=suffix)
    start, end = BERT_SPECIAL[:2]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start}:0 $A:0 {end}:0",
        pair=f"{start}:0 $A:0 {end}:0 $B:1 {end}:1",
        special_tokens=[(token, vocabulary[token]) for token in (start, end)],
    )
    tokenizer.add_special_tokens([AddedToken(token) for token in (unknown, *BERT_SPECIAL)])
    return tokenizer


def _normalizers(options: Mapping[str, Any]) -> list[normalizers.Normalizer]:
    """Return the normalization steps, which put separators between words."""
    steps: list[normalizers.Normalizer] = []
    if options.get("strip_accents"):
        steps += [normalizers.NFD(), normalizers.Replace(Regex(r"\p{Mn}"), "")]
    # A separator comes first: the library cannot insert at the very beginning of a text.
    steps += [
        normalizers.Prepend(SEPARATOR),
        normalizers.Replace(Regex(SPACES), SEPARATOR),
        normalizers.Replace(Regex(f"(?={PUNCTUATION}|{IDEOGRAPHS})"), SEPARATOR),
        normalizers.Replace(Regex(f"(?<={PUNCTUATION}|{IDEOGRAPHS})"), SEPARATOR),
    ]
    if options.get("lowercase"):
        steps += [normalizers.NFKC(), normalizers.Lowercase()]
        steps += [normalizers.Replace(one, folded) for one, folded in _foldings()]
        steps += [normalizers.NFKC(), normalizers.Replace(Regex(IGNORABLE), "")]
    return steps


def _foldings() -> list[tuple[str, str]]:
    """Return the lower-case letters that Unicode's case folding changes, such as ß."""
    letters = (chr(code) for code in range(0x80, 0x20000) if not 0xD800 <= code < 0xE000)
    return [
        (letter, letter.casefold())
        for letter in letters
        if letter.casefold() != letter == letter.lower() == unicodedata.normalize("NFKC", letter)
    ]


def _byte_pairs(
    assets: Path, options: Mapping[str, Any], around: Sequence[str], special: Sequence[str]
) -> Tokenizer:
    missing = [name for name in BYTE_PAIRS if not (assets / name).is_file()]
    if missing:
        raise PretrainedError(f"{assets} lacks {', '.join(missing)}.")
    vocabulary = json.loads((assets / BYTE_PAIRS[0]).read_text(encoding="utf-8"))
    lines = (assets / BYTE_PAIRS[1]).read_text(encoding="utf-8").split("\n")
    pairs = [line.partition(" ") for line in lines if line and "#version:" not in line]
    lacking = [token for token in special if token not in vocabulary]
    if lacking:
        raise PretrainedError(f"{assets / BYTE_PAIRS[0]} lacks the special tokens {', '.join(lacking)}.")
    try:
        tokenizer = Tokenizer(models.BPE(vocabulary, [(first, second) for first, _, second in pairs]))
    except Exception as error:  # the library raises plain Exception
        raise PretrainedError(f"{assets}: the merges do not fit the vocabulary: {error}.") from error
    prefix = options.get("add_prefix_space", False)
    # KerasHub 0.32 does not cut a text into words first; GPT-2's merges do not reach across them anyway.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    if around:
        start, end = around
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A {end}",
            pair=f"{start} $A {end} {end} $B {end}",
            special_tokens=[(token, vocabulary[token]) for token in around],
        )
    tokenizer.add_special_tokens([AddedToken(token) for token in special])
    return tokenizer
