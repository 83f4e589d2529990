"""A tokenizer.json of BERT's kind as two tables: the replacement of every character, and the pieces of words.

tensorflow-text's tokenizer differs from Hugging Face's: it folds ™ to "tm" and ² to "2", puts spaces where
control characters should vanish, takes other characters for punctuation, and limits the bytes of a word
instead of its characters. But it works by tables, which are filled here by running the tokenizer on every
character. Characters of the vocabulary are renamed to letters of one length in UTF-8, so that bytes count
characters; all others become one more such letter, which is in no piece; and spaces are put wherever the
tokenizer would split. So both produce the same ids.
"""

from __future__ import annotations

import collections
import importlib.util
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tokenizers

from keras_attn.errors import ArgumentError

CODE_POINTS = 0x110000
SUFFIX = "##"
"""Prefix of pieces that continue a word, in the renamed vocabulary."""

_SEPARATOR = "0"
_CHUNK = 1024
_SURROGATES = range(0xD800, 0xE000)
_LONGEST_PIECE = 256  # bytes, the most that tensorflow-text's tables hold
_TASKS = ("classification", "embedding")
_ENCODERS = "only classifiers and sentence encoders have one"
_NO_GRAPH = {"masked-lm": f"there, a written [MASK] is text like any other; {_ENCODERS}"}
_KINDS = {"normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer", "model": "WordPiece"}


@dataclass(frozen=True)
class WordPieces:
    """A tokenizer as tables.

    Attributes:
        replacements: for each code point, renamed characters and spaces, or nothing.
        vocabulary: the renamed pieces by id; those that continue a word begin with `SUFFIX`.
        unknown: the renamed unknown piece.
        longest_word: bytes of the longest word that is split into pieces; longer ones are unknown.
    """

    replacements: Sequence[str]
    vocabulary: Sequence[str]
    unknown: str
    longest_word: int


def check_in_graph(source: Any) -> None:
    """Check that a source's tokenizer can be part of its graph.

    Args:
        source: a `keras_attn.sources.source.Source`.

    Raises:
        ArgumentError: names all reasons why it cannot.
    """
    task = getattr(source, "task", "")
    if task not in _TASKS:
        reason = _NO_GRAPH.get(task, _ENCODERS)
        raise ArgumentError(f"a {source.class_name} cannot have its tokenizer in the graph: {reason}")
    problems = refusals(source.tokenizer.tokenizer, source.special_ids)
    if problems:
        raise ArgumentError(
            "this tokenizer cannot be put into the graph: "
            + "; ".join(problems)
            + ". Export without it, which is the default"
        )
    if importlib.util.find_spec("tensorflow_text") is None:
        raise ArgumentError("a tokenizer in the graph needs tensorflow-text: pip install 'keras-attn[text]'")


def refusals(tokenizer: tokenizers.Tokenizer, special_ids: Mapping[str, int]) -> list[str]:
    """Return the reasons why a tokenizer cannot be part of a graph, one sentence each; empty if it can.

    Args:
        tokenizer: that would be part of it.
        special_ids: ids of `start` and `end`, which must enclose a text.
    """
    described = json.loads(tokenizer.to_str())
    found = {part: (described.get(part) or {}).get("type") for part in _KINDS}
    problems = [
        f"its {part} is {found[part] or 'missing'}, not {kind}"
        for part, kind in _KINDS.items()
        if found[part] != kind
    ]
    plain = [each["content"] for each in described.get("added_tokens", []) if not each["special"]]
    if plain:
        problems.append(f"it has added tokens that are not special: {', '.join(map(repr, plain[:5]))}")
    if tokenizer.encode("").ids != [special_ids["start"], special_ids["end"]]:
        problems.append("it does not enclose a text in only the start and the end token")
    if problems:
        return problems
    model = described["model"]
    prefix = model["continuing_subword_prefix"]
    if not prefix or len(tokenizer.pre_tokenizer.pre_tokenize_str(f"x{prefix[0]}x")) != 3:
        problems.append(f"its pieces continue a word with {prefix!r}, which does not begin with punctuation")
    if model["unk_token"] not in model["vocab"]:
        problems.append(f"its unknown token {model['unk_token']!r} is not in its vocabulary")
    try:
        letters = choose_letters(1 + len(set().union(*model["vocab"])))
    except ValueError as error:
        return [*problems, str(error)]
    longest = max(model["vocab"], key=len)
    if len(longest) * len(letters[0].encode()) > _LONGEST_PIECE:
        problems.append(f"its piece {longest!r} is too long")
    return problems


def read_word_pieces(tokenizer: tokenizers.Tokenizer) -> WordPieces:
    """Return the tables of a tokenizer that has no `refusals`."""
    model = json.loads(tokenizer.to_str())["model"]
    prefix, pieces = model["continuing_subword_prefix"], model["vocab"]
    characters = sorted(set().union(*pieces))
    unknown_letter, *letters = choose_letters(1 + len(characters))
    renamed = dict(zip(characters, letters, strict=True))

    def rename(text: str) -> str:
        return "".join(renamed[character] for character in text)

    def rename_piece(piece: str) -> str:
        continues = piece.startswith(prefix) and piece != prefix
        return SUFFIX + rename(piece.removeprefix(prefix)) if continues else rename(piece)

    # Ids without a piece never occur; tensorflow-text leaves out names with a bracket.
    vocabulary = [f"[{number}]" for number in range(1 + max(pieces.values()))]
    for piece, number in pieces.items():
        vocabulary[number] = rename_piece(piece)

    normalized = _normalized(tokenizer)
    shown = collections.defaultdict(lambda: unknown_letter, {ord(each): renamed[each] for each in renamed})
    for each, form in _splitting(tokenizer, list(set("".join(normalized)))).items():
        shown[ord(each)] = form.format(shown[ord(each)])
    return WordPieces(
        replacements=[text.translate(shown) for text in normalized],
        vocabulary=vocabulary,
        unknown=rename(model["unk_token"]),
        longest_word=len(unknown_letter.encode()) * model["max_input_chars_per_word"],
    )


def _normalized(tokenizer: tokenizers.Tokenizer) -> list[str]:
    """Return every code point normalized; surrogates, which are not characters, become empty."""
    normalize = tokenizer.normalizer.normalize_str
    found = []
    for first in range(0, CODE_POINTS, _CHUNK):
        points = range(first, first + _CHUNK)
        characters = ["" if point in _SURROGATES else chr(point) for point in points]
        separated = _SEPARATOR.join("" if each == _SEPARATOR else each for each in characters)
        # One call for many: only the separator is normalized to it, and no character acts beyond it.
        found += normalize(separated).split(_SEPARATOR)
    found[ord(_SEPARATOR)] = normalize(_SEPARATOR)
    if len(found) != CODE_POINTS:
        raise ArgumentError(f"the normalizer turns another character into {_SEPARATOR!r}")
    return found


def _splitting(tokenizer: tokenizers.Tokenizer, characters: Sequence[str]) -> dict[str, str]:
    """Return the characters that the pre-tokenizer removes or isolates, with a format for each."""
    found = {}
    for first in range(0, len(characters), _CHUNK):
        text = "x".join(["", *characters[first : first + _CHUNK], ""])
        forms = [" "] * len(text)
        for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(text):
            forms[start:end] = [" {} "] if end == start + 1 else [""] * (end - start)
        found.update((text[i], forms[i]) for i in range(1, len(text), 2) if forms[i])
    return found


def choose_letters(count: int) -> str:
    """Return `count` letters of one length in UTF-8, as short as possible.

    They are neither spaces nor punctuation nor ideographs, in any version of Unicode.

    Raises:
        ArgumentError: there are not that many.
    """
    for first, last in ((0x80, 0x800), (0x800, 0x10000)):
        characters = map(chr, range(first, last))
        letters = [each for each in characters if unicodedata.category(each) in ("Lu", "Ll", "Lo")]
        letters = [each for each in letters if "CJK" not in unicodedata.name(each)]
        if len(letters) >= count:
            return "".join(letters[:count])
    raise ArgumentError(f"its vocabulary uses {count - 1} characters, which are too many")
