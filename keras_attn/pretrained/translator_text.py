"""A translator's checkpoint besides its weights: its tokenizers, its languages and its search."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as RawTokenizer

from keras_attn.device.text.pair_tokenizer import PairTokenizer
from keras_attn.device.text.text_template import TextTemplate
from keras_attn.device.text.tokenizer import Tokenizer
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer
from keras_attn.errors import ArgumentError
from keras_attn.pretrained.generation_config import search_options
from keras_attn.pretrained.tokenizers.load_tokenizer import load_tokenizer
from keras_attn.pretrained.tokenizers.marian import is_marian
from keras_attn.pretrained.tokenizers.tokenizer_json import unknown_id
from keras_attn.pretrained.translator_templates import read_text_template

TOKENIZER_OPTIONS = "tokenizer_config.json"
SEARCH = ("force_end", "early_stopping", "min_length", "no_repeat_ngram")


@dataclasses.dataclass(frozen=True)
class TranslatorText:
    """What translates text with a model.

    Attributes:
        tokenizer: of one direction.
        languages: labels of `source` and `target`.
        search: the search's rules, as `keras_translator` takes them.
        template: the tokens around texts; `None` for MarianMT.
        suppressed: tokens that are never produced and whose probability the others share.
    """

    tokenizer: Tokenizer
    languages: dict[str, str]
    search: dict[str, Any]
    template: TextTemplate | None
    suppressed: list[int]


def read_translator_text(
    folder: Path,
    vocabulary_size: int,
    pad_id: int,
    tokenizer: RawTokenizer | None = None,
    languages: dict[str, Any] | None = None,
) -> TranslatorText:
    """Read a folder's tokenizers, languages and search.

    Args:
        folder: of the checkpoint; its weights are not read.
        vocabulary_size: int, of the model.
        pad_id: the model's.
        tokenizer: its tokenizer, if it has been loaded.
        languages: `source` and `target`, instead of the folder's.

    Raises:
        ArgumentError: if its search cannot be the device's.
        PretrainedError: if a file is missing, broken or not supported.
    """
    tokenizer = load_tokenizer(folder) if tokenizer is None else tokenizer
    options = search_options(folder)
    unknown = unknown_id(tokenizer)
    own = {
        "start": options["start_id"],
        "end": options["end_id"],
        # A tokenizer of bytes knows every text.
        "unknown": options["end_id"] if unknown is None else unknown,
    }
    common = {
        "search": {name: options[name] for name in SEARCH},
        "suppressed": options["suppress"] if options["renormalize"] else [],
    }
    if is_marian(folder):
        special_ids = {"pad": pad_id, **own}
        _check_suppressed(folder, options, special_ids)
        target = load_tokenizer(folder, target=True)
        settings = folder / TOKENIZER_OPTIONS
        named = json.loads(settings.read_text("utf-8")) if settings.is_file() else {}
        usual = {side: named.get(f"{side}_lang") or side for side in ("source", "target")}
        made = PairTokenizer(tokenizer, special_ids, target, vocabulary_size)
        return TranslatorText(made, languages or usual, template=None, **common)
    # generate() may produce padding, which is masked here, and so may have any id.
    pad = pad_id if pad_id in options["suppress"] else own["end"]
    special_ids = {"pad": pad, **own}
    if own["start"] not in options["suppress"]:
        special_ids["produced"] = own["start"]
    _check_suppressed(folder, options, special_ids)
    template = read_text_template(folder, tokenizer, options)
    if languages and template.languages:
        pair = template.pair(languages.get("source"), languages.get("target"))
        template = dataclasses.replace(template, default_source=pair[0], default_target=pair[1])
    made = TranslationTokenizer(tokenizer, special_ids, vocabulary_size, _with_a_direction(template))
    chosen = {"source": made.source or "source", "target": made.to_language or "target"}
    return TranslatorText(
        made, chosen if template.languages else languages or chosen, template=template, **common
    )


def _check_suppressed(folder: Path, options: Mapping[str, Any], special_ids: Mapping[str, int]) -> None:
    others = sorted({*options["suppress"]} - {special_ids["pad"], special_ids["start"]})
    if others and not options["renormalize"]:
        raise ArgumentError(
            f"{folder} never produces the tokens {others} (bad_words_ids, suppress_tokens), but a bundle's "
            "search can leave out only padding"
        )


def _with_a_direction(template: TextTemplate) -> TextTemplate:
    """Return a template with default languages: a model that has none is proven in one direction."""
    source = template.default_source or next(iter(template.languages), None)
    others = (code for code in template.languages if code != source)
    target = template.default_target or next(others, source)
    return dataclasses.replace(template, default_source=source, default_target=target)
