"""Checks that a ``.tflite`` file is safe to run, before an interpreter opens it.

LiteRT trusts its files: wrong numbers of tensors, sizes of constants and shapes make it read and write out of
bounds, and a loop may never end. So everything that it follows is checked first: the tables
(``model_tables``), the tensors of each operator (``operator_rules``), that loops end (``loop_check``), and
here that each tensor is written once, before it is read, and that the memory is limited.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.model_check.list_writes import list_parts
from keras_attn.device.model_check.loop_check import check_calls
from keras_attn.device.model_check.model_tables import KINDS, ModelFile
from keras_attn.device.model_check.operator_rules import CUSTOM, REFUSED, RULES
from keras_attn.device.model_check.operators import Operator, Tensor, WrongOperator

TEXT_OPERATORS = frozenset({"FastBertNormalize", "FastWordpieceTokenizeWithOffsets"})
"""The custom operators of tensorflow-text, which subgraphs that begin with a text may have."""
_MEMORY, _MEMORY_PER_BYTE = 256 * 2**20, 16
"""The most memory of all subgraphs' tensors: bytes, plus bytes per byte of the file."""
_NEVER = 2**60


def check_model(
    source: bytes | str | os.PathLike[str], where: str, described: Mapping[str, Any] | None = None
) -> None:
    """Check a ``.tflite`` file.

    Args:
        source: its bytes, or its path: it is mapped, and only what is checked is read.
        where: the file's name in errors.
        described: the signatures that a manifest says it has, if there is one.

    Raises:
        BundleError: the file is damaged, has something that this package does not export, or other
            signatures than described.
    """
    model = ModelFile(_mapped(source), where)
    texts = _texts(model)
    _check_operators(model, texts)
    order = _check_order(model)
    check_calls(model)
    _check_memory(model, order)
    if described is not None:
        _check_described(model, described)


def _mapped(source: bytes | str | os.PathLike[str]) -> bytes | np.ndarray:
    if isinstance(source, bytes):
        return source
    return np.memmap(os.fspath(source), np.uint8, "r") if os.path.getsize(source) else b""


def _check_described(model: ModelFile, described: Mapping[str, Any]) -> None:
    where, names = model.file.where, sorted(signature.name for signature in model.signatures)
    if names != sorted(described):
        raise BundleError(
            f"{where} has the signatures {', '.join(names)}, but the manifest {', '.join(sorted(described))}."
        )
    for signature in model.signatures:
        for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            found = {name: _described(model, tensor) for name, tensor in tensors.items()}
            wanted = described[signature.name][side]
            for name in sorted(found.keys() | wanted.keys()):
                spec = wanted.get(name, {})
                if found.get(name) != (spec.get("shape"), spec.get("dtype")):
                    shape, dtype = found.get(name, ("missing", ""))
                    raise BundleError(
                        f"{where}: signature {signature.name!r}, {side[:-1]} {name!r} is {dtype}{shape}, and "
                        f"the manifest says {spec.get('dtype')}{spec.get('shape')}."
                    )


def _described(model: ModelFile, tensor: int) -> tuple[list[int], str]:
    return model.dims[tensor, : model.rank[tensor]].tolist(), KINDS[int(model.kind[tensor])]


def _texts(model: ModelFile) -> np.ndarray:
    """Return which subgraphs begin with a text, (G,) bool."""
    inputs = model.graph_inputs
    texts = np.zeros(model.graph_count, bool)
    texts[inputs.owners[model.kind[inputs.values] == 5]] = True
    parts = list_parts(model)
    model.size = np.maximum(model.size, parts)
    static = ~model.dynamic | (parts > 0) | texts[model.graph_of]
    for i in np.flatnonzero(~static[model.outputs.values])[:1]:
        code = int(model.codes[model.outputs.owners[i]])
        if code in REFUSED:
            raise model.file.error(REFUSED[code])
    model.file.check(static, "a tensor has a dynamic shape, export it with static shapes")
    model.file.check(
        (model.kind != 5) | texts[model.graph_of], "a tensor is a string in a subgraph without texts"
    )
    return texts


def _check_operators(model: ModelFile, texts: np.ndarray) -> None:
    """Check each operator by its rule. Of equal operators, as most are, one is enough."""
    in_text = texts[model.subgraph]
    custom = model.codes == CUSTOM
    allowed = np.array([name in TEXT_OPERATORS for name in model.custom], bool) & custom & in_text
    model.file.check(~model.custom_options | custom, "an operator has options that are not known")
    fluid = np.zeros(len(model.codes), bool)
    for lists in (model.inputs, model.outputs):
        touched = (lists.values >= 0) & model.dynamic[lists.values]
        fluid[lists.owners[touched]] = True
    ruled = np.isin(model.codes, list(RULES))
    for i in np.flatnonzero(~ruled & ~allowed)[:1]:
        code = int(model.codes[i])
        name = f"custom operator {model.custom[i]!r}" if custom[i] else f"operator {code}"
        raise model.file.error(REFUSED.get(code, f"{name} is not supported"))
    alike = _alike(model)
    _, first = np.unique(alike[ruled & ~fluid], return_index=True)
    known: dict[int, Tensor] = {}
    for i in np.flatnonzero(ruled & ~fluid)[first].tolist():
        name, rule = RULES[int(model.codes[i])]
        inputs = [None if t < 0 else _tensor(model, t, known) for t in model.inputs.of(i).tolist()]
        outputs = [_tensor(model, t, known) for t in model.outputs.of(i).tolist()]
        try:
            rule(Operator(inputs, outputs, model.options_of(i)))
        except WrongOperator as error:
            number = i - model.first_operator[model.subgraph[i]]
            raise model.file.error(
                f"{name}, operator {number} of subgraph {model.subgraph[i]}: {error}"
            ) from None


def _alike(model: ModelFile) -> np.ndarray:
    """Return a number for each operator, (N,) int64, equal for operators that are the same to their rules."""
    # Random factors, so that no file can be crafted with equal sums of different operators.
    rng = np.random.default_rng()

    def summed(columns: np.ndarray) -> np.ndarray:
        factors = rng.integers(-(2**62), 2**62, columns.shape[1], np.int64)
        return (columns * factors).sum(1)

    facts = [model.kind, model.rank, model.constant, model.bytes > 0, model.scales, model.scale_axis]
    tensors = summed(np.column_stack([*facts, model.dims, model.values]).astype(np.int64))
    tensors = np.append(tensors, 1)  # an optional tensor that is left out
    numbers = summed(
        np.column_stack([model.codes, model.options_kind, model.inputs.counts, model.outputs.counts])
    )
    numbers += summed(np.ascontiguousarray(model.options).view(np.int64))
    for lists in (model.inputs, model.outputs):
        positions = np.arange(len(lists.values)) - lists.first[lists.owners]
        factors = rng.integers(-(2**62), 2**62, int(positions.max(initial=0)) + 1, np.int64)
        np.add.at(numbers, lists.owners, tensors[lists.values] * factors[positions])
    return numbers


def _tensor(model: ModelFile, t: int, known: dict[int, Tensor]) -> Tensor:
    if t not in known:
        rank, constant = int(model.rank[t]), bool(model.constant[t])
        count = int(model.elements[t])
        small = model.kind[t] in (2, 4) and constant and count <= model.values.shape[1]
        known[t] = Tensor(
            KINDS[int(model.kind[t])],
            tuple(model.dims[t, :rank].tolist()),
            constant,
            tuple(model.values[t, :count].tolist()) if small else None,
            int(model.scales[t]),
            int(model.scale_axis[t]),
        )
    return known[t]


def _check_order(model: ModelFile) -> np.ndarray:
    """Check that each tensor is written once, before it is read; return which operator writes it, (T,).

    Constants and inputs of subgraphs have -1, unwritten tensors a number beyond all operators.
    """
    check = model.file.check
    inputs, outputs = model.graph_inputs.values, model.outputs.values
    written = np.bincount(outputs, minlength=len(model.kind)) + np.bincount(inputs, minlength=len(model.kind))
    check(written + (model.bytes > 0) <= 1, "a tensor is written twice, or is a constant")
    writer = np.where(model.constant, -1, _NEVER)
    writer[inputs] = -1
    writer[outputs] = model.outputs.owners
    read = model.inputs.values >= 0
    before = writer[model.inputs.values[read]] < model.inputs.owners[read]
    check(before, "an operator reads a tensor that was not written before")
    check(writer[model.graph_outputs.values] < _NEVER, "a subgraph returns a tensor that nothing writes")
    return writer


def _check_memory(model: ModelFile, writer: np.ndarray) -> None:
    """Check the peak memory of all subgraphs."""
    ends = np.append(np.cumsum(model.operator_counts), 0)
    first = model.first_operator[model.graph_of]
    last = np.full(len(model.kind), -1, np.int64)
    read = model.inputs.values >= 0
    np.maximum.at(last, model.inputs.values[read], model.inputs.owners[read])
    last[model.graph_outputs.values] = ends[model.graph_of[model.graph_outputs.values]]
    begin = np.maximum(writer, first)
    held = (model.bytes == 0) & (writer < _NEVER)
    # Each subgraph has an entry after its last operator, so that nothing is held from one to the next.
    shift = model.graph_of
    changes = np.zeros(len(model.codes) + model.graph_count + 2, np.float64)
    np.add.at(changes, (begin + shift)[held], model.size[held])
    np.add.at(changes, (np.maximum(last, begin) + shift + 1)[held], -model.size[held].astype(np.float64))
    live = np.cumsum(changes)
    peaks = [
        live[start + graph : start + graph + count + 1].max(initial=0)
        for graph, (start, count) in enumerate(
            zip(model.first_operator.tolist(), model.operator_counts.tolist(), strict=True)
        )
    ]
    accepted = _MEMORY + _MEMORY_PER_BYTE * model.file.size
    model.file.check(
        sum(peaks) <= accepted,
        f"it needs {sum(peaks):,.0f} bytes of memory, and at most {accepted:,} are accepted",
    )
