"""SentencePiece's normalization, in the words of the tokenizers library."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokenizers import Regex, normalizers

from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.tokenizers.sentencepiece_model import PieceModel

SPACE = "▁"
# Stands between characters for a moment, and no rule looks across it. The usual rules delete it anyway.
_WALL = "\x01"
# What the library takes for one character with the one before it, and replaces, or leaves, both at once.
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


def clean(pieces: PieceModel, codes: Sequence[str] = (), stranger: str = "") -> list[normalizers.Normalizer]:
    """List the steps from a text to what is cut into pieces.

    Args:
        pieces: the model.
        codes: what a text may begin with that SentencePiece shall not see, such as `>>fra<<`. In the result
            a space stands before it, and nowhere else.
        stranger: a character that the model does not know, for the way; also what becomes of other codes.

    Raises:
        PretrainedError: if the model's rules for characters are broken.
    """
    known = "|".join(map(re.escape, codes))
    begin = rf"\A(?:{stranger}(?:{known})?)?\K" if stranger else r"\A"
    # Something always stands in front: the library cannot replace at the very beginning what has no length.
    steps: list[normalizers.Normalizer] = [normalizers.Prepend(" ")]
    if codes:
        steps.append(replaced(rf"\A (?={known})", stranger))
        heads = "|".join(re.escape(code.removesuffix("<<")) for code in codes)
        steps.append(replaced(rf"\A{stranger}(?:{heads})\K<<(?=[\s\S])", "<< "))
    if stranger:
        steps.append(replaced(r"\A >>[\s\S]*?<<", f"{stranger} "))
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

    The library's own reading of the rules looks at graphemes and drops what follows the first match; each
    single character is read correctly, and rules of several characters are composition (Unicode's form NFC).
    """
    try:
        rules = normalizers.Precompiled(pieces.charsmap)
        composes = rules.normalize_str("e\u0301") == "\u00e9"
    except Exception as error:  # the library raises plain Exception
        raise PretrainedError(f"{pieces.path}: its rules for characters are broken: {error}.") from error
    steps = [replaced(f"(?={_JOINING})", _WALL), rules, normalizers.Replace(_WALL, "")]
    if composes:
        steps += [replaced(_ORDERED, _WALL), normalizers.NFC(), normalizers.Replace(_WALL, "")]
    return steps
