"""A checkpoint that translates, as a source: its tokenizers, its languages and its search."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_attn.data.tokenizer_conversion import unknown_id
from keras_attn.device.text.pair_tokenizer import PairTokenizer
from keras_attn.device.text.text_template import TextTemplate
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer
from keras_attn.errors import ArgumentError
from keras_attn.sources.float32_model import in_float32, json_config
from keras_attn.sources.source import TranslationSource
from keras_attn.sources.suppression import without_suppressed

TOKENIZER_OPTIONS = "tokenizer_config.json"


def pretrained_translator(
    folder: Path, model: Any, tokenizer: Any, examples: Any, languages: Any, made_from: dict[str, Any]
) -> TranslationSource:
    """Bring the model, the tokenizers and the search of a folder into one form.

    Raises:
        ArgumentError: when its search cannot be the device's.
    """
    from keras_attn import pretrained
    from keras_attn.pretrained.text_templates import read_text_template
    from keras_attn.pretrained.tokenizers.marian import is_marian

    options = pretrained.search_options(folder)
    unknown = unknown_id(tokenizer)
    own = {
        "start": options["start_id"],
        "end": options["end_id"],
        # A tokenizer of bytes knows every text.
        "unknown": options["end_id"] if unknown is None else unknown,
    }
    if options["renormalize"] and options["suppress"]:
        model = without_suppressed(model, options["suppress"])
    common = {
        "model": in_float32(model),
        "config": json_config(model),
        "made_from": made_from,
        "pairs": [pair_of(example) for example in examples or ()],
        "force_end": options["force_end"],
        "early_stopping": options["early_stopping"],
        "min_length": options["min_length"],
        "no_repeat_ngram": options["no_repeat_ngram"],
    }
    if is_marian(folder):
        special_ids = {"pad": model.pad_id, **own}
        _check_suppressed(folder, options, special_ids)
        target = pretrained.load_tokenizer(folder, target=True)
        settings = folder / TOKENIZER_OPTIONS
        named = json.loads(settings.read_text("utf-8")) if settings.is_file() else {}
        return TranslationSource(
            tokenizer=PairTokenizer(tokenizer, special_ids, target, model.vocabulary_size),
            special_ids=special_ids,
            languages=languages or {side: named.get(f"{side}_lang") or side for side in ("source", "target")},
            **common,
        )
    # generate() may produce padding, which is masked here, and so may have any id.
    pad = model.pad_id if model.pad_id in options["suppress"] else own["end"]
    special_ids = {"pad": pad, **own}
    if own["start"] not in options["suppress"]:
        special_ids["produced"] = own["start"]
    _check_suppressed(folder, options, special_ids)
    template = read_text_template(folder, tokenizer, options)
    if languages and template.languages:
        pair = template.pair(languages.get("source"), languages.get("target"))
        template = dataclasses.replace(template, default_source=pair[0], default_target=pair[1])
    directed = _with_a_direction(template)
    made = TranslationTokenizer(tokenizer, special_ids, model.vocabulary_size, directed)
    chosen = {"source": made.source or "source", "target": made.to_language or "target"}
    return TranslationSource(
        tokenizer=made,
        special_ids=made.special_ids,
        languages=chosen if template.languages else languages or chosen,
        template=template,
        **common,
    )


def directed_run(
    run: Any, examples: Any, languages: Mapping[str, str], made_from: dict[str, Any], more: dict[str, Any]
) -> TranslationSource:
    """Bring a run of several directions into one form; it is proven in that of `languages`."""
    template = TextTemplate.from_json(run.config["text_template"], str(run.folder))
    source, target = languages["source"], languages["target"]
    _, target = template.pair(source if source in template.languages else None, target)
    directed = dataclasses.replace(
        template, default_source=source if source in template.languages else None, default_target=target
    )
    made = TranslationTokenizer(run.tokenizer.tokenizer, run.special_ids, run.model.vocabulary_size, directed)
    way = f"{source}-{target}"
    return TranslationSource(
        model=in_float32(run.model),
        config=json_config(run.model),
        tokenizer=made,
        special_ids=made.special_ids,
        made_from=made_from,
        languages={"source": source, "target": target or ""},
        pairs=[tuple(example[:2]) for example in examples if example[2:] in ((), (way,))],
        template=template,
        **more,
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


def pair_of(example: Any) -> tuple[str, str]:
    """Read a pair: two texts, or one with a tab between source and target, or only the source."""
    source, target = example.partition("	")[::2] if isinstance(example, str) else example
    return source, target
