"""Drive a Keras model and its .tflite file side by side, step by step."""

import functools

import jax
import numpy as np
from keras_attn_export.proof.decoder_run import decoder_layout
from tiny_models import ROWS, layout

from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.decoder import LiteRTStepModel


def lite(file, model) -> LiteRTStepModel:
    """The step model of a .tflite file."""
    return LiteRTStepModel(Model(file), decoder_layout(layout(model), ROWS), pad_id=0)


@functools.cache
def compiled(model, steps: int):
    """A Keras model's `start`, with room for so many steps, and `step`; op by op they would take longer."""
    return jax.jit(lambda source, mask: model.start(source, mask, steps)), jax.jit(model.step)


def differences(model, file, length: int, rows: int, steps: int = 7, seed: int = 0) -> dict[str, float]:
    """Feed both the same random tokens, rows trading places as beams do; give the largest differences."""
    rng = np.random.default_rng(seed)
    source = rng.integers(4, model.vocabulary_size, (1, length)).astype(np.int32)
    mask = np.ones((1, length), bool)
    order = np.zeros(rows, np.int64)
    start, step = compiled(model, steps)
    memory, state = start(source, mask)
    memory, state = ({k: np.asarray(v)[order] for k, v in each.items()} for each in (memory, state))
    other_model = lite(file, model)
    other = other_model.start(source, mask).select(order)
    found = {"scores": 0.0, "alignment": 0.0, "spread": 0.0}
    for _ in range(steps):
        tokens = rng.integers(4, model.vocabulary_size, rows).astype(np.int32)
        scores, alignment, state = step(tokens, memory, state)
        other_scores, other = other_model.step(tokens, other)
        found["scores"] = max(
            found["scores"], float(np.abs(np.asarray(scores) - np.asarray(other_scores)).max())
        )
        found["spread"] = max(found["spread"], float(np.std(np.asarray(scores))))
        if alignment is None:
            assert other.alignment is None
        else:
            difference = np.abs(np.asarray(alignment) - other.alignment).max()
            found["alignment"] = max(found["alignment"], float(difference))
        order = rng.integers(0, rows, rows)
        state = {k: np.asarray(v)[order] for k, v in state.items()}
        other = other.select(order)
    return found
