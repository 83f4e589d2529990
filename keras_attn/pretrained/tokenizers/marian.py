"""MarianMT's tokenizers: two SentencePiece models over the vocabulary of vocab.json.

The SentencePiece model of its language splits a text into pieces, and vocab.json maps pieces to ids. Tokens
that only one of the two has get names that no text contains once its spaces have become `▁`:

- A token of vocab.json that the model never produces is named with a space before it.
- A piece that vocab.json lacks has an id beyond the vocabulary, which
  `keras_attn.device.text.pair_tokenizer.PairTokenizer` replaces by that of the unknown token.
- Adjacent characters without a piece are one unknown token, unless vocab.json has exactly them.
- A text may begin with a language code, `>>fra<<`, which SentencePiece never sees.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from keras_attn.pretrained.checkpoint import read_json
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.tokenizers.sentencepiece_model import (
    BPE,
    BYTE,
    USER_DEFINED,
    PieceModel,
    read_piece_model,
)
from keras_attn.pretrained.tokenizers.sentencepiece_rules import SPACE, clean, replaced
from keras_attn.pretrained.tokenizers.tokenizer_options import TokenizerOptions

SOURCE, TARGET = "source.spm", "target.spm"
VOCABULARY, TARGET_VOCABULARY = "vocab.json", "target_vocab.json"
TOKENS = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_CODE = re.compile(r">>((?!<<).)*<<", re.DOTALL)


def is_marian(folder: Path) -> bool:
    """Return whether a folder has one of the two SentencePiece models."""
    return (folder / SOURCE).is_file() or (folder / TARGET).is_file()


def marian_tokenizer(options: TokenizerOptions, target: bool, known: int | None) -> Tokenizer:
    """Build the tokenizer of source texts or of target texts.

    Args:
        options: those of a folder with source.spm, target.spm and vocab.json (and target_vocab.json, if so
            configured).
        target: whether to build that of target texts.
        known: vocabulary size of the model, or `None`.

    Raises:
        PretrainedError: if files are missing or broken, or do not fit each other or the model.
    """
    folder, separate = options.folder, options.values.get("separate_vocabs", False)
    needed = [SOURCE, TARGET, VOCABULARY, *([TARGET_VOCABULARY] if separate else [])]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise PretrainedError(
            f"{folder} lacks {', '.join(missing)}: a MarianMT tokenizer consists of {', '.join(needed)}."
        )
    special = {
        role: options.roles[role].content if role in options.roles else token
        for role, token in TOKENS.items()
    }
    others = {token.content for token in options.roles.values()}.difference(special.values())
    if others:
        raise PretrainedError(
            f"{folder}: MarianMT has the special tokens {', '.join(TOKENS)}, not {', '.join(sorted(others))}."
        )
    path = folder / (TARGET_VOCABULARY if separate and target else VOCABULARY)
    vocabulary = read_vocabulary(path)
    if known is not None and known != len(vocabulary):
        raise PretrainedError(
            f"{path} has {len(vocabulary)} tokens, which does not match the model: it has {known}. Take "
            "tokenizer and model from the same folder."
        )
    lacking = sorted({token for token in special.values() if token not in vocabulary})
    if lacking:
        raise PretrainedError(f"{folder}: the vocabulary lacks the special tokens {', '.join(lacking)}.")
    if separate:
        _check_same_numbers(folder, special.values())
    return piece_tokenizer(read_piece_model(folder / (TARGET if target else SOURCE)), vocabulary, special)


def read_vocabulary(path: Path) -> list[str]:
    """Read the tokens of a vocabulary file, ordered by id.

    Raises:
        PretrainedError: if it cannot be read, or its ids are not 0, 1, 2 ...
    """
    numbers = read_json(path)
    tokens = sorted(numbers, key=numbers.__getitem__)
    if [numbers[token] for token in tokens] != list(range(len(tokens))):
        raise PretrainedError(f"{path} must give its {len(tokens)} tokens the ids 0 to {len(tokens) - 1}.")
    return tokens


def _check_same_numbers(folder: Path, special: Iterable[str]) -> None:
    """Check that both vocabularies give special tokens the same ids, as the model has only one."""
    source, target = (read_json(folder / name) for name in (VOCABULARY, TARGET_VOCABULARY))
    different = sorted({token for token in special if source.get(token) != target.get(token)})
    if different:
        raise PretrainedError(
            f"{folder}: {VOCABULARY} and {TARGET_VOCABULARY} give {', '.join(different)} different ids."
        )


def piece_tokenizer(
    pieces: PieceModel, vocabulary: list[str], special: Mapping[str, str], coded: bool = True
) -> Tokenizer:
    """Build the tokenizer of a SentencePiece model over another vocabulary.

    Args:
        pieces: the model.
        vocabulary: the tokens, ordered by id.
        special: special tokens by role; `eos_token` ends a text.
        coded: whether a text may begin with a language code, `>>fra<<`.
    """
    scores = pieces.scores()
    own = {*scores, *(piece.text for piece in pieces.pieces if piece.kind == BYTE)}
    known = _characters(scores)
    others = [token for token in vocabulary if token not in own and token not in special.values()]
    runs = [] if pieces.byte_fallback else [token for token in others if known.isdisjoint(token)]
    codes = [token for token in vocabulary if coded and _CODE.fullmatch(token)]
    # Codes that are pieces or unknown characters are matched as such.
    named = [code for code in codes if code not in own and code not in runs]
    characters = _characters([*scores, *vocabulary])
    sentinel = next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in characters)
    # With byte fallback the only unknown piece is a space.
    beyond = sorted({*own, *([" "] if pieces.byte_fallback else [])}.difference(vocabulary))
    make, real = (_bpe, {*runs, *named}) if pieces.kind == BPE else (_unigram, {*runs})
    never = {token for token in others if token not in real}
    tokens = [f" {token}" if token in never else token for token in vocabulary] + beyond
    tokenizer = Tokenizer(make(pieces, tokens, runs, special["unk_token"]))
    rules = clean(pieces, codes, sentinel if coded else "")
    if runs:
        rules.append(_unknown_together("".join(map(re.escape, sorted(known))), runs, codes, sentinel))
    if codes:
        rules.append(replaced(rf"\A{sentinel}(?={_any(named)})", " "))
        rules.append(replaced(rf"\A{sentinel}(?={_any(codes)})", ""))
    if pieces.byte_fallback:
        rules.append(replaced(rf"\A{sentinel}", " "))
    tokenizer.normalizer = normalizers.Sequence(rules)
    tokenizer.pre_tokenizer = _words(pieces, special, sentinel)
    end = special["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A $B {end}", special_tokens=[(end, vocabulary.index(end))]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(Regex(r"\A "), ""),
            decoders.Replace(SPACE, " "),
            *([decoders.ByteFallback()] if pieces.byte_fallback else []),
            decoders.Fuse(),
            decoders.Replace(Regex(r"\A\s+|\s+\z"), ""),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special.values()])
    if pieces.kind == BPE:
        # No merge produces a code: it is matched by the space that the rules put before it.
        tokenizer.add_tokens([AddedToken(code, normalized=True, special=False) for code in named])
    return tokenizer


def _unknown_together(known: str, runs: list[str], codes: list[str], sentinel: str) -> normalizers.Normalizer:
    """Merge adjacent unknown characters into one, unless they are one of `runs`.

    Args:
        known: the characters that pieces consist of, escaped.
        runs: tokens of other characters.
        codes: may follow `sentinel` at the beginning of a text, and are kept.
        sentinel: an unknown character.
    """
    begun = {rf"\A{sentinel}{re.escape(code[:i])}" for code in codes for i in range(1, len(code))}
    outside = rf"(?!(?<=\A{sentinel}){_any(codes)})(?<!{'|'.join(sorted(begun))})" if codes else ""
    begin = rf"(?=[^{known}])(?:(?<![^{known}])|(?<=\A{sentinel}))(?!\A{sentinel}){outside}"
    # There may be tens of thousands: grouped by first character they match faster.
    groups = itertools.groupby(sorted(runs), key=lambda run: run[0])
    rests = {first: "|".join(re.escape(run[1:]) for run in group) for first, group in groups}
    whole = "|".join(f"{re.escape(first)}(?:{rest})" for first, rest in rests.items())
    return replaced(rf"{begin}(?!(?:{whole})(?![^{known}]))[^{known}]+", sentinel)


def _characters(texts: Iterable[str]) -> set[str]:
    return {character for text in texts for character in text}


def _any(texts: Iterable[str]) -> str:
    """Return a regular expression that matches one of the texts, or nothing if there are none."""
    return f"(?:{'|'.join(map(re.escape, texts)) or '(?!)'})"


def _unigram(pieces: PieceModel, tokens: list[str], runs: list[str], unknown: str) -> models.Model:
    """Build the model that finds the most probable pieces (Kudo, 2018, arXiv:1804.10959)."""
    scores = pieces.scores()
    # An unknown character scores a fixed amount below the least score, so no token may have less.
    least = min(scores.values())
    rows = [(token, scores.get(token, least)) for token in tokens]
    return models.Unigram(rows, tokens.index(unknown), pieces.byte_fallback)


def _bpe(pieces: PieceModel, tokens: list[str], runs: list[str], unknown: str) -> models.Model:
    """Build the model that merges pairs (Sennrich et al., 2016, arXiv:1508.07909)."""
    scores = pieces.scores()
    ordered = sorted(scores, key=lambda text: -scores[text])
    merges = [pair for text in ordered for pair in _pairs(text) if scores.keys() >= set(pair)]
    # Whichever parts of a run are merged first, it becomes one token.
    parts = {run[i:j] for run in runs for i in range(len(run)) for j in range(i + 1, len(run) + 1)}
    merges += [pair for text in sorted(parts) for pair in _pairs(text)]
    numbers = {token: number for number, token in enumerate(dict.fromkeys([*tokens, *sorted(parts)]))}
    return models.BPE(numbers, merges, unk_token=unknown, fuse_unk=True, byte_fallback=pieces.byte_fallback)


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(text[:i], text[i:]) for i in range(1, len(text))]


def _words(pieces: PieceModel, special: Mapping[str, str], sentinel: str) -> pre_tokenizers.PreTokenizer:
    """Split a text where no piece can cross."""
    scores = pieces.scores()
    # "</s>" written in a text is text, which is split so that it does not become the special token.
    written = [re.escape(token[1:]) for token in special.values() if token.startswith("<")]
    written += ["0x[0-9A-F]{2}>"] if pieces.byte_fallback else []
    cuts = [rf"(?<=<)(?={'|'.join(written) or '(?!)'})", rf"\A(?:{sentinel}| (?!>>))"]
    defined = [piece.text for piece in pieces.pieces if piece.kind == USER_DEFINED]
    cuts += [_any(sorted(defined, key=len, reverse=True))] if defined else []
    steps = [pre_tokenizers.Split(Regex(cut), "isolated") for cut in cuts]
    if SPACE in scores and not any(SPACE in text[1:] for text in scores):
        steps.append(pre_tokenizers.Split(SPACE, "merged_with_next"))
    return pre_tokenizers.Sequence(steps)
