"""Checks of what calls subgraphs: they fit the tensors of branches and loops, and loops end.

Loops count tokens, time steps or chunks up to a limit. A loop runs while ``count < limit`` and its body adds
to the count, or the loop has ended: a search stops counting at the token that finishes it, and
``finished < 1`` is the other half of its condition.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_attn.device.model_check.model_tables import ModelFile
from keras_attn.device.model_check.operator_rules import IF, WHILE

_MOST_ITERATIONS, _MOST_OPERATORS, _MOST_NESTED = 2**16, 2**30, 16
_ADD, _RESHAPE, _SUB, _CAST, _MINIMUM, _LESS, _AND = 0, 22, 41, 53, 57, 58, 86
_GREATER, _GREATER_EQUAL, _LESS_EQUAL = 61, 62, 63
_INT32, _BOOL = 2, 6


def check_calls(model: ModelFile) -> None:
    """Check that the subgraphs of branches and loops fit them, that loops end, and that none calls itself.

    Raises:
        BundleError: names the branch or the loop.
    """
    calls: dict[int, list[tuple[int, list[int]]]] = {}
    started = {signature.subgraph for signature in model.signatures}
    for i in np.flatnonzero(np.isin(model.codes, (IF, WHILE))).tolist():
        number, graph = i - model.first_operator[model.subgraph[i]], int(model.subgraph[i])
        if model.codes[i] == WHILE:
            loop, name = Loop(model, i), "WHILE"
            called, fits, times = [loop.condition, loop.body], loop.fits, 0
            if fits:
                times = loop.iterations or 0
            problem = (
                f"its subgraphs do not fit it, or it does not count to a limit of at most {_MOST_ITERATIONS}"
            )
        else:
            options, name, times = model.options_of(i), "IF", 1
            called = [_whole(options.get(side)) for side in ("then", "else")]
            fits, problem = _branches_fit(model, i, called), "its subgraphs do not fit it"
        right = fits and times > 0 and started.isdisjoint(called)
        model.file.check(right, f"{name}, operator {number} of subgraph {graph}: {problem}")
        calls.setdefault(graph, []).append((times, called))
    for graph in sorted(calls):
        _executed(model, calls, graph)


def _executed(
    model: ModelFile,
    calls: dict[int, list[tuple[int, list[int]]]],
    graph: int,
    above: tuple[int, ...] = (),
    known: dict[int, int] | None = None,
) -> int:
    """Return the most operators that a subgraph executes, with what it calls."""
    known = {} if known is None else known
    model.file.check(
        graph not in above and len(above) <= _MOST_NESTED, "a subgraph calls itself, or is called too deeply"
    )
    if graph not in known:
        count = int(model.operator_counts[graph])
        for times, called in calls.get(graph, []):
            inner = sum(_executed(model, calls, each, (*above, graph), known) for each in called)
            count += (times + 1) * (inner + 1)
        model.file.check(
            count <= _MOST_OPERATORS, f"its loops execute more than {_MOST_OPERATORS:,} operators"
        )
        known[graph] = count
    return known[graph]


def _branches_fit(model: ModelFile, operator: int, called: list[int]) -> bool:
    """Return whether the subgraphs take and return the tensors of a branch."""
    if not all(0 <= graph < model.graph_count for graph in called):
        return False
    given = [_shape(model, tensor) for tensor in model.inputs.of(operator)[1:].tolist()]
    made = [_shape(model, tensor) for tensor in model.outputs.of(operator).tolist()]
    return all(
        [_shape(model, tensor) for tensor in lists.of(graph).tolist()] == wanted
        for graph in called
        for lists, wanted in ((model.graph_inputs, given), (model.graph_outputs, made))
    )


def number_of(model: ModelFile, tensor: int) -> int | None:
    """Return a constant int32; None for any other tensor."""
    known = model.kind[tensor] == _INT32 and model.bytes[tensor] > 0 and model.elements[tensor] == 1
    return int(model.values[tensor, 0]) if known else None


def written_by(model: ModelFile, graph: int, tensor: int) -> tuple[int | None, list[int]]:
    """Return the code and the inputs of the operator that writes a tensor; None for an input.

    An operator with a fused activation, or with several outputs, counts as none.
    """
    first = int(model.first_operator[graph])
    writers = model.outputs.owners[model.outputs.values == tensor]
    writers = writers[(writers >= first) & (writers < first + int(model.operator_counts[graph]))]
    if not len(writers):
        return None, []
    operator = int(writers[0])
    if model.options_of(operator).get("activation", 0) != 0 or model.outputs.counts[operator] != 1:
        return None, []
    return int(model.codes[operator]), model.inputs.of(operator).tolist()


def _shape(model: ModelFile, tensor: int) -> tuple[int, ...]:
    return (int(model.kind[tensor]), *model.dims[tensor, : model.rank[tensor]].tolist())


class Loop:
    """A loop; tensors are numbers of the model's.

    Attributes:
        graph: the subgraph it is in.
        condition, body: the subgraphs it calls; -1 where there is none.
    """

    def __init__(self, model: ModelFile, operator: int):
        self._model = model
        options = model.options_of(operator)
        self.graph = int(model.subgraph[operator])
        self.condition, self.body = (_whole(options.get(name)) for name in ("condition", "body"))
        self._carried = model.inputs.of(operator).tolist()

    @property
    def fits(self) -> bool:
        """Whether the subgraphs take and return the loop's tensors."""
        if not all(0 <= graph < self._model.graph_count for graph in (self.condition, self.body)):
            return False
        if min(self._carried, default=-1) < 0:
            return False
        model = self._model
        sides = [model.graph_inputs.of(self.condition), model.graph_inputs.of(self.body)]
        sides.append(model.graph_outputs.of(self.body))
        wanted = [_shape(model, tensor) for tensor in self._carried]
        results = [_shape(model, tensor) for tensor in model.graph_outputs.of(self.condition)]
        one = len(results) == 1 and results[0][0] == _BOOL and np.prod(results[0][1:]) == 1
        return one and all([_shape(model, tensor) for tensor in side] == wanted for side in sides)

    @property
    def iterations(self) -> int | None:
        """The most iterations of a loop that fits; None if it may not end."""
        limits = [self.limit_of(index) for index in range(len(self._carried))]
        return min((limit for limit in limits if limit is not None), default=None)

    def limit_of(self, index: int) -> int | None:
        """Return what a carried number stays below, counting up from 0 or more; None if it may not."""
        inputs = self._model.graph_inputs.of(self.condition).tolist()
        compared = list(self._compared())
        stops = {inputs.index(a) for a, b, _ in compared if a in inputs and number_of(self._model, b) == 1}
        if not self._begins(index) or not self._counts(index, stops):
            return None
        limits = [self._limit(b, inputs, over) for a, b, over in compared if a == inputs[index]]
        return min((limit for limit in limits if limit is not None), default=None)

    def _compared(self) -> Iterator[tuple[int, int, int]]:
        """Yield (a, b, n) such that the loop continues only while a < b + n."""
        pending, seen = [int(self._model.graph_outputs.of(self.condition)[0])], set()
        while pending:
            tensor = pending.pop()
            if tensor in seen:
                continue
            seen.add(tensor)
            code, read = written_by(self._model, self.condition, tensor)
            if code in (_LESS, _LESS_EQUAL):
                yield read[0], read[1], int(code == _LESS_EQUAL)
            elif code in (_GREATER, _GREATER_EQUAL):
                yield read[1], read[0], int(code == _GREATER_EQUAL)
            elif code == _AND:
                pending += read
            elif code == _RESHAPE:
                pending.append(read[0])

    def _begins(self, index: int) -> bool:
        begin = number_of(self._model, self._carried[index])
        return begin is not None and begin >= 0

    def _limit(self, limit: int, inputs: list[int], over: int) -> int | None:
        """Return a limit that is a constant, or was set before the loop and does not change."""
        found = number_of(self._model, limit)
        if limit in inputs:
            index = inputs.index(limit)
            before, after = (
                lists.of(self.body)[index] for lists in (self._model.graph_inputs, self._model.graph_outputs)
            )
            found = self._most(self._carried[index]) if before == after else None
        return found + over if found is not None and 0 < found + over <= _MOST_ITERATIONS else None

    def _most(self, tensor: int, depth: int = 8) -> int | None:
        """Return an upper bound of a number that is computed before the loop."""
        found = number_of(self._model, tensor)
        if found is not None or not depth:
            return found
        code, read = written_by(self._model, self.graph, tensor)
        if code == _MINIMUM:
            bounds = [self._most(each, depth - 1) for each in read]
            return min((each for each in bounds if each is not None), default=None)
        if code == _SUB:
            most, less = self._most(read[0], depth - 1), number_of(self._model, read[1])
            return None if most is None or less is None or less < 0 else most - less
        return None

    def _counts(self, index: int, stops: set[int]) -> bool:
        """Return whether the body adds to a number, except where it ends the loop."""
        model = self._model
        outputs = model.graph_outputs.of(self.body).tolist()
        code, read = written_by(self._model, self.body, outputs[index])
        if code == _SUB:
            ending = read[1] in [outputs[stop] for stop in stops] and self._is_cast_bool(read[1])
            code, read = written_by(self._model, self.body, read[0]) if ending else (None, [])
        if code != _ADD:
            return False
        amount = number_of(self._model, read[1])
        return read[0] == model.graph_inputs.of(self.body)[index] and amount is not None and amount > 0

    def _is_cast_bool(self, tensor: int) -> bool:
        code, read = written_by(self._model, self.body, tensor)
        return code == _CAST and self._model.kind[read[0]] == _BOOL


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1
