"""A checkpoint that translates, as a source: its tokenizers, its languages and its search."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_attn.device.text.text_template import TextTemplate
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer
from keras_attn.pretrained.translator_text import read_translator_text
from keras_attn.sources.float32_model import in_float32, json_config
from keras_attn.sources.source import TranslationSource
from keras_attn.sources.suppression import without_suppressed


def pretrained_translator(
    folder: Path,
    model: Any,
    tokenizer: Any,
    examples: Any,
    languages: Any,
    made_from: dict[str, Any],
    **more: Any,
) -> TranslationSource:
    """Bring the model, the tokenizers and the search of a folder into one form.

    Raises:
        ArgumentError: when its search cannot be the device's.
    """
    text = read_translator_text(folder, model.vocabulary_size, model.pad_id, tokenizer, languages)
    if text.suppressed:
        model = without_suppressed(model, text.suppressed)
    return TranslationSource(
        model=in_float32(model),
        config=json_config(model),
        tokenizer=text.tokenizer,
        special_ids=dict(text.tokenizer.special_ids),
        made_from=made_from,
        languages=text.languages,
        pairs=[pair_of(example) for example in examples or ()],
        template=text.template,
        **text.search,
        **more,
    )


def tuned_run(
    run: Any,
    folder: Path,
    examples: Any,
    languages: Mapping[str, str],
    made_from: dict[str, Any],
    more: dict[str, Any],
) -> TranslationSource:
    """Bring a run that was fine-tuned from a checkpoint into one form, with the checkpoint's `folder`."""
    named = languages["source"], languages["target"]
    pairs = _of_direction(examples, "-".join(named))
    # A table without languages was of the checkpoint's own direction.
    chosen = None if named == ("source", "target") else languages
    return pretrained_translator(folder, run.model, None, pairs, chosen, made_from, **more)


def _of_direction(examples: Any, way: str) -> list[tuple[str, str]]:
    """Return the pairs of a direction, without its name; pairs without one are all of it."""
    return [(example[0], example[1]) for example in examples if tuple(example[2:]) in ((), (way,))]


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
    return TranslationSource(
        model=in_float32(run.model),
        config=json_config(run.model),
        tokenizer=made,
        special_ids=made.special_ids,
        made_from=made_from,
        languages={"source": source, "target": target or ""},
        pairs=_of_direction(examples, f"{source}-{target}"),
        template=template,
        **more,
    )


def pair_of(example: Any) -> tuple[str, str]:
    """Read a pair: two texts, or one with a tab between source and target, or only the source."""
    source, target = example.partition("	")[::2] if isinstance(example, str) else example
    return source, target
