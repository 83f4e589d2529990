"""The vocabulary, standardization and split of Keras' `TextVectorization`, as a tokenizer of the same ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as RawTokenizer

from keras_attn.errors import ArgumentError

_STANDARDIZATIONS = ("lower_and_strip_punctuation", "lower", "strip_punctuation", None)
_SPLITS = ("whitespace", "character", None)
# The layer changes ASCII only, in both steps, and splits at ASCII's white space.
_LOWER = [normalizers.Replace(chr(code), chr(code).lower()) for code in range(ord("A"), ord("Z") + 1)]
_PUNCTUATION = r"[!-/:-@\[-`{-~]"
_WHITE_SPACE = r"[ \t\n\x0b\x0c\r]+"
_ANY_CHARACTER = r"[\s\S]"


def words_of(lookup: Any, owner: Any) -> dict[str, int]:
    """Return the words of a `StringLookup` and their ids, without its mask token and its unknown ones.

    `owner` is the layer that errors name. `get_vocabulary` would lose NUL characters at the end of a word.

    Raises:
        ArgumentError: the layer has no vocabulary yet, or one that is not UTF-8.
    """
    if not int(lookup.lookup_table.size()):
        raise ArgumentError(f"{named(owner)} has no vocabulary yet: call `adapt` or `set_vocabulary` first")
    keys, ids = lookup.lookup_table.export()
    try:
        words = [key.decode() for key in keys.numpy().tolist()]
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"{named(owner)} has the word {error.object!r}, which is not UTF-8: leave it out"
        ) from None
    return dict(sorted(zip(words, ids.numpy().tolist(), strict=True), key=lambda item: item[1]))


def lookup_of(layer: Any) -> Any:
    """Return the `StringLookup` in a `TextVectorization`."""
    return layer._lookup_layer


def text_vectorization_tokenizer(layer: Any) -> RawTokenizer:
    """Return a tokenizer with the words' ids; a text has as many as it has words, without padding.

    In the output mode `"int"` the id 0 is padding, whose word is empty, and 1 stands for unknown words; in
    the other modes 0 stands for unknown words. N-grams are in the vocabulary, but no text is split into them.

    Raises:
        ArgumentError: the layer has no vocabulary, or an option that cannot be reproduced on a device.
    """
    config = layer.get_config()
    _check_option(layer, "standardize", layer._standardize, _STANDARDIZATIONS)
    _check_option(layer, "split", layer._split, _SPLITS)
    for option, supported in {"encoding": "utf-8", "ragged": False}.items():
        if config[option] != supported:
            raise ArgumentError(
                f"{named(layer)}: `{option}` must be {supported!r} to be reproduced on a device, not "
                f"{config[option]!r}"
            )
    words = words_of(lookup_of(layer), layer)
    raw = RawTokenizer(_model(words, padded=config["output_mode"] == "int"))
    steps = _steps(layer._standardize or "")
    if steps:
        raw.normalizer = normalizers.Sequence(steps)
    if layer._split == "whitespace":
        raw.pre_tokenizer = pre_tokenizers.Split(Regex(_WHITE_SPACE), "removed")
    elif layer._split == "character":
        raw.pre_tokenizer = pre_tokenizers.Split(Regex(_ANY_CHARACTER), "isolated")
        raw.decoder = decoders.Fuse()  # without spaces between the characters
    return raw


def check_one_id_a_word(layer: Any) -> None:
    """Raise an ArgumentError if a layer does more than to give each word of a text its id."""
    config = layer.get_config()
    for option, supported in {"output_mode": ("int",), "ngrams": (None, 1, (1,))}.items():
        if config[option] not in supported:
            raise ArgumentError(
                f"{named(layer)}: `{option}` must be {supported[0]!r} in a tokenizer, which gives each word "
                f"one id, not {config[option]!r}: make the layer part of the model, which takes texts then"
            )


def named(layer: Any) -> str:
    """Return a layer's class and name, for errors."""
    return f"{type(layer).__name__} {layer.name!r}"


def _check_option(layer: Any, option: str, found: Any, supported: tuple[str | None, ...]) -> None:
    if found in supported:
        return
    choices = ", ".join(map(repr, supported))
    name = getattr(found, "__name__", type(found).__name__)
    raise ArgumentError(
        f"{named(layer)}: `{option}` is the function {name}, which a device cannot run: use {choices}, "
        "or apply the function to the texts before they reach the layer, in training and on the device"
    )


def _model(words: Mapping[str, int], padded: bool) -> models.WordLevel:
    unknown = "[UNK]"
    while unknown in words:
        unknown += "?"
    special = {"": 0, unknown: 1} if padded else {unknown: 0}
    return models.WordLevel({**special, **words}, unk_token=unknown)


def _steps(standardization: str) -> list[normalizers.Normalizer]:
    lower = _LOWER if "lower" in standardization else []
    if "strip_punctuation" not in standardization:
        return list(lower)
    return [*lower, normalizers.Replace(Regex(_PUNCTUATION), "")]
