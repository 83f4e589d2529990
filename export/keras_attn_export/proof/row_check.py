"""Whether the rows of a batch are independent: each has a sentence of its own, and its own step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.device.proof.checks import Check
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn_export.recipes import FP32

AHEAD, STEPS = 3, 4
"""How many tokens a row is ahead of another one, and the steps that both are compared over."""


def rows_check(model: Any, source: int, special_ids: Mapping[str, int], seed: int = 0) -> Check:
    """Check that a row of a step answers beside another row as it does alone.

    The rows have different sources, of different lengths, and are at different steps: in a batch the next
    sentence takes a place as soon as one has ended.

    Args:
        model: `keras_attn.models.EncoderDecoder`.
        source: tokens of a source.
        special_ids: ids of `start`, `end` and `pad`; the rows are fed others.
        seed: random seed of sources and tokens.
    """
    from keras import ops, tree

    rng = np.random.default_rng(seed)
    ordinary = np.setdiff1d(np.arange(model.vocabulary_size), list(special_ids.values()))

    def tokens(count: int) -> Any:
        return ops.convert_to_tensor(rng.choice(ordinary, count).astype(np.int32))

    def started(length: int) -> tuple[Any, Any]:
        ids = np.full((1, source), special_ids["pad"], np.int32)
        ids[0, :length] = [*rng.choice(ordinary, length - 1), special_ids["end"]]
        mask = ops.convert_to_tensor(np.arange(source)[None] < length)
        return model.start(ops.convert_to_tensor(ids), mask, AHEAD + STEPS)

    memories, states = zip(started(source), started(max(2, source // 2)), strict=True)
    states = list(states)
    for _ in range(AHEAD):
        _, _, states[0] = model.step(tokens(1), memories[0], states[0])

    def together(parts: Sequence[Any]) -> Any:
        return tree.map_structure(lambda *rows: ops.concatenate(rows, axis=0), *parts)

    memory, state, errors = together(memories), together(states), []
    for _ in range(STEPS):
        fed = tokens(2)
        scores, _, state = model.step(fed, memory, state)
        for row in range(2):
            alone, _, states[row] = model.step(fed[row : row + 1], memories[row], states[row])
            found, wanted = (ops.convert_to_numpy(each) for each in (scores[row], alone[0]))
            errors.append(float(counted_errors(found, wanted).max()))
    worst = max(errors)
    ok = worst <= FP32.tolerance.max_error
    detail = f"two rows at different steps answer as each alone: largest difference {worst:.3g}"
    if not ok:
        detail = (
            f"a row of {type(model).__name__}.step answers otherwise beside a row that is at another step of "
            f"another sentence: its scores differ by {worst:.3g}. In a batch each row has a position of its "
            'own: read all of state["position"] (R,), such as state["position"][:, None] as the positions of '
            "one token of each row, instead of its first element; or leave out `batch`"
        )
    return Check("rows", ok, detail, {"max_error": worst})
