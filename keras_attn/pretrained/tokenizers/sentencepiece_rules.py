"""SentencePiece's normalization, as steps of the tokenizers library."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokenizers import Regex, normalizers

from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.tokenizers.sentencepiece_model import PieceModel

SPACE = "▁"
# A temporary separator, which no rule matches across. The usual rules delete it anyway.
_SEPARATOR = "\x01"
# What the library joins with the character before it, so that it replaces both or neither.
_JOINING = r"[\p{M}\u200c\u200d\u0e33\u0eb3\uff9e\uff9f]|(?<=\r)\n"
# Composition puts marks into their canonical order, which SentencePiece never does. So no mark of another
# block passes, or is passed by, the mark beside it; those of this block compose if they are in order.
_ORDERED = (
    r"(?<=\p{Mn})(?=[\p{Mn}&&[^\u0300-\u036f]])"
    r"|(?<=[\p{Mn}&&[^\u0300-\u036f]])(?=\p{Mn})"
    r"|(?<=[\u0300-\u0315\u033d-\u0344])(?=[\u0316-\u0333\u031b\u0334-\u0338])"
)


def replaced(pattern: str, content: str) -> normalizers.Normalizer:
    """Replace what a regular expression matches; a match of nothing inserts."""
    return normalizers.Replace(Regex(pattern), content)


def clean(pieces: PieceModel, codes: Sequence[str] = (), sentinel: str = "") -> list[normalizers.Normalizer]:
    """Return the normalization steps before a text is split into pieces.

    Args:
        pieces: the model.
        codes: prefixes of a text that SentencePiece does not see, such as `>>fra<<`. In the result a space
            precedes them, and nothing else.
        sentinel: a character that the model does not know, used temporarily, and in place of other codes.

    Raises:
        PretrainedError: if the model's rules for characters are broken.
    """
    known = "|".join(map(re.escape, codes))
    begin = rf"\A(?:{sentinel}(?:{known})?)?\K" if sentinel else r"\A"
    # A space comes first: the library cannot insert at the very beginning of a text.
    steps: list[normalizers.Normalizer] = [normalizers.Prepend(" ")]
    if codes:
        steps.append(replaced(rf"\A (?={known})", sentinel))
        heads = "|".join(re.escape(code.removesuffix("<<")) for code in codes)
        steps.append(replaced(rf"\A{sentinel}(?:{heads})\K<<(?=[\s\S])", "<< "))
    if sentinel:
        steps.append(replaced(r"\A >>[\s\S]*?<<", f"{sentinel} "))
    if pieces.charsmap:
        steps += _characters(pieces)
    if pieces.trims:
        steps.append(replaced(" {2,}", " "))
    if not pieces.dummy_prefix:
        steps.append(replaced(f"{begin} {'+' * pieces.trims}", ""))
    steps.append(normalizers.Replace(" ", SPACE))
    if pieces.trims:
        steps.append(replaced(rf"{SPACE}+\z", ""))
    return steps


def _characters(pieces: PieceModel) -> list[normalizers.Normalizer]:
    """Replace characters by the model's rules, and compose what they compose.

    The library applies the rules to graphemes, and drops what follows the first match; single characters are
    replaced correctly, and rules of several characters are composition (Unicode's form NFC).
    """
    try:
        rules = normalizers.Precompiled(pieces.charsmap)
        composes = rules.normalize_str("e\u0301") == "\u00e9"
    except Exception as error:  # the library raises plain Exception
        raise PretrainedError(f"{pieces.path}: its rules for characters are broken: {error}.") from error
    steps = [replaced(f"(?={_JOINING})", _SEPARATOR), rules, normalizers.Replace(_SEPARATOR, "")]
    if composes:
        steps += [replaced(_ORDERED, _SEPARATOR), normalizers.NFC(), normalizers.Replace(_SEPARATOR, "")]
    return steps
