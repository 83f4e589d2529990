"""What the device does in place of one of Keras' preprocessing layers, read from the layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_attn.data.text_vectorization import lookup_of, named, text_vectorization_tokenizer, words_of
from keras_attn.device.preprocessing.bags import DROPPED, Bag
from keras_attn.device.preprocessing.lookups import Lookup
from keras_attn.device.preprocessing.text_vectors import TextVectors
from keras_attn.errors import ArgumentError

LOOKUPS = (keras.layers.TextVectorization, keras.layers.StringLookup, keras.layers.IntegerLookup)
ENCODINGS = (keras.layers.CategoryEncoding, keras.layers.Discretization)
_HASHES = (keras.layers.Hashing, keras.layers.HashedCrossing)


def check_known(layer: Any) -> None:
    """Raise an ArgumentError if a layer hashes, or overrides what its class of Keras' computes."""
    if isinstance(layer, _HASHES):
        raise ArgumentError(
            f"{named(layer)} hashes its input by a function that no device has: use a StringLookup or an "
            "IntegerLookup with a vocabulary"
        )
    for kind in LOOKUPS:
        for method in ("call", "_preprocess"):
            if isinstance(layer, kind) and getattr(type(layer), method, None) is not getattr(
                kind, method, None
            ):
                raise ArgumentError(
                    f"{named(layer)} overrides {kind.__name__}.{method}, which a device cannot run: use "
                    f"keras.layers.{kind.__name__} itself"
                )


def read_layer(layer: Any, shape: tuple[int | None, ...]) -> tuple[TextVectors | Lookup, Bag | None]:
    """Return what makes ids of a layer's input, and what makes vectors of them in its output mode.

    Args:
        layer: a `TextVectorization`, `StringLookup` or `IntegerLookup`.
        shape: of its input, without the batch axis.

    Raises:
        ArgumentError: an option cannot be reproduced on a device.
    """
    check_known(layer)
    if isinstance(layer, keras.layers.TextVectorization):
        return _read_text_vectorization(layer, shape)
    return _read_lookup(layer, shape)


def check_examples(layer: Any, mode: str, shape: tuple[int | None, ...]) -> None:
    """Raise an ArgumentError if a layer would make one vector of a batch, or of several axes."""
    if mode in ("multi_hot", "count", "tf_idf") and len(shape) != 1:
        raise ArgumentError(
            f"{named(layer)}: with `output_mode` {mode!r} an example must have one axis, not {shape}: "
            "give keras.Input(shape=(1,)) for one value an example"
        )


def _read_text_vectorization(layer: Any, shape: tuple[int | None, ...]) -> tuple[TextVectors, Bag | None]:
    config = layer.get_config()
    mode, split = config["output_mode"], layer._split is not None
    if mode == "one_hot":
        raise ArgumentError(f"{named(layer)}: `output_mode` 'one_hot' has no counterpart: use 'multi_hot'")
    fits = shape in ((), (1,)) if split else len(shape) == 1
    if not fits:
        raise ArgumentError(
            f"{named(layer)} reads an input of the shape {shape} an example: give keras.Input(shape=(1,), "
            "dtype='string')"
        )
    ids = mode == "int"
    length = config["output_sequence_length"]
    if ids and not split and length is None and layer._ngrams is None:
        length = shape[0]
    reads = TextVectors(
        text_vectorization_tokenizer(layer),
        length,
        padding=0 if ids else DROPPED,
        unknown=1 if ids else 0,
        widths=layer._ngrams,
        split=split,
    )
    return reads, None if ids else _bag(lookup_of(layer), mode)


def _read_lookup(layer: Any, shape: tuple[int | None, ...]) -> tuple[Lookup, Bag | None]:
    mode, strings = layer.output_mode, isinstance(layer, keras.layers.StringLookup)
    if layer.invert:
        raise ArgumentError(
            f"{named(layer)} has `invert=True` and turns ids into words: leave it out of the model, and give "
            "its vocabulary as `labels`"
        )
    if layer.num_oov_indices > 1 and (strings or layer.oov_method != "floormod"):
        raise ArgumentError(
            f"{named(layer)}: `num_oov_indices={layer.num_oov_indices}` hashes unknown values by a function "
            "that no device has: use `num_oov_indices=1`"
        )
    check_examples(layer, mode, shape)
    words = words_of(layer, layer) if strings else _numbers_of(layer)
    mask_id = 0 if mode == "int" else DROPPED
    mask = layer.mask_token if strings or layer.mask_token is None else int(layer.mask_token)
    reads = Lookup(tuple(words), strings, mask, mask_id, layer.num_oov_indices)
    return reads, None if mode == "int" else _bag(layer, mode)


def _numbers_of(layer: Any) -> list[int]:
    numbers = [int(number) for number in layer.get_vocabulary(include_special_tokens=False)]
    if not numbers:
        raise ArgumentError(f"{named(layer)} has no vocabulary yet: call `adapt` or `set_vocabulary` first")
    return numbers


def _bag(lookup: Any, mode: str) -> Bag:
    depth = lookup.max_tokens if lookup.pad_to_max_tokens else lookup.vocabulary_size()
    weights = np.asarray(lookup.idf_weights_const, np.float32) if mode == "tf_idf" else None
    return Bag(mode, depth, weights)
