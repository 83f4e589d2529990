"""How MediaPipe's tasks split a text, and which tokenizers they can stand in for.

Their tokenizer knows only a list of pieces. It writes ASCII letters in lower case, splits at white space, at
punctuation and around ideographs, and takes the longest pieces from the left. It neither folds accents nor
removes control characters, so that it differs from Hugging Face's for some texts; which these are is found
with the same procedure here, without MediaPipe.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

import tokenizers

from keras_attn.errors import ArgumentError
from keras_attn.sources.source import EncoderSource

START, END, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
CONTINUES = "##"
_LONGEST_WORD = 100  # bytes
_SPACES = frozenset("\t\n\f\r ")
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_PROBE = "The Red Cat And THE DOG see A HOUSE in Berlin"
_TASKS = {
    "masked-lm": "MediaPipe has no task that fills masks",
    "token-classification": "MediaPipe has no task that labels each token",
    "question-answering": "MediaPipe has no task that answers from a context",
    "scoring": "its one logit has no labels, and MediaPipe's TextClassifier returns labels",
    "generation": "MediaPipe reads other files for language models",
    "translation": "MediaPipe has no task that translates",
}


def check_source(source: Any) -> EncoderSource:
    """Return a source that MediaPipe's tasks can run.

    Args:
        source: a `keras_attn.sources.source.Source`.

    Raises:
        ArgumentError: names all reasons why they cannot.
    """
    task = getattr(source, "task", "")
    if task in _TASKS:
        raise ArgumentError(
            f"mediapipe: a {source.class_name} cannot be one of its files: {_TASKS[task]}; only classifiers "
            "and sentence encoders can. Leave it out"
        )
    problems = refusals(source.tokenizer.tokenizer, source.special_ids)
    if source.pairs:
        problems.append("this classifier reads two texts, and MediaPipe gives it one")
    if problems:
        raise ArgumentError(
            f"mediapipe: this {source.class_name} cannot be one of its files: {'; '.join(problems)}. "
            "Leave it out"
        )
    return source


def refusals(tokenizer: tokenizers.Tokenizer, special_ids: dict[str, int]) -> list[str]:
    """Return the reasons why MediaPipe's tokenizer cannot stand in for one, one sentence each.

    Args:
        tokenizer: of the model.
        special_ids: ids of `start` and `end`, which must enclose a text.
    """
    described = json.loads(tokenizer.to_str())
    model = described["model"]
    if model["type"] != "WordPiece":
        return [f"its tokenizer is {_kind(described)}, and MediaPipe splits texts by WordPiece"]
    problems = []
    if model["continuing_subword_prefix"] != CONTINUES:
        problems.append(
            f"its pieces continue a word with {model['continuing_subword_prefix']!r}, not {CONTINUES!r}"
        )
    if tokenizer.encode("").ids != [special_ids["start"], special_ids["end"]]:
        problems.append("its tokenizer does not enclose a text in only the start and the end token")
    if tokenizer.encode(_PROBE).ids != tokenizer.encode(_PROBE.lower()).ids:
        problems.append(
            "its tokenizer distinguishes capital letters, and MediaPipe writes texts in lower case"
        )
    return problems


def _kind(described: dict[str, Any]) -> str:
    """Return a tokenizer's kind as people call it."""
    kind = described["model"]["type"]
    parts = json.dumps([described.get("pre_tokenizer"), described.get("decoder")])
    if kind == "BPE" and "ByteLevel" in parts:
        return "byte-level BPE"
    if "Metaspace" in parts:
        return f"SentencePiece's {kind}"
    return kind


def vocabulary(tokenizer: tokenizers.Tokenizer, special_ids: dict[str, int]) -> list[str]:
    """Return the lines of vocab.txt: the piece of each id, and MediaPipe's names for three special tokens.

    Ids without a piece, and pieces that no text contains, get names with a bracket, at which words are split.
    """
    pieces = tokenizer.get_vocab(with_added_tokens=True)
    lines = [f"[unused id {number}]" for number in range(1 + max(pieces.values()))]
    model = json.loads(tokenizer.to_str())["model"]
    named = {START: "start", END: "end", UNKNOWN: "unknown"}
    for piece, number in pieces.items():
        if piece in model["vocab"] and piece not in named and piece.split() == [piece]:
            lines[number] = piece
    lines[model["vocab"].get(model["unk_token"], special_ids["unknown"])] = UNKNOWN
    lines[special_ids["start"]], lines[special_ids["end"]] = START, END
    return lines


class MediaPipeTokenizer:
    """The ids that MediaPipe's tasks give a model.

    Args:
        lines: of vocab.txt.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._ids = {piece: number for number, piece in enumerate(lines)}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text between those of the start and the end token, however many they are."""
        found = [START]
        for word in _words(text):
            found += self._pieces(word)
        return [self._ids[piece] for piece in [*found, END]]

    def _pieces(self, word: str) -> list[str]:
        """Return the longest pieces of a word from the left; a word that has none is unknown."""
        if len(word.encode()) > _LONGEST_WORD:
            return [UNKNOWN]
        pieces, begin = [], 0
        while begin < len(word):
            prefix = CONTINUES if begin else ""
            ends = range(len(word), begin, -1)
            end = next((each for each in ends if prefix + word[begin:each] in self._ids), None)
            if end is None:
                return [UNKNOWN]
            pieces.append(prefix + word[begin:end])
            begin = end
        return pieces


def _words(text: str) -> list[str]:
    """Split a text at white space, and before and behind what stands alone."""
    words, word = [], ""
    for character in text:
        character = character.lower() if character.isascii() else character
        space, alone = character in _SPACES, _stands_alone(character)
        if not space and not alone:
            word += character
            continue
        words += [word] if word else []
        words += [character] if alone else []
        word = ""
    return [*words, word] if word else words


def _stands_alone(character: str) -> bool:
    """Return whether a character is a word: punctuation, an ASCII symbol or an ideograph."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    number = ord(character)
    return unicodedata.category(character).startswith("P") or any(
        first <= number <= last for first, last in _IDEOGRAPHS
    )
