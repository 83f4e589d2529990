"""The check of ``interface`` in a manifest: the inputs and outputs of any Keras model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from keras_attn.device.files.interface import DTYPES

_KEYS = {"inputs", "outputs", "input_structure", "output_structure", "padded"}
_FIELD_KEYS = {"name", "shape", "dtype", "pad"}
_MOST_FIELDS, _DEEPEST = 64, 8
Need = Callable[[Any, str], None]
"""Raises a BundleError with the second argument unless the first is true."""


def check_interface(manifest: Mapping[str, Any], need: Need) -> None:
    """Check a manifest's ``interface`` against its signatures, which have been checked."""
    interface = manifest.get("interface") or {}
    need(set(interface) == _KEYS, f": interface must have {', '.join(sorted(_KEYS))}.")
    need(isinstance(interface["padded"], bool), ": interface: 'padded' must be true or false.")
    for side, structure in (("inputs", "input_structure"), ("outputs", "output_structure")):
        fields = interface[side]
        right = isinstance(fields, list) and 0 < len(fields) <= _MOST_FIELDS
        need(right, f": interface: {side!r} must be a list of 1 to {_MOST_FIELDS} fields.")
        for field in fields:
            _check_field(field, need)
        names = [field["name"] for field in fields]
        need(len(set(names)) == len(names), f": interface: two of its {side} have the same name.")
        found = list(_leaves(interface[structure], need, 0))
        need(sorted(found) == sorted(names), f": interface: {structure!r} does not name its {side}.")
    variable = any(None in field["shape"] for field in interface["inputs"])
    need(variable or len(manifest["buckets"]) == 1, ": buckets has several lengths, and interface none.")
    for bucket in manifest["buckets"]:
        for count, name in bucket["predict"].items():
            for side in ("inputs", "outputs"):
                _check_signature(manifest, interface[side], (int(count), bucket["source"]), name, side, need)


def _check_field(field: Any, need: Need) -> None:
    right = isinstance(field, dict) and set(field) == _FIELD_KEYS and isinstance(field["name"], str)
    need(right, f": interface: a field must have {', '.join(sorted(_FIELD_KEYS))}.")
    where, shape, pad = f": interface: field {field['name'][:80]!r}", field["shape"], field["pad"]
    right = isinstance(shape, list) and all(
        size is None or (type(size) is int and 0 < size < 2**31) for size in shape
    )
    need(right, f"{where}: 'shape' must be a list of sizes, or null for the length.")
    need(field["dtype"] in DTYPES, f"{where}: 'dtype' must be {', '.join(DTYPES)}.")
    right = type(pad) in (int, float) and math.isfinite(pad) and abs(pad) < 2**31
    need(right, f"{where}: 'pad' must be a number.")


def _leaves(structure: Any, need: Need, depth: int) -> Iterator[str]:
    need(depth < _DEEPEST, ": interface: a structure is nested too deeply.")
    if isinstance(structure, str):
        yield structure
        return
    need(isinstance(structure, list | dict), ": interface: a structure must be of names, lists and objects.")
    for part in structure.values() if isinstance(structure, dict) else structure:
        yield from _leaves(part, need, depth + 1)


def _check_signature(
    manifest: Mapping[str, Any],
    fields: list[dict[str, Any]],
    sizes: tuple[int, int],
    name: str,
    side: str,
    need: Need,
) -> None:
    """Check the tensors of one signature; ``sizes`` are its numbers of examples and its length."""
    count, length = sizes
    wanted = {
        field["name"]: {
            "shape": [count, *(length if size is None else size for size in field["shape"])],
            "dtype": "int32" if field["dtype"] == "bool" else field["dtype"],
        }
        for field in fields
    }
    found = manifest["signatures"][name][side]
    found = {tensor: {"shape": spec["shape"], "dtype": spec["dtype"]} for tensor, spec in found.items()}
    need(found == wanted, f": signature {name[:80]!r} does not have the {side} of interface.")
