"""Reads a compiled program's text: collectives by kind and bytes, and kernels."""

import math
import re
from collections import Counter
from typing import Any

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")

# `%name = f32[8,128]{1,0:T(8,128)} all-reduce(...)`; a start begins what a done ends.
INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?\S+ = (?P<shape>.*?) (?P<kind>[a-z][a-z0-9-]*)\(")
ARRAY = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]")
OPERATION = re.compile(r'op_name="([^"]*)"')
BLOCK = re.compile(r"(encoder|decoder)_layer_\d+")
KERNEL = 'custom_call_target="tpu_custom_call"'
BITS = {"pred": 8, "bf16": 16, "s4": 4, "u4": 4}


def collectives_of(text: str) -> dict[str, dict[str, int]]:
    """Return the collectives of a compiled program.

    Args:
        text: HLO of one device's program.

    Returns:
        For each kind that occurs: `count`, `bytes` of their results on one chip, and the number that is
        `in_blocks` of a Transformer.
    """
    found: dict[str, Counter[str]] = {}
    for line in text.splitlines():
        match = INSTRUCTION.match(line)
        kind = match["kind"].removesuffix("-start") if match else ""
        if match is None or kind not in COLLECTIVES:
            continue
        operation = OPERATION.search(line)
        arrays = [_bytes(*array) for array in ARRAY.findall(match["shape"])]
        # The result of a start begins with its operands, except for all-reduces.
        twice = match["kind"].endswith("-start") and kind != "all-reduce"
        size = max(arrays, default=0) if twice else sum(arrays)
        counter = found.setdefault(kind, Counter())
        counter.update(count=1, bytes=size, in_blocks=int(bool(operation and BLOCK.search(operation[1]))))
    return {
        kind: {name: counter[name] for name in ("count", "bytes", "in_blocks")}
        for kind, counter in sorted(found.items())
    }


def kernels_of(text: str) -> dict[str, int]:
    """Return the number of hand-written TPU kernels of a compiled program, "splash" and "other"."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        if KERNEL in line:
            found["splash" if "splash" in line.partition("=")[0] else "other"] += 1
    return dict(found)


def _bytes(dtype: str, dimensions: str) -> int:
    bits = BITS.get(dtype) or int(re.sub(r"\D.*", "", dtype.lstrip("abcdefghijklmnopqrstuvwxyz")) or 0)
    return math.prod(int(size) for size in dimensions.split(",") if size) * bits // 8


def memory_in_message(message: str, arguments: int) -> tuple[int, int] | None:
    """Return needed and available bytes from the compiler's out-of-memory message.

    Args:
        message: the compiler's message.
        arguments: int, bytes of the program's arguments, which the compiler does not always count.

    Returns:
        `(needed, available)`, or `None` for any other message.
    """
    if found := re.search(r"Used ([\d.]+[KMGT]?) of ([\d.]+[KMGT]?) hbm", message):
        return _size(found[1]), _size(found[2])
    found = re.search(r"temporaries \(([\d.]+[KMGT]?)\) exceeds available HBM \(([\d.]+[KMGT]?)\)", message)
    return (_size(found[1]) + arguments, _size(found[2])) if found else None


def _size(text: str) -> int:
    factors: dict[str, Any] = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
    return round(float(text.rstrip("KMGT")) * factors.get(text[-1], 1))
