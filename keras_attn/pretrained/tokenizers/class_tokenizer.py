"""Build the tokenizer of a class of `RULES`, from tokenizer.json or from older vocabulary files."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, models

from keras_attn.pretrained.checkpoint import read_json
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.tokenizers.class_rules import ClassRule, special_tokens
from keras_attn.pretrained.tokenizers.sentencepiece_model import (
    CONTROL,
    UNIGRAM,
    UNKNOWN,
    USER_DEFINED,
    PieceModel,
    read_piece_model,
)
from keras_attn.pretrained.tokenizers.tokenizer_options import (
    ADDED,
    OPTIONS,
    TokenizerOptions,
    add_tokens,
    read_tokenizer_options,
)
from keras_attn.pretrained.tokenizers.translator_rules import RULES

TOKENIZER = "tokenizer.json"


def class_tokenizer(folder: Path, name: str, classes: tuple[str, ...]) -> Tokenizer | None:
    """Build the tokenizer of a folder by the rule of its class.

    Args:
        folder: with tokenizer.json or the class' vocabulary files.
        name: the class, one of `RULES`.
        classes: all classes that are known.

    Returns:
        The tokenizer; `None` if the folder has none of the files.

    Raises:
        PretrainedError: if a file cannot be read, an option is not known, or tokens do not fit the
            vocabulary.
    """
    rule = RULES[name]
    file = folder / TOKENIZER
    if not file.is_file() and not all((folder / each).is_file() for each in rule.files):
        return None
    # Those of other classes are not read, as there.
    computed = {name: kind for each in RULES.values() for name, kind in each.options.items()}
    options = read_tokenizer_options(folder, classes, computed)
    special = special_tokens(rule, options.roles, options.plain)
    contents = {role: token.content for role, token in special.items()}
    listed = ADDED in read_json(folder / OPTIONS) if (folder / OPTIONS).is_file() else False
    sentinels = _sentinels(rule, options)
    further = [AddedToken(token, special=True) for token in (*rule.further, *sentinels)]
    if file.is_file():
        model, charsmap, own, processor = _from_json(file, name, rule, contents, options)
        # The file's flags are those of its tokens, unless tokenizer_config.json lists them anew.
        tokens = {} if listed else own
        special = {role: tokens.get(token.content, token) for role, token in special.items()}
        numbered = {token.content: token for token in tokens.values()}
    else:
        model, charsmap, symbols = _from_files(folder, rule, contents, options)
        if symbols is not None:
            own_names = {token.content for token in symbols}
            kept = [token for token in further if rule.keeps_further and token.content not in own_names]
            further = [*symbols, *kept]
        numbered, processor = {}, None
    tokenizer = Tokenizer(model)
    normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = rule.parts(options.values, charsmap)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    given = [] if options.lists_special else further
    add_tokens(tokenizer, options, special, first=list(numbered.values()), last=given)
    try:
        tokenizer.post_processor = processor or rule.template(tokenizer, contents, options.values)
    except LookupError as error:
        raise PretrainedError(
            f"{folder}: the tokenizer lacks {error}, with which its texts begin or end."
        ) from None
    return tokenizer


def _from_json(
    path: Path, name: str, rule: ClassRule, tokens: Mapping[str, str], options: TokenizerOptions
) -> tuple[models.Model, bytes | None, dict[str, AddedToken], Any]:
    """Return model, rules for characters, added tokens by id, and ALBERT's post-processor."""
    try:
        layout = json.loads(path.read_text(encoding="utf-8"))
        read = Tokenizer.from_str(json.dumps(layout))
        model, added = layout["model"], read.get_added_tokens_decoder()
    except Exception as error:  # the library raises plain Exception
        raise PretrainedError(f"{path} is not a tokenizer that can be read: {error}.") from error
    kind = model.get("type") or type(read.model).__name__
    if kind != rule.model:
        raise PretrainedError(
            f"{path} does not fit {OPTIONS} beside it:\n  its model is {kind}, that of a {name} "
            f"{rule.model}; where tokenizer.json is right, name the class PreTrainedTokenizerFast"
        )
    if model.get("dropout"):
        raise PretrainedError(
            f"{path}: its model drops merges at random (dropout={model['dropout']!r}): set it to null"
        )
    normalizer = layout.get("normalizer") or {}
    steps = normalizer.get("normalizers") or [normalizer]
    maps = [step["precompiled_charsmap"] for step in steps if step.get("type") == "Precompiled"]
    charsmap = base64.b64decode(maps[0]) if maps else None
    made = _model(rule, model["vocab"], model.get("merges"), tokens, options)
    in_order = {added[number].content: added[number] for number in sorted(added)}
    return made, charsmap, in_order, read.post_processor if name == "AlbertTokenizer" else None


def _from_files(
    folder: Path, rule: ClassRule, tokens: Mapping[str, str], options: TokenizerOptions
) -> tuple[models.Model, bytes | None, list[AddedToken] | None]:
    """Return model, rules for characters, and a SentencePiece model's own symbols."""
    first = folder / rule.files[0]
    if rule.model == "WordPiece":
        with first.open(encoding="utf-8") as file:
            vocabulary = {line.rstrip("\n"): number for number, line in enumerate(file)}
        return _model(rule, vocabulary, None, tokens, options), None, None
    if rule.model == "BPE" and first.suffix == ".json":
        merges = read_merges(folder / rule.files[1])
        try:
            return _model(rule, read_json(first), merges, tokens, options), None, None
        except PretrainedError:
            raise
        except Exception as error:  # the library raises plain Exception
            raise PretrainedError(f"{folder / rule.files[1]} does not fit {first.name}: {error}.") from error
    pieces = read_piece_model(first)
    rows = rule.rows([(piece.text, piece.score) for piece in pieces.pieces], tokens)
    rows = [*rows, *((token, 0.0) for token in reversed(_sentinels(rule, options)))]
    if rule.model == "BPE":
        numbers = {text: number for number, (text, _) in enumerate(rows)}
        merges = _merges([piece.text for piece in pieces.pieces])
        return _model(rule, numbers, merges, tokens, options), pieces.charsmap or None, _symbols(pieces)
    if pieces.kind != UNIGRAM:
        raise PretrainedError(f"{first} is not a unigram model, which a tokenizer of this class has.")
    return _model(rule, rows, None, tokens, options, pieces), pieces.charsmap or None, _symbols(pieces)


def _sentinels(rule: ClassRule, options: TokenizerOptions) -> list[str]:
    """Return T5's tokens for gaps in a text, which stand in the vocabulary in reverse order."""
    count = options.values.get("extra_ids", rule.sentinels) if rule.sentinels else 0
    return [f"<extra_id_{number}>" for number in range(count)]


def _symbols(pieces: PieceModel) -> list[AddedToken]:
    """Return the symbols of a SentencePiece model that texts are split at."""
    kinds = {CONTROL: True, USER_DEFINED: False}
    return [
        AddedToken(piece.text, normalized=False, special=kinds[piece.kind])
        for piece in pieces.pieces
        if piece.kind in kinds
    ]


def _merges(pieces: list[str]) -> list[tuple[str, str]]:
    """Return the pairs that make each piece, in the order of the pieces' ids, as transformers does."""
    numbers = {text: number for number, text in enumerate(pieces)}
    pairs = [
        (numbers[text], i, len(text) - i, text[:i], text[i:])
        for text in numbers
        for i in range(1, len(text))
        if text[:i] in numbers and text[i:] in numbers
    ]
    return [pair[3:] for pair in sorted(pairs, key=lambda pair: pair[:3])]


def read_merges(path: Path) -> list[tuple[str, str]]:
    """Read the pairs of merges.txt."""
    lines = path.read_text(encoding="utf-8").split("\n")
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#version")]
    return [(first, second) for first, _, second in pairs]


def _model(
    rule: ClassRule,
    vocabulary: Any,
    merges: Any,
    tokens: Mapping[str, str],
    options: TokenizerOptions,
    pieces: PieceModel | None = None,
) -> models.Model:
    if rule.model == "WordPiece":
        return models.WordPiece(vocabulary, unk_token=tokens["unk_token"])
    if rule.model == "BPE":
        pairs = [pair.split(" ", 1) if isinstance(pair, str) else pair for pair in merges]
        more = {"unk_token": tokens["unk_token"], **rule.model_options} if rule.model_options else {}
        return models.BPE(vocabulary, [(first, second) for first, second in pairs], **more)
    rows = [(str(text), float(score)) for text, score in vocabulary]
    return models.Unigram(rows, _unknown_id(rule, rows, tokens, options, pieces), False)


def _unknown_id(
    rule: ClassRule,
    rows: list[tuple[str, float]],
    tokens: Mapping[str, str],
    options: TokenizerOptions,
    pieces: PieceModel | None,
) -> int:
    if rule.unknown_id is not None:
        return rule.unknown_id
    named = next((i for i, (text, _) in enumerate(rows) if text == tokens["unk_token"]), None)
    if named is not None:
        return named
    if pieces is not None:
        return next((i for i, piece in enumerate(pieces.pieces) if piece.kind == UNKNOWN), 0)
    return options.values.get("unk_id", 1)
