"""KerasHub's tokenizers of one SentencePiece model, as `tokenizers.Tokenizer` of the same ids.

A piece's id is its number in the model file; XLM-RoBERTa counts from 1 and begins with four tokens of its
own. What a text never becomes, such as `[CLS]` written in it, keeps its id and its name: texts are cut inside
that name, where no piece can cross.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.tokenizers.sentencepiece_model import (
    BPE,
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    PieceModel,
    read_piece_model,
)
from keras_attn.pretrained.tokenizers.sentencepiece_rules import SPACE, clean

PIECES = "vocabulary.spm"


@dataclass(frozen=True)
class Enclosing:
    """The special tokens of a class.

    Attributes:
        before, after: around a text.
        between: of two texts.
        others: special tokens beside these.
        segments: whether the second text is another segment.
        shifted: whether ids are XLM-RoBERTa's.
    """

    before: Sequence[str]
    after: Sequence[str]
    between: Sequence[str]
    others: Sequence[str]
    segments: bool = True
    shifted: bool = False


_LIKE_BERT = Enclosing(["[CLS]"], ["[SEP]"], ["[SEP]"], ["<pad>", "[MASK]"])
ENCLOSING = {
    "AlbertTokenizer": _LIKE_BERT,
    "FNetTokenizer": _LIKE_BERT,
    "DebertaV3Tokenizer": Enclosing(["[CLS]"], ["[SEP]"], ["[SEP]"], ["[PAD]", "[MASK]"], segments=False),
    "XLMRobertaTokenizer": Enclosing(
        ["<s>"], ["</s>"], ["</s>", "</s>"], ["<pad>", "<mask>"], segments=False, shifted=True
    ),
    "T5Tokenizer": Enclosing([], ["</s>"], ["</s>"], ["<pad>"], segments=False),
}
"""By the class of KerasHub's tokenizer."""
_ADDED = {"DebertaV3Tokenizer": "[MASK]"}
"""Tokens that a class adds behind the pieces where they lack it."""


def sentence_pieces(assets: Path, name: str) -> Tokenizer:
    """Build the tokenizer of a class that a preset's assets hold.

    Args:
        assets: the folder with vocabulary.spm.
        name: a class of `ENCLOSING`.

    Raises:
        PretrainedError: the model file is missing, broken or not supported, or lacks special tokens.
    """
    pieces = read_piece_model(assets / PIECES)
    enclosing = ENCLOSING[name]
    tokens = [piece.text for piece in pieces.pieces]
    kinds = {piece.text: piece.kind for piece in pieces.pieces}
    unknown = next((piece.text for piece in pieces.pieces if piece.kind == UNKNOWN), None)
    if enclosing.shifted:
        if tokens[:3] != ["<unk>", "<s>", "</s>"]:
            raise PretrainedError(
                f"{pieces.path} must begin with <unk>, <s> and </s>, as XLM-RoBERTa's does."
            )
        tokens = ["<s>", "<pad>", "</s>", "<unk>", *tokens[3:], "<mask>"]
    elif name in _ADDED and _ADDED[name] not in kinds:
        tokens.append(_ADDED[name])
    around = list(dict.fromkeys((*enclosing.before, *enclosing.after, *enclosing.between)))
    special = list(dict.fromkeys([*around, *enclosing.others]))
    lacking = [token for token in special if token not in tokens]
    if lacking or unknown is None:
        raise PretrainedError(f"{pieces.path} lacks the special tokens {', '.join(lacking or ['<unk>'])}.")
    never = [token for token in tokens if kinds.get(token, CONTROL) not in (NORMAL, USER_DEFINED, BYTE)]
    tokenizer = Tokenizer(_model(pieces, tokens, unknown))
    tokenizer.normalizer = _normalizer(pieces)
    tokenizer.pre_tokenizer = _words(pieces, never)
    ids = {token: number for number, token in enumerate(tokens)}
    second = int(enclosing.segments)
    before = [f"{token}:0" for token in enclosing.before]
    after = [*(f"{token}:0" for token in enclosing.between), f"$B:{second}"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*before, "$A:0", *(f"{token}:0" for token in enclosing.after)],
        pair=[*before, "$A:0", *after, *(f"{token}:{second}" for token in enclosing.after)],
        special_tokens=[(token, ids[token]) for token in around],
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            *([decoders.ByteFallback()] if pieces.byte_fallback else []),
            decoders.Fuse(),
            decoders.Replace(Regex(r"\A\s+"), ""),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(token) for token in [*special, unknown]])
    return tokenizer


def _normalizer(pieces: PieceModel) -> normalizers.Normalizer:
    """Return the model's normalization, which leaves user-defined pieces as they are."""
    rules = normalizers.Sequence(clean(pieces))
    texts = [piece.text for piece in pieces.pieces if piece.kind == USER_DEFINED]
    changed = [text for text in texts if text not in rules.normalize_str(f"a{text}a")]
    characters = {character for piece in pieces.pieces for character in piece.text}
    free = (chr(code) for code in range(0xE000, 0xF900) if chr(code) not in characters)
    hidden = list(zip(sorted(changed, key=len, reverse=True), free, strict=False))
    return normalizers.Sequence(
        [
            *(normalizers.Replace(text, character) for text, character in hidden),
            rules,
            *(normalizers.Replace(character, text) for text, character in hidden),
        ]
    )


def _model(pieces: PieceModel, tokens: Sequence[str], unknown: str) -> models.Model:
    scores = pieces.scores()
    if pieces.kind == BPE:
        ordered = sorted(scores, key=lambda text: -scores[text])
        pairs = [(text[:i], text[i:]) for text in ordered for i in range(1, len(text))]
        return models.BPE(
            {token: number for number, token in enumerate(tokens)},
            [pair for pair in pairs if scores.keys() >= set(pair)],
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=pieces.byte_fallback,
        )
    # An unknown character scores a fixed amount below the least score, so no token may have less.
    least = min(scores.values())
    rows = [(token, scores.get(token, least)) for token in tokens]
    return models.Unigram(rows, tokens.index(unknown), pieces.byte_fallback)


def _words(pieces: PieceModel, never: Sequence[str]) -> pre_tokenizers.PreTokenizer:
    """Split a text at user-defined pieces, inside names of tokens that it never becomes, and at spaces."""
    defined = sorted(
        (each.text for each in pieces.pieces if each.kind == USER_DEFINED), key=len, reverse=True
    )
    texts = [piece.text for piece in pieces.pieces if piece.kind in (NORMAL, USER_DEFINED)]
    joined = {text[i : i + 2] for text in texts for i in range(len(text) - 1)}
    steps = [pre_tokenizers.Split(Regex("|".join(map(re.escape, defined))), "isolated")] if defined else []
    cuts = []
    for token in never:
        at = next((i for i in range(1, len(token)) if token[i - 1 : i + 1] not in joined), 1)
        cuts.append(rf"(?<={re.escape(token[:at])})(?={re.escape(token[at:])})" if len(token) > 1 else "(?!)")
    if cuts:
        steps.append(pre_tokenizers.Split(Regex("|".join(cuts)), "isolated"))
    if not any(SPACE in text[1:] for text in texts):
        steps.append(pre_tokenizers.Split(SPACE, "merged_with_next"))
    return pre_tokenizers.Sequence(steps)
