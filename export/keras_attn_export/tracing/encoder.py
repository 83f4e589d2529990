"""The signatures of an encoder, traced: a text's tokens to log-probabilities, a logit or an embedding.

`encode_T` takes token_ids (1, T) int32 and padding_mask (1, T) float32, segment_ids (1, T) int32 where texts
may be two, and position (1,) int32 of a masked language model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from keras_attn.device.task_names import RESULTS
from keras_attn.encoding import encoder_result, task_of
from keras_attn.models.tasks.own_encoder import OwnEncoder, Roles
from keras_attn_export.buckets import Bucket
from keras_attn_export.lowering.base import Signature


def trace(
    model: Any,
    buckets: Sequence[Mapping[str, Any]],
    pairs: bool = False,
    own: Mapping[str, Any] | None = None,
) -> dict[str, Signature]:
    """Return a signature for each length.

    Args:
        model: the Keras model.
        buckets: fields of `Bucket`.
        pairs: whether there is an input `segment_ids`.
        own: `task` and `roles` of an `OwnEncoder`; `None` for a model of `keras_attn.models`.
    """
    encoder = model if own is None else OwnEncoder(model, own["task"], Roles(**own["roles"]))
    task = task_of(encoder)
    name = RESULTS[task or ""]
    signatures = {}
    for bucket in (Bucket(**each) for each in buckets):
        shape = (1, bucket.source)
        inputs: dict[str, tuple[Sequence[int], Any]] = {
            "token_ids": (shape, tf.int32),
            "padding_mask": (shape, tf.float32),
            **({"segment_ids": (shape, tf.int32)} if pairs else {}),
            **({"position": ((1,), tf.int32)} if task == "masked-lm" else {}),
        }
        signatures[bucket.encode] = Signature(_function(encoder_result(encoder), name), inputs)
    return signatures


def _function(result: Callable[..., Any], name: str) -> Callable[..., dict[str, Any]]:
    def function(
        token_ids: Any, padding_mask: Any, position: Any = None, segment_ids: Any = None
    ) -> dict[str, Any]:
        where = None if position is None else position[None]  # (1, 1)
        return {name: result(token_ids, padding_mask > 0.5, where, segment_ids)}

    return function
