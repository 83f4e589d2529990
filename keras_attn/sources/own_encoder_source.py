"""A Keras model of one's own, with a tokenizer, as a classifier or a sentence encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.data.tokenizer_conversion import as_tokenizer
from keras_attn.device.files.interface import Field, Interface
from keras_attn.device.preprocessing.text_vectors import TextVectors
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.errors import ArgumentError, shortened
from keras_attn.models.tasks.own_encoder import (
    LOGIT,
    LOGITS,
    PROBABILITIES,
    PROBABILITY,
    VECTOR,
    OwnEncoder,
    Roles,
    check_labels,
)
from keras_attn.sources.input_readers import ids_taken, reading_layers
from keras_attn.sources.model_interface import input_fields
from keras_attn.sources.prediction_source import as_numpy, call_model, check_exportable
from keras_attn.sources.split_preprocessing import split_preprocessing

TASKS = ("classification", "embedding")
_TRIED = 16  # texts by which to see what the outputs are


def own_encoder(
    model: Any, tokenizer: Any, task: str, labels: Sequence[str] | None, texts: Sequence[str]
) -> OwnEncoder:
    """Find out how a model is called with tokens, and what it returns.

    Args:
        model: a built Keras model that takes ids (N, T), and perhaps a mask and segments of the same shape.
        tokenizer: `keras_attn.device.EncoderTokenizer`, whose ids it was trained with.
        task: `"classification"` or `"embedding"`.
        labels: of a classifier, in the order of its outputs.
        texts: that it is tried with; may be empty.

    Raises:
        ArgumentError: an input has no role in reading a text, or the output is not the task's.
    """
    check_exportable(model)
    fields, structure = input_fields(model, _called_with(model), variable=True)
    by_role = _by_role(fields)
    ids = by_role["token_ids"]
    length = ids.shape[0]
    roles = Roles(
        *(
            by_role[role].name if role in by_role else ""
            for role in ("token_ids", "padding_mask", "segment_ids")
        ),
        types={each.name: each.dtype for each in fields},
        structure=structure,
        output=(),
        returns=VECTOR,
        pad_id=tokenizer.special_ids["pad"],
        length=length,
    )
    tried = _token_ids(model, tokenizer, ids.name, texts, length)
    outputs = _call(model, Interface(fields, (), structure, []), roles, tried)
    path, output = _only_output(outputs, task, labels)
    values = as_numpy(output)
    if values.ndim != 2:
        raise ArgumentError(
            f"task {task!r} needs an output of shape (batch, values), not {values.shape}; without "
            "`tokenizer` the model is exported as one of arrays"
        )
    returns = VECTOR
    if task == "classification":
        check_labels(list(labels or ()), values.shape[1])
        returns = _kind(values)
    found = Roles(**{**vars(roles), "output": path, "returns": returns})
    return OwnEncoder(model, task, found, None if labels is None else [str(label) for label in labels])


def with_tokenizer(model: Any, tokenizer: Any, task: str) -> tuple[Any, EncoderTokenizer, int | None]:
    """Return a model on ids, the tokenizer that makes them, and at how many ids the model itself cuts texts.

    The tokenizer is the given one, or what the model begins with.

    Raises:
        ArgumentError: there is none, or there are two, or it does more than making ids of a text.
    """
    rest, before = split_preprocessing(model)
    if tokenizer is None and getattr(model, "preprocessor", None) is not None:  # KerasHub's tasks
        tokenizer = model.preprocessor.tokenizer
    if tokenizer is not None:
        if before.steps:
            raise ArgumentError("tokenizer: the model begins with its own preprocessing; leave it out")
        found = as_tokenizer(tokenizer, task)
        assert isinstance(found, EncoderTokenizer)
        return model, found, None
    step = before.steps[0] if len(before.steps) == 1 and not before.passed else None
    reads = None if step is None else step.reads
    if step is None or step.bag is not None or not isinstance(reads, TextVectors) or reads.widths:
        name = "labels" if task == "classification" else "task"
        raise ArgumentError(
            f"{name}: the model does not begin with one TextVectorization that makes ids of single words: "
            f"give its `tokenizer`, or leave `{name}` out and it is exported with strings in and arrays out"
        )
    found = as_tokenizer(reads.tokenizer, task)
    assert isinstance(found, EncoderTokenizer)
    found.truncates = reads.length is not None
    return rest, found, reads.length


def vocabulary_size(encoder: OwnEncoder, tokenizer: Any) -> int:
    """Return how many ids a model's table holds, or else its tokenizer has."""
    layers = reading_layers(encoder.model, encoder.roles.token_ids) or list(encoder.model._flatten_layers())
    size = tokenizer.tokenizer.get_vocab_size()
    return min(ids_taken(layers) or ids_taken(encoder.model._flatten_layers()) or [size])


def _called_with(model: Any) -> Any:
    """Return ids of a subclassed model, which does not record its inputs."""
    recorded = hasattr(getattr(model, "_functional", None) or model, "_inputs_struct")
    return None if recorded else np.ones((1, 8), np.int32)


def _by_role(fields: Sequence[Field]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for each in fields:
        name = each.name.lower()
        role = "padding_mask" if "mask" in name else "token_ids"
        if "segment" in name or "type" in name:
            role = "segment_ids"
        if role in found or len(each.shape) != 1:
            raise ArgumentError(
                f"input {each} has no role in reading a text: a model with a tokenizer takes ids, and "
                "perhaps a mask and segment ids, of shape (batch, length); without `tokenizer` it is "
                "exported as one of arrays"
            )
        found[role] = each
    if "token_ids" not in found:
        raise ArgumentError(f"none of the inputs {', '.join(map(str, fields))} takes the ids of a text")
    return found


def _token_ids(
    model: Any, tokenizer: Any, name: str, texts: Sequence[str], length: int | None
) -> list[list[int]]:
    """Return ids of texts to try a model with; random ones where there are no texts."""
    found = [tokenizer.encode(text) for text in texts[:_TRIED]]
    found = [ids for ids in found if ids]
    layers = reading_layers(model, name) or list(model._flatten_layers())
    most = min(ids_taken(layers) or [tokenizer.tokenizer.get_vocab_size()])
    largest = max((max(ids) for ids in found), default=0)
    if largest >= most:
        raise ArgumentError(
            f"tokenizer: it makes the id {largest}, and the model's embedding has {most} rows; give the "
            "tokenizer that the model was trained with"
        )
    if not found:
        rng = np.random.default_rng(0)
        found = [rng.integers(1, most, length or 8).tolist() for _ in range(_TRIED)]
    return [ids[:length] for ids in found]


def _call(model: Any, interface: Interface, roles: Roles, texts: Sequence[Sequence[int]]) -> Any:
    width = roles.length or max(map(len, texts))
    ids = np.full((len(texts), width), roles.pad_id, np.int32)
    mask = np.zeros(ids.shape, bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, True
    arrays = {roles.token_ids: ids, roles.padding_mask: mask, roles.segment_ids: np.zeros_like(ids)}
    try:
        return call_model(model, interface, arrays)
    except Exception as error:  # whatever a user's layers raise
        raise ArgumentError(
            f"the model cannot be called with ids of shape {ids.shape}: {shortened(error)}"
        ) from error


def _only_output(outputs: Any, task: str, labels: Sequence[str] | None) -> tuple[tuple[str | int, ...], Any]:
    """Return the path to the output that is the task's, and the output."""
    if not isinstance(outputs, Mapping | list | tuple):
        return (), outputs
    items = list(outputs.items()) if isinstance(outputs, Mapping) else list(enumerate(outputs))
    if len(items) == 1:
        return (items[0][0],), items[0][1]
    wanted = None if labels is None else len(labels)
    fitting = [
        (key, value)
        for key, value in items
        if len(getattr(value, "shape", ())) == 2 and wanted in (None, value.shape[1])
    ]
    if len(fitting) != 1:
        names = ", ".join(repr(key) for key, _ in items)
        raise ArgumentError(
            f"task {task!r} needs one output, and the model has {names}: make a model of the one that is "
            "meant, keras.Model(model.inputs, output)"
        )
    return (fitting[0][0],), fitting[0][1]


def _kind(values: np.ndarray) -> str:
    """Return what scores (N, C) are, by their values."""
    inside = values.min() >= 0 and values.max() <= 1
    if values.shape[1] == 1:
        return PROBABILITY if inside else LOGIT
    return PROBABILITIES if inside and np.allclose(values.sum(1), 1, atol=1e-3) else LOGITS
