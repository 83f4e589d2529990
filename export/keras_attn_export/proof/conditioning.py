"""How much a Keras model's own scores depend on the last bit of its weights.

No file can agree with a model more closely than the model with itself, computed in another order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.tolerance import counted_errors

LAST_BIT = 2.0**-24


def explained(
    detail: str, model: Any, task: str, proof: Proof, special_ids: Mapping[str, int], accepted: float
) -> str:
    """Return what a failed check of 32-bit scores says, and whether the model could pass at all."""
    change = rounding_error(model, task, proof, special_ids)
    if change <= accepted:
        return detail
    return (
        f"{detail}. The Keras model's own scores change by {change:.2g} when each of its weights changes in "
        "its last bit, so that no file can agree more closely: its weights are so large that rounding "
        "decides its attention. Train it longer, or with weight decay and clipnorm"
    )


def rounding_error(
    model: Any, task: str, proof: Proof, special_ids: Mapping[str, int], seed: int = 0
) -> float:
    """Compute the largest change of a proof's scores when every weight changes in its last bit.

    Args:
        model: the Keras model, whose weights are the same afterwards.
        task: as manifests name it.
        proof: its inputs, and the model's scores.
        special_ids: ids of `start` and others.
        seed: random seed of the directions in which weights change.
    """
    from keras import ops

    rng = np.random.default_rng(seed)
    kept = [(each, ops.convert_to_numpy(each.value)) for each in model.trainable_variables]
    try:
        for variable, value in kept:
            variable.assign(value * (1 + LAST_BIT * rng.choice((-1, 1), value.shape)).astype(value.dtype))
        return _change(model, task, proof, special_ids)
    finally:
        for variable, value in kept:
            variable.assign(value)


def _change(model: Any, task: str, proof: Proof, special_ids: Mapping[str, int]) -> float:
    from keras_attn.generation import keras_step_model_class

    count, steps = proof.target_ids.shape
    decoder = keras_step_model_class(task)(model, steps)
    mask = np.arange(proof.source_ids.shape[1])[None] < proof.source_lengths[:, None]
    state, tokens, worst = decoder.start(proof.source_ids, mask), np.full(count, special_ids["start"]), 0.0
    for step in range(steps):
        scores, state = decoder.step(tokens, state)
        found = np.take_along_axis(np.asarray(scores), proof.check_ids[:, step], 1)
        live = step < proof.target_lengths
        errors = counted_errors(found, proof.check_scores[:, step], logit_size=proof.logit_size)
        worst = max(worst, float(errors[live].max(initial=0)))
        tokens = proof.target_ids[:, step]
    return worst
