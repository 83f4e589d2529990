"""Which tensor of a file is which of the Keras model: by name, else by shape and type, else by order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from keras_attn.device.files.interface import Field
from keras_attn.errors import ArgumentError
from keras_attn_export.file_proof.described_file import FileTensor

_EXACT = {"float32": {"FLOAT32"}, "int32": {"INT32"}, "bool": {"BOOL"}}
_NUMBERS = frozenset({"FLOAT32", "FLOAT16", "FLOAT64", "INT32", "INT64", "INT8", "UINT8", "INT16", "BOOL"})


class NoMatch(ArgumentError):
    """The inputs or outputs of a file cannot be matched to the model's."""


@dataclass(frozen=True)
class Match:
    """The tensor that is a field.

    Attributes:
        tensor: of the file.
        by: how it was found, in words.
    """

    tensor: FileTensor
    by: str


def match(side: str, fields: Sequence[Field], tensors: Sequence[FileTensor]) -> dict[str, Match]:
    """Return the tensor of each field by the field's name.

    Args:
        side: "input" or "output", for errors. An output more than the model has is left out.
        fields: the model's.
        tensors: the file's.

    Raises:
        NoMatch: a field has no tensor, or several may be it.
    """
    found: dict[str, Match] = {}
    for field in fields:
        named = [each for each in tensors if field.name in (_plain(each.name), _plain(each.tensor))]
        if len(named) == 1:
            if not _fits(field, named[0], exact=False):
                raise NoMatch(f"{side} {named[0]} is not the model's {field}")
            found[field.name] = Match(named[0], "name")
    taken = {each.tensor.index for each in found.values()}
    rest = [each for each in tensors if each.index not in taken]
    missing = [field for field in fields if field.name not in found]
    if missing:
        by, chosen = _without_names(side, missing, rest)
        found |= {field.name: Match(tensor, by) for field, tensor in zip(missing, chosen, strict=True)}
        rest = [each for each in rest if each not in chosen]
    if rest and side == "input":
        raise NoMatch(f"the file also takes {_listed(rest)}, which the model does not have")
    return {field.name: found[field.name] for field in fields}


def _without_names(
    side: str, fields: Sequence[Field], tensors: Sequence[FileTensor]
) -> tuple[str, Sequence[FileTensor]]:
    """Return the tensors of fields that no name tells, and how they were found."""
    for exact in (True, False):
        possible = list(_assignments(fields, tensors, exact))
        if len(possible) == 1:
            return ("shape and type" if len(tensors) > 1 else "being the only one"), possible[0]
        if possible:
            break
    else:
        wanted, given = ", ".join(map(str, fields)), _listed(tensors) or "nothing more"
        raise NoMatch(f"no {side} of the file is the model's {wanted}: the file has {given}")
    ordered = _in_order(tensors)
    if ordered is not None and len(ordered) == len(fields):
        every = zip(fields, ordered, strict=True)
        if all(_fits(field, each, exact=False) for field, each in every):
            return "order", ordered
    names = ", ".join(repr(field.name) for field in fields)
    raise NoMatch(
        f"the {side}s {names} may each be several of the file's {_listed(tensors)}: names, shapes, types and "
        f"numbers do not tell which; convert the model with {side}s of these names"
    )


def _assignments(
    fields: Sequence[Field], tensors: Sequence[FileTensor], exact: bool
) -> Iterator[list[FileTensor]]:
    """Yield the ways to give each field a tensor that fits; at most two."""

    def choose(chosen: list[FileTensor]) -> Iterator[list[FileTensor]]:
        if len(chosen) == len(fields):
            yield chosen
            return
        for each in tensors:
            if each not in chosen and _fits(fields[len(chosen)], each, exact):
                yield from choose([*chosen, each])

    ways = choose([])
    for _ in range(2):
        way = next(ways, None)
        if way is not None:
            yield way


def _fits(field: Field, tensor: FileTensor, exact: bool) -> bool:
    if tensor.dtype not in (_EXACT[field.dtype] if exact else _NUMBERS):
        return False
    if len(tensor.shape) != len(field.shape) + 1:
        return False
    return all(
        size is None or wanted is None or size == wanted
        for size, wanted in zip(tensor.shape[1:], field.shape, strict=True)
    )


def _in_order(tensors: Sequence[FileTensor]) -> list[FileTensor] | None:
    """Return tensors in the order of the numbers in their names; None if they have none."""
    parsed = [re.fullmatch(r"(.*?)(?:_(\d+))?(?::(\d+))?", each.name) for each in tensors]
    if len({each[1] for each in parsed if each}) != 1:
        return None
    numbers = [(int(each[2] or 0), int(each[3] or 0)) for each in parsed if each]
    if len(set(numbers)) != len(tensors):
        return None
    return [tensor for _, tensor in sorted(zip(numbers, tensors, strict=True), key=lambda pair: pair[0])]


def _plain(name: str) -> str:
    """Return a tensor's name without what converters put around it."""
    return re.sub(r"^serving_default_|:0$", "", name)


def _listed(tensors: Sequence[FileTensor]) -> str:
    return ", ".join(map(str, tensors))


def described(matches: Mapping[str, Match]) -> str:
    """Return how fields were matched, in words."""
    return ", ".join(
        f"{name} by {match.by}"
        if match.tensor.name == name
        else f"{name} = {match.tensor.name} by {match.by}"
        for name, match in matches.items()
    )
