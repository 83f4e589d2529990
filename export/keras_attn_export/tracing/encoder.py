"""The signatures of an encoder, traced: a text's tokens to log-probabilities or an embedding.

`encode_T` takes token_ids (1, T) int32 and padding_mask (1, T) float32, segment_ids (1, T) int32 where texts
may be two, and position (1,) int32 of a masked language model. `heads_T`, with the option `heads`, also
returns every head's attention, and `text_T`, with a tokenizer, takes the text itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from keras_attn.encoding import encoder_result, task_of
from keras_attn.models.tasks.own_encoder import OwnEncoder, Roles
from keras_attn_export.buckets import Bucket
from keras_attn_export.lowering.base import Signature


def trace(
    model: Any,
    buckets: Sequence[Mapping[str, Any]],
    pairs: bool = False,
    heads: bool = False,
    own: Mapping[str, Any] | None = None,
    tokenizer: Mapping[str, Any] | None = None,
) -> dict[str, Signature]:
    """Return the signatures of each length.

    Args:
        model: the Keras model.
        buckets: fields of `Bucket`.
        pairs: whether there is an input `segment_ids`.
        heads: whether there are signatures that return the attention of all heads, (L, H, T, T), as well.
        own: `task` and `roles` of an `OwnEncoder`; `None` for a model of `keras_attn.models`.
        tokenizer: `content` and `special_ids` of one that is part of further signatures.
    """
    encoder = model if own is None else OwnEncoder(model, own["task"], Roles(**own["roles"]))
    task = task_of(encoder)
    encode = _encode(encoder_result(encoder), "embedding" if task == "embedding" else "scores")
    signatures, described = {}, [Bucket(**each) for each in buckets]
    for bucket in described:
        shape = (1, bucket.source)
        inputs: dict[str, tuple[Sequence[int], Any]] = {
            "token_ids": (shape, tf.int32),
            "padding_mask": (shape, tf.float32),
            **({"segment_ids": (shape, tf.int32)} if pairs else {}),
            **({"position": ((1,), tf.int32)} if task == "masked-lm" else {}),
        }
        signatures[bucket.encode] = Signature(encode, inputs)
        if heads:
            signatures[bucket.heads] = Signature(_with_heads(encode, model), inputs)
    if tokenizer is not None:
        from keras_attn_export.graph_tokenizer.graph_tokenizer import GraphTokenizer, text_signatures

        signatures |= text_signatures(signatures, described, GraphTokenizer(**tokenizer))
    return signatures


def _encode(result: Callable[..., Any], name: str) -> Callable[..., dict[str, Any]]:
    def function(
        token_ids: Any, padding_mask: Any, position: Any = None, segment_ids: Any = None
    ) -> dict[str, Any]:
        where = None if position is None else position[None]  # (1, 1)
        return {name: result(token_ids, padding_mask > 0.5, where, segment_ids)}

    return function


def _with_heads(encode: Callable[..., dict[str, Any]], model: Any) -> Callable[..., dict[str, Any]]:
    """Return the attention as well: the converter finds what is computed twice, and computes it once."""

    def function(**tensors: Any) -> dict[str, Any]:
        read = {name: tensors[name] for name in ("token_ids", "segment_ids") if name in tensors}
        inputs = {**read, "padding_mask": tensors["padding_mask"] > 0.5}
        outputs = model.backbone(inputs, training=False, return_attention_scores=True)
        return {**encode(**tensors), "attention": outputs["attention_scores"][:, 0]}  # (L, H, T, T)

    return function
