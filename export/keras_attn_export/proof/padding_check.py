"""The check that padding changes nothing, for encoders of the user's own class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_attn.device.proof.checks import Check
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn.encoding import KerasEncoder
from keras_attn_export.tracing.lost_mask import where_mask_is_lost

ACCEPTED = 1e-4
_TEXTS = 8


def padding_check(padded: KerasEncoder, texts: Sequence[Sequence[int]]) -> Check:
    """Compare a Keras model's results of texts that are padded with those of the same texts alone.

    Args:
        padded: pads texts to the lengths of the signatures.
        texts: tokens; those that fill a signature are left out.
    """
    model = padded.model
    short = [list(ids) for ids in texts if len(ids) not in padded.lengths][:_TEXTS]
    worst, at = 0.0, None
    for ids in short:
        alone = KerasEncoder(model, [len(ids)], padded.end_id).run(ids)
        errors = counted_errors(padded.run(ids), alone, embeds=model.task == "embedding")
        error = float(np.max(errors))
        if not error <= worst:
            worst, at = error, ids
    detail = f"padding changes the Keras model's results by {worst:.2g} of {ACCEPTED:.2g} accepted"
    if worst <= ACCEPTED or at is None:
        return Check("padding", True, detail, {"max_error": worst})

    def call() -> Any:
        return _uncompiled(padded, at)

    where = where_mask_is_lost(model.model, call)
    detail += f": {where}; or let the model take texts of a fixed length, which are always filled up to it"
    return Check("padding", False, detail, {"max_error": worst})


def _uncompiled(encoder: KerasEncoder, ids: Sequence[int]) -> Any:
    from keras import ops

    tokens, mask = encoder.padded([ids])
    return encoder.model.result(ops.convert_to_tensor(tokens), ops.convert_to_tensor(mask))
