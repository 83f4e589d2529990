"""Checks that a model's loops end: those of greedy search, which count tokens, or chunks, up to a limit.

A loop runs while ``count < limit`` and its body adds to the count, or the loop has ended: a search stops
counting at the token that finishes it, and ``finished < 1`` is the other half of its condition.
"""

from __future__ import annotations

import numpy as np

from keras_attn.device.model_check.model_tables import ModelFile
from keras_attn.device.model_check.operator_rules import WHILE

_MOST_ITERATIONS = 2**16
_ADD, _RESHAPE, _SUB, _CAST, _MINIMUM, _LESS, _AND = 0, 22, 41, 53, 57, 58, 86
_INT32, _BOOL = 2, 6


def check_loops(model: ModelFile) -> None:
    """Check that each loop's subgraphs fit it, that it ends, and that none calls itself.

    Raises:
        BundleError: names the loop.
    """
    started = {signature.subgraph for signature in model.signatures}
    for i in np.flatnonzero(model.codes == WHILE).tolist():
        loop = _Loop(model, i)
        right = loop.fits and started.isdisjoint((loop.condition, loop.body)) and loop.ends
        number, graph = i - model.first_operator[loop.graph], loop.graph
        problem = (
            f"its subgraphs do not fit it, or it does not count to a limit of at most {_MOST_ITERATIONS}"
        )
        model.file.check(right, f"WHILE, operator {number} of subgraph {graph}: {problem}")


class _Loop:
    """A loop; tensors are numbers of the model's."""

    def __init__(self, model: ModelFile, operator: int):
        self._model = model
        options = model.options_of(operator)
        self.graph = int(model.subgraph[operator])
        self.condition, self.body = (_whole(options.get(name)) for name in ("condition", "body"))
        self._carried = model.inputs.of(operator).tolist()

    @property
    def fits(self) -> bool:
        """Whether the subgraphs take and return the loop's tensors. Callers come before what they call."""
        if not all(self.graph < graph < self._model.graph_count for graph in (self.condition, self.body)):
            return False
        model = self._model
        sides = [model.graph_inputs.of(self.condition), model.graph_inputs.of(self.body)]
        sides.append(model.graph_outputs.of(self.body))
        wanted = [self._shape(tensor) for tensor in self._carried]
        results = [self._shape(tensor) for tensor in model.graph_outputs.of(self.condition)]
        one = len(results) == 1 and results[0][0] == _BOOL and np.prod(results[0][1:]) == 1
        return one and all([self._shape(tensor) for tensor in side] == wanted for side in sides)

    @property
    def ends(self) -> bool:
        """Whether a number that the body adds to must stay below a limit."""
        model = self._model
        inputs = model.graph_inputs.of(self.condition).tolist()
        compared = list(self._compared())
        stops = {inputs.index(a) for a, b in compared if a in inputs and self._number(b) == 1}
        return any(
            self._begins(inputs.index(a))
            and self._limited(b, inputs)
            and self._counts(inputs.index(a), stops)
            for a, b in compared
            if a in inputs
        )

    def _compared(self):
        """Yield the pairs (a, b) such that the loop continues only while a < b."""
        pending = [int(self._model.graph_outputs.of(self.condition)[0])]
        while pending:
            code, read = self._written(self.condition, pending.pop())
            if code == _LESS:
                yield read[0], read[1]
            elif code == _AND:
                pending += read
            elif code == _RESHAPE:
                pending.append(read[0])

    def _begins(self, index: int) -> bool:
        begin = self._number(self._carried[index])
        return begin is not None and begin >= 0

    def _limited(self, limit: int, inputs: list[int]) -> bool:
        """Return whether a limit is a constant, or was set before the loop and does not change."""
        found = self._number(limit)
        if limit in inputs:
            index = inputs.index(limit)
            before, after = (
                lists.of(self.body)[index] for lists in (self._model.graph_inputs, self._model.graph_outputs)
            )
            found = self._most(self._carried[index]) if before == after else None
        return found is not None and found <= _MOST_ITERATIONS

    def _most(self, tensor: int, depth: int = 8) -> int | None:
        """Return an upper bound of a number that is computed before the loop."""
        found = self._number(tensor)
        if found is not None or not depth:
            return found
        code, read = self._written(self.graph, tensor)
        if code == _MINIMUM:
            bounds = [self._most(each, depth - 1) for each in read]
            return min((each for each in bounds if each is not None), default=None)
        if code == _SUB:
            most, less = self._most(read[0], depth - 1), self._number(read[1])
            return None if most is None or less is None or less < 0 else most - less
        return None

    def _counts(self, index: int, stops: set[int]) -> bool:
        """Return whether the body adds to a number, except where it ends the loop."""
        model = self._model
        outputs = model.graph_outputs.of(self.body).tolist()
        code, read = self._written(self.body, outputs[index])
        if code == _SUB:
            ending = read[1] in [outputs[stop] for stop in stops] and self._is_cast_bool(read[1])
            code, read = self._written(self.body, read[0]) if ending else (None, [])
        if code != _ADD:
            return False
        amount = self._number(read[1])
        return read[0] == model.graph_inputs.of(self.body)[index] and amount is not None and amount > 0

    def _is_cast_bool(self, tensor: int) -> bool:
        code, read = self._written(self.body, tensor)
        return code == _CAST and self._model.kind[read[0]] == _BOOL

    def _written(self, graph: int, tensor: int) -> tuple[int | None, list[int]]:
        """Return the code and the inputs of the operator that writes a tensor; None for an input."""
        first = int(self._model.first_operator[graph])
        operators = np.arange(first, first + int(self._model.operator_counts[graph]))
        written = self._model.outputs.values == tensor
        writers = np.intersect1d(self._model.outputs.owners[written], operators)
        if not len(writers):
            return None, []
        return int(self._model.codes[writers[0]]), self._model.inputs.of(int(writers[0])).tolist()

    def _shape(self, tensor: int) -> tuple[int, ...]:
        model = self._model
        return (int(model.kind[tensor]), *model.dims[tensor, : model.rank[tensor]].tolist())

    def _number(self, tensor: int) -> int | None:
        model = self._model
        known = model.kind[tensor] == _INT32 and model.bytes[tensor] > 0 and model.elements[tensor] == 1
        return int(model.values[tensor, 0]) if known else None


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1
