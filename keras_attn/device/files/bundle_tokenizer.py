"""The tokenizers of a bundle, read from its files."""

from __future__ import annotations

from typing import Any, TypeVar

from keras_attn.device.errors import BundleError
from keras_attn.device.files.bundle import TARGET_TOKENIZER, TOKENIZER, Bundle
from keras_attn.device.task_names import ENCODER_TASKS
from keras_attn.device.text.pair_tokenizer import PairTokenizer
from keras_attn.device.text.text_template import TextTemplate
from keras_attn.device.text.tokenizer import EncoderTokenizer, PromptTokenizer, Tokenizer
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer

TEMPLATE = "text_template"
_FURTHER = (TARGET_TOKENIZER, TEMPLATE)
AnyTokenizer = TypeVar("AnyTokenizer", bound=Tokenizer)


def read_tokenizer(bundle: Bundle) -> Tokenizer:
    """Read the tokenizer of a bundle of any task, with that of its targets if there is one.

    Raises:
        BundleError: it cannot be read, or is not what the manifest says.
    """
    task = bundle.manifest["task"]
    if task in ENCODER_TASKS:
        return read_encoder_tokenizer(bundle)
    return with_target(bundle, read_as(PromptTokenizer if task == "generation" else Tokenizer, bundle))


def read_encoder_tokenizer(bundle: Bundle) -> EncoderTokenizer:
    """Read the tokenizer of an encoder's bundle; errors are those of ``read_tokenizer``."""
    manifest = bundle.manifest
    truncates = (manifest["model"].get("config") or {}).get("truncates", False)
    written = manifest["task"] == "masked-lm"
    return read_as(EncoderTokenizer, bundle, written_specials=written, truncates=truncates)


def read_as(kind: type[AnyTokenizer], bundle: Bundle, name: str = TOKENIZER, **options: Any) -> AnyTokenizer:
    """Read a file of a bundle as a tokenizer of a class; errors are those of ``read_tokenizer``."""
    content = bundle.read(name).decode(errors="replace")
    return kind.from_json(content, bundle.manifest["special_ids"], name=f"{bundle.path}/{name}", **options)


def with_target(bundle: Bundle, tokenizer: Tokenizer) -> Tokenizer:
    """Add the tokenizer of targets to that of sources, or what is around texts, if the bundle has such.

    Raises:
        BundleError: it cannot be read, or the manifest does not say how many tokens the model knows.
    """
    manifest = bundle.manifest
    given = next((each for each in (manifest["files"], manifest) for name in _FURTHER if name in each), None)
    if given is None:
        return tokenizer
    size = manifest["model"].get("config", {}).get("vocabulary_size")
    if not isinstance(size, int):
        named = next(name for name in _FURTHER if name in given)
        raise BundleError(f"{bundle.path} has a {named}, but its manifest lacks the model's vocabulary_size.")
    if TEMPLATE in manifest:
        template = TextTemplate.from_json(manifest[TEMPLATE], str(bundle.path))
        pair = (manifest.get("languages", {}).get(side) for side in ("source", "target"))
        directed = pair if template.languages else (None, None)
        made = TranslationTokenizer(tokenizer.tokenizer, tokenizer.special_ids, size, template, *directed)
        if made.special_ids != tokenizer.special_ids:
            raise BundleError(f"{bundle.path}: text_template and special_ids of its manifest differ.")
        return made
    target = read_as(Tokenizer, bundle, TARGET_TOKENIZER)
    return PairTokenizer(tokenizer.tokenizer, tokenizer.special_ids, target.tokenizer, size)
