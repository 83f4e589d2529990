"""M2M100's tokenizer: a SentencePiece model over the vocabulary of vocab.json, and languages behind it.

SMaLL-100 has the same files. Pieces that vocab.json lacks have ids beyond the vocabulary: see `marian`.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, processors

from keras_attn.pretrained.checkpoint import CONFIG, read_json
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.tokenizers.language_names import M2M100, WMT21
from keras_attn.pretrained.tokenizers.marian import VOCABULARY, piece_tokenizer, read_vocabulary
from keras_attn.pretrained.tokenizers.sentencepiece_model import read_piece_model
from keras_attn.pretrained.tokenizers.tokenizer_options import (
    OPTIONS,
    TokenizerOptions,
    read_tokenizer_options,
)

PIECES = "sentencepiece.bpe.model"
CLASSES = ("M2M100Tokenizer", "SMALL100Tokenizer")
LANGUAGES = {"m2m100": M2M100, "wmt21": WMT21}
TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
}
# Options that are read, with the types of their values.
READ: dict[str, type] = {
    "src_lang": str,
    "tgt_lang": str,
    "language_codes": str,
    "num_madeup_words": int,
    "auto_map": dict,
}
# Tokens that only fill up the vocabulary.
FILLERS = 8


def is_m2m100(folder: Path) -> bool:
    """Return whether a folder has the files, and names no other class."""
    named = read_json(folder / OPTIONS).get("tokenizer_class") if (folder / OPTIONS).is_file() else None
    named = named or (read_json(folder / CONFIG).get("model_type") if (folder / CONFIG).is_file() else None)
    there = (folder / PIECES).is_file() and (folder / VOCABULARY).is_file()
    return there and named in (*CLASSES, "m2m_100", None)


def m2m100_options(folder: Path) -> TokenizerOptions:
    """Read the tokenizer's options.

    Raises:
        PretrainedError: if one is not known, or the list of languages is not.
    """
    options = read_tokenizer_options(folder, CLASSES, READ)
    kind = options.values.get("language_codes", "m2m100")
    if kind not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise PretrainedError(
            f"{folder / OPTIONS}: option language_codes={kind!r} is not supported (only {known})."
        )
    return options


def is_small100(folder: Path) -> bool:
    """Return whether a folder's source texts begin with the target's language, as SMaLL-100's do.

    Its class is in a file of its own (Mohammadshahi et al., 2022, arXiv:2210.11621).
    """
    named = read_json(folder / OPTIONS).get("tokenizer_class") if (folder / OPTIONS).is_file() else None
    return named == CLASSES[1] or (folder / "tokenization_small100.py").is_file()


def language_ids(folder: Path, tokenizer: Tokenizer) -> dict[str, int]:
    """Return the id of each language of a folder's tokenizer."""
    # In the tokenizer a space stands before a token that no text is split into.
    names = {code: language_token(code) for code in m2m100_languages(m2m100_options(folder))}
    found = {
        code: tokenizer.token_to_id(f" {name}") or tokenizer.token_to_id(name) for code, name in names.items()
    }
    return {code: number for code, number in found.items() if number is not None}


def language_token(code: str) -> str:
    """Return the token of a language."""
    return f"__{code}__"


def m2m100_languages(options: TokenizerOptions) -> tuple[str, ...]:
    """Return the codes of the languages, in the order of their ids."""
    return LANGUAGES[options.values.get("language_codes", "m2m100")]


def m2m100_tokenizer(folder: Path, known: int | None) -> Tokenizer:
    """Build the tokenizer; a text begins with its language, and ends with the end token.

    Args:
        folder: with sentencepiece.bpe.model and vocab.json.
        known: vocabulary size of the model, or `None`.

    Raises:
        PretrainedError: if a file is broken, or they do not fit each other or the model.
    """
    options = m2m100_options(folder)
    given = {role: token.content for role, token in options.roles.items() if role in TOKENS}
    special = {**TOKENS, **given}
    vocabulary = read_vocabulary(folder / VOCABULARY)
    lacking = sorted({token for token in special.values() if token not in vocabulary})
    if lacking:
        raise PretrainedError(f"{folder}: the vocabulary lacks the special tokens {', '.join(lacking)}.")
    languages = [language_token(code) for code in m2m100_languages(options)]
    if len(vocabulary) + len(languages) > (known or len(vocabulary) + len(languages)):
        raise PretrainedError(
            f"{folder}: the tokenizer has {len(vocabulary)} tokens and {len(languages)} languages, but the "
            f"model has only {known} tokens. Take tokenizer and model from the same folder."
        )
    size = known or len(vocabulary) + len(languages) + options.values.get("num_madeup_words", FILLERS)
    fillers = [f"<filler{number}>" for number in range(size - len(vocabulary) - len(languages))]
    pieces = read_piece_model(folder / PIECES)
    tokenizer = piece_tokenizer(pieces, [*vocabulary, *languages, *fillers], special, coded=False)
    # No text is split into these; named so, they are left out of decoded texts.
    unspoken = [tokenizer.id_to_token(len(vocabulary) + i) for i in range(len(languages) + len(fillers))]
    tokenizer.add_special_tokens([AddedToken(str(token), special=True) for token in unspoken])
    source, end = options.values.get("src_lang", "en"), special["eos_token"]
    if language_token(source) not in languages:
        raise PretrainedError(f"{folder / OPTIONS}: option src_lang={source!r} is not one of its languages.")
    begin = str(tokenizer.id_to_token(len(vocabulary) + languages.index(language_token(source))))
    numbers = [(token, tokenizer.token_to_id(token)) for token in (begin, end)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[begin, "$A", end], pair=[begin, "$A", "$B", end], special_tokens=numbers
    )
    return tokenizer
