"""A translator of many languages, cut to the tokens that some of them need."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.data.scripts import is_written_in, letters_of, scripts_of
from keras_attn.data.smaller_tokenizer import pieces_of_words, smaller_tokenizer
from keras_attn.device.text.language_codes import find_language
from keras_attn.device.text.text_template import TextTemplate
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer
from keras_attn.errors import ArgumentError
from keras_attn.sources.float32_model import json_config
from keras_attn.sources.source import TranslationSource

_WORK = 4e9
"""Parameters times answers that are computed, so that a large model answers only a few texts."""
_FEWEST, _MOST = 8, 1000
_LONGEST = 128
_SPACE = "▁"
_ROWS = ("token_embedding/embeddings", "final_logits_bias")


Translating = Callable[..., Any]
"""Makes a translator of a model, its tokenizer, most lengths and the rules of its search."""


@dataclass(frozen=True)
class Cut:
    """What a cut has left.

    Attributes:
        languages: the model's codes of those that are kept.
        before, after: tokens that the model knows.
        depth: numbers of each in the table.
        answers: texts that both models have translated, from each language to each.
        lost: answers that are not those of the whole model.
        example: the first of these texts; `None` where none is lost.
    """

    languages: tuple[str, ...]
    before: int
    after: int
    depth: int
    answers: int
    lost: int
    example: str | None

    @property
    def detail(self) -> str:
        """One line."""
        gone = 1 - self.after / self.before
        line = (
            f"{self.after} of {self.before} tokens are kept for {', '.join(self.languages)}: "
            f"{gone:.1%} of a table of {4 * self.before * self.depth / 1e6:.1f} MB of floats is gone"
        )
        if self.answers:
            line += f"; {self.answers - self.lost} of {self.answers} answers are those of the whole model"
        if self.lost:
            line += f"; {self.example!r} is the first that is not: give texts of these languages as examples"
        return line

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        table = {side: 4 * self.depth * getattr(self, side) for side in ("before", "after")}
        return {**dataclasses.asdict(self), "languages": list(self.languages), "table_bytes": table}


def cut_vocabulary(
    source: Any, languages: Sequence[str], translator: Translating
) -> tuple[TranslationSource, Cut]:
    """Return a translator that has only some languages, and the tokens that these need.

    With held-out texts these are the texts' tokens, those of the model's own answers to them, and every
    single character of the languages' scripts; without, all tokens in these scripts. Texts of kept tokens
    are read as before.

    Args:
        source: a `TranslationSource` of several languages with one table of tokens.
        languages: two or more, by any of their codes.
        translator: `keras_attn.generation.keras_translator`.

    Raises:
        ArgumentError: it is not such a source, or less than two languages are named.
        InputError: the model does not know a language.
    """
    template = source.template if isinstance(source, TranslationSource) else None
    if template is None or not template.languages:
        raise ArgumentError("languages: this model has no languages to choose from; leave it out")
    if not (source.model.share_embeddings and source.model.tie_output):
        raise ArgumentError("languages: only a model with one table for all tokens is cut; leave it out")
    codes = tuple(dict.fromkeys(find_language(code, template.languages) for code in languages))
    if len(codes) < 2:
        raise ArgumentError(f"languages: name two or more of the model's, not only {', '.join(codes)}")
    chosen = _with_languages(source, codes)
    directions = [_directed(chosen, *pair) for pair in _pairs(template, codes)]
    texts = [*dict.fromkeys(text for pair in source.pairs for text in pair if text.strip())]
    answered = texts[: int(np.clip(_WORK // source.model.count_params(), _FEWEST, _MOST))]
    answers = [list(_answers(translator, source.model, each, answered)) for each in directions]
    kept = sorted(_needed(chosen, codes, texts, itertools.chain(*answers)))
    cut = _renumbered(chosen, kept)
    place = {number: new for new, number in enumerate(kept)}
    lost = []
    for direction, wanted in zip(map(_pair_of, directions), answers, strict=True):
        found = _answers(translator, cut.model, _directed(cut, *direction), answered)
        lost += [
            text
            for text, one, other in zip(answered, wanted, found, strict=True)
            if [place.get(token) for token in one] != other
        ]
    figures = Cut(
        codes,
        source.model.vocabulary_size,
        cut.model.vocabulary_size,
        source.model.hidden_dim,
        len(answered) * len(directions),
        len(lost),
        lost[0] if lost else None,
    )
    return cut, figures


def _with_languages(source: TranslationSource, codes: Sequence[str]) -> TranslationSource:
    """Return the source with some of its languages, in the direction of the first two, if its own is gone."""
    assert source.template is not None
    template = source.template
    defaults = {
        name: code if code in codes else None
        for name, code in (
            ("default_source", template.default_source),
            ("default_target", template.default_target),
        )
    }
    fewer = {code: template.languages[code] for code in codes}
    smaller = dataclasses.replace(template, languages=fewer, **defaults)
    own = source.languages.get("source", ""), source.languages.get("target", "")
    pair = own if {*own} <= {*codes} else (codes[0], codes[1])
    return _directed(dataclasses.replace(source, template=smaller), *pair)


def _directed(source: TranslationSource, one: str, other: str) -> TranslationSource:
    """Return the source in a direction, as it is proven in; its template keeps its own default languages."""
    assert source.template is not None
    template = dataclasses.replace(source.template, default_source=one, default_target=other)
    made = TranslationTokenizer(
        source.tokenizer.tokenizer, source.special_ids, source.model.vocabulary_size, template
    )
    languages = {"source": one, "target": other}
    return dataclasses.replace(source, tokenizer=made, special_ids=made.special_ids, languages=languages)


def _pairs(template: TextTemplate, codes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of languages whose texts begin differently."""
    seen = set()
    for pair in itertools.permutations(codes, 2):
        ids = tuple(template.ids(template.tokens, *pair))
        if ids not in seen:
            seen.add(ids)
            yield pair


def _pair_of(source: TranslationSource) -> tuple[str, str]:
    return source.languages["source"], source.languages["target"]


def _answers(
    translator: Translating, model: Any, directed: TranslationSource, texts: Sequence[str]
) -> Iterator[list[int]]:
    """Yield the tokens of greedy translations."""
    if not texts:
        return
    limits = {
        "max_source_tokens": model.max_sequence_length,
        "max_target_tokens": min(model.max_sequence_length, _LONGEST),
    }
    for found in translator(model, directed.tokenizer, **limits, **directed.search).translate(list(texts)):
        yield found.outputs[0].ids


def _needed(
    source: TranslationSource, codes: Sequence[str], texts: Sequence[str], answers: Iterator[list[int]]
) -> set[int]:
    """Return the tokens that some languages need, those included of which the model has no vector."""
    tokenizer, template, size = source.tokenizer.tokenizer, source.template, source.model.vocabulary_size
    assert template is not None
    names = {number: piece for piece, number in tokenizer.get_vocab().items()}
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    fixed = {each for each in template.tokens if isinstance(each, int)}
    needed = {*source.special_ids.values(), *template.languages.values(), *fixed}
    kinds = letters_of({script for code in codes for script in scripts_of(code)})
    ordinary = [(number, piece) for number, piece in names.items() if number not in special]
    if texts:
        for text in texts:
            needed.update(tokenizer.encode(text, add_special_tokens=False).ids)
        needed.update(itertools.chain(*answers))
    for number, piece in ordinary:
        word = piece.removeprefix(_SPACE)
        spelled = len(word) <= 1 or piece.startswith("<0x")
        if (spelled or not texts) and (is_written_in(word, kinds) or (word.isascii() and spelled)):
            needed.add(number)
    needed = pieces_of_words(tokenizer, needed)
    model = json.loads(tokenizer.to_str())["model"]
    if model["type"] == "Unigram":
        # What is unknown costs as much as the least likely piece, and more.
        needed.add(min(range(len(model["vocab"])), key=lambda number: model["vocab"][number][1]))
    return {number for number in needed if number < size or number in names}


def _renumbered(source: TranslationSource, kept: Sequence[int]) -> TranslationSource:
    """Return the source with these tokens only, numbered in their order."""
    model, place = source.model, {number: new for new, number in enumerate(kept)}
    rows = [number for number in kept if number < model.vocabulary_size]
    config = {**model.get_config(), "vocabulary_size": len(rows), "pad_id": place[model.pad_id]}
    smaller = type(model).from_config(config)
    values = {variable.path.partition("/")[2]: variable for variable in model.weights}
    for variable in smaller.weights:  # without the states of dropout
        path = variable.path.partition("/")[2]
        value = np.asarray(values[path])
        variable.assign(value[rows] if path in _ROWS else value)
    template = source.template
    assert template is not None

    def renumbered(token: Any) -> Any:
        return place[token] if isinstance(token, int) else token

    template = dataclasses.replace(
        template,
        before=tuple(map(renumbered, template.before)),
        after=tuple(map(renumbered, template.after)),
        start=renumbered(template.start),
        first=renumbered(template.first),
        languages={code: place[number] for code, number in template.languages.items()},
    )
    special = {role: place[number] for role, number in source.special_ids.items()}
    fewer = smaller_tokenizer(source.tokenizer.tokenizer, list(kept), "languages")
    tokenizer = TranslationTokenizer(fewer, special, len(rows), template, *_pair_of(source))
    made_from = {**source.made_from, "parameters": int(smaller.count_params())}
    found = dataclasses.replace(
        source,
        model=smaller,
        config=json_config(smaller),
        tokenizer=tokenizer,
        special_ids=tokenizer.special_ids,
        template=template,
        made_from=made_from,
    )
    return _directed(found, *_pair_of(source))
