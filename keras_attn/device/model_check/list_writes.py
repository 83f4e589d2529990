"""Finds where loops write an item of a list, as the layers of Keras that return sequences do.

TensorFlow's list of T items is a tensor (T, ...), and its item i is replaced by joining what is before it,
the new item and what is behind it::

    CONCATENATION(SLICE(list, [0, 0], [i, -1]), item, SLICE(list, [i + 1, 0], [-1, -1]))

The two parts are the only tensors of unknown sizes that a model may have. What is written has the shape of
the list, and nothing is read beyond it, if i counts the loop's iterations, of which there are at most T.
"""

from __future__ import annotations

import numpy as np

from keras_attn.device.model_check.loop_check import Loop, number_of, written_by
from keras_attn.device.model_check.model_tables import KINDS, ModelFile
from keras_attn.device.model_check.operator_rules import IF, WHILE
from keras_attn.device.model_check.operators import MOVED

_ADD, _CONCATENATION, _RESHAPE, _SLICE = 0, 2, 22, 65


def list_parts(model: ModelFile) -> np.ndarray:
    """Return the most bytes of each tensor that is a part of a list, (T,) int64; 0 for all others."""
    found = np.zeros(len(model.kind), np.int64)
    if not np.any(model.dynamic):
        return found
    reads = np.bincount(model.inputs.values[model.inputs.values >= 0], minlength=len(model.kind))
    reads += np.bincount(model.graph_outputs.values, minlength=len(model.kind))
    joining = (model.codes == _CONCATENATION) & (model.inputs.counts == 3) & (model.outputs.counts == 1)
    for i in np.flatnonzero(joining).tolist():
        before, item, after = model.inputs.of(i).tolist()
        parts = [before, after]
        if item < 0 or not all(part >= 0 and model.dynamic[part] and reads[part] == 1 for part in parts):
            continue
        written = _Write(model, i).target
        if written is not None:
            found[parts] = max(int(model.size[written]), 1)
    return found


class _Write:
    """A CONCATENATION that may write an item of a list; tensors are numbers of the model's."""

    def __init__(self, model: ModelFile, operator: int):
        self._model, self._graph = model, int(model.subgraph[operator])
        self._before, self._item, self._after = model.inputs.of(operator).tolist()
        self._result = int(model.outputs.of(operator)[0])
        options = model.options_of(operator)
        self._plain = options.get("axis") == options.get("activation") == 0

    @property
    def target(self) -> int | None:
        """The list whose item it writes; None if it does anything else."""
        model = self._model
        ahead, behind = self._sliced(self._before), self._sliced(self._after)
        if ahead is None or behind is None or ahead[0] != behind[0] or not self._plain:
            return None
        whole, begin, size = ahead
        _, start, rest = behind
        shape = self._shape(whole)
        alike = self._shape(self._result) == shape and self._shape(self._item) == (1, *shape[1:])
        tensors = [whole, self._result, self._item, self._before, self._after]
        kinds = {int(model.kind[each]) for each in tensors}
        static = not np.any(model.dynamic[[whole, self._result, self._item]])
        if not (shape and alike and static and len(kinds) == 1 and KINDS[kinds.pop()] in MOVED):
            return None
        rank = len(shape)
        count, step = self._first(size, rank, -1), self._first(start, rank, 0)
        fixed = self._values(begin) == [0] * rank and self._values(rest) == [-1] * rank
        if not fixed or count is None or step is None or not self._follows(step, count):
            return None
        return whole if self._counts_below(count, shape[0]) else None

    def _sliced(self, tensor: int) -> list[int] | None:
        code, read = written_by(self._model, self._graph, tensor)
        return read if code == _SLICE and len(read) == 3 and min(read) >= 0 else None

    def _first(self, tensor: int, rank: int, others: int) -> int | None:
        """Return the number that comes first in a list of numbers; None unless all others are ``others``."""
        model = self._model
        if model.kind[tensor] != 2 or self._shape(tensor) != (rank,):
            return None
        code, read = written_by(model, self._graph, tensor)
        if code == _CONCATENATION and len(read) == 2 and min(read) >= 0:
            if self._shape(read[0]) != (1,) or self._values(read[1]) != [others] * (rank - 1):
                return None
            code, read = written_by(model, self._graph, read[0])
        elif rank != 1:
            return None
        return read[0] if code == _RESHAPE and read and read[0] >= 0 else None

    def _follows(self, step: int, count: int) -> bool:
        """Return whether one number is another plus 1."""
        code, read = written_by(self._model, self._graph, step)
        return code == _ADD and read[0] == count and number_of(self._model, read[1]) == 1

    def _counts_below(self, count: int, limit: int) -> bool:
        """Return whether every loop with this body counts with that number, from 0 or more to a limit."""
        model = self._model
        given = model.graph_inputs.of(self._graph).tolist()
        loops = [Loop(model, i) for i in np.flatnonzero(model.codes == WHILE).tolist()]
        here = [loop for loop in loops if self._graph in (loop.body, loop.condition)]
        if count not in given or not here or self._called_otherwise():
            return False
        below = [
            loop.limit_of(given.index(count)) if loop.body == self._graph and loop.fits else None
            for loop in here
        ]
        return all(each is not None and each <= limit for each in below)

    def _called_otherwise(self) -> bool:
        model = self._model
        branches = [model.options_of(i) for i in np.flatnonzero(model.codes == IF).tolist()]
        called = {options.get(side) for options in branches for side in ("then", "else")}
        return self._graph in called | {signature.subgraph for signature in model.signatures}

    def _values(self, tensor: int) -> list[int] | None:
        model = self._model
        count = int(model.elements[tensor])
        small = model.kind[tensor] == 2 and model.bytes[tensor] > 0 and count <= model.values.shape[1]
        return model.values[tensor, :count].tolist() if small else None

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(self._model.dims[tensor, : self._model.rank[tensor]].tolist())
