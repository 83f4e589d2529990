"""The table of tensorflow-text's normalizer: a string for every character, as a double-array trie.

The format is that of `FastBertNormalizerModel`: a double-array trie (Aoe, 1989, IEEE Trans. Software Eng.
15(9), in the 32-bit units of the library Darts-clone) over the bytes of a character in UTF-8, whose leaves
are offsets of the replacements in a pool of strings. UTF-8 makes the trie regular: below each first byte
there are blocks of 64, one unit for each continuation byte, and equal blocks are stored once.
"""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers
import numpy as np

from keras_attn.errors import ArgumentError

_BLOCK = 64
_CONTINUATION = 0x80
_ROOT_CHILDREN = 256  # start of the units of first bytes; aligned, so that no other byte leads out
_LEAF = 1 << 31
_REPLACED = 1 << 30
_LENGTH_BITS = 6
_MOST_UNITS = 1 << 21


def character_table(replacements: Sequence[str]) -> bytes:
    """Return the normalizer's model.

    Args:
        replacements: for each code point its replacement; those of surrogates are not read.

    Raises:
        ArgumentError: a replacement is longer than 63 bytes, or there are too many different ones.
    """
    pool, leaves = _pool(replacements)
    units = _trie(replacements, leaves)
    builder = flatbuffers.Builder(len(pool) + 4 * len(units) + 1024)
    strings = builder.CreateNumpyVector(np.frombuffer(pool, np.uint8))
    trie = builder.CreateNumpyVector(np.asarray(units, np.uint32))
    builder.StartObject(4)
    builder.PrependBoolSlot(0, True, False)  # marks that characters change; nothing reads it
    builder.PrependUOffsetTRelativeSlot(1, trie, 0)
    builder.PrependInt32Slot(2, leaves[replacements[0]] & ~_LEAF, 0)
    builder.PrependUOffsetTRelativeSlot(3, strings, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _pool(replacements: Sequence[str]) -> tuple[bytes, dict[str, int]]:
    """Concatenate the different strings; return the pool and the leaf unit of each string."""
    pool, leaves = bytearray(), {}
    for text in dict.fromkeys(replacements):
        data = text.encode()
        if len(data) >= 1 << _LENGTH_BITS:
            raise ArgumentError(f"the replacement {text!r} is longer than {(1 << _LENGTH_BITS) - 1} bytes")
        leaves[text] = _LEAF | _REPLACED | len(pool) << _LENGTH_BITS | len(data)
        pool += data
    return bytes(pool), leaves


def _trie(replacements: Sequence[str], leaves: dict[str, int]) -> list[int]:
    """Return the units: the root, those of first bytes, the leaves, then blocks of 64."""
    units = [0] * (2 * _ROOT_CHILDREN)
    leaf_at = {text: len(units) + i for i, text in enumerate(leaves)}
    units += leaves.values()
    units += [0] * (-len(units) % _ROOT_CHILDREN)
    blocks: dict[tuple[int, ...], int] = {}
    # The last of the first bytes leads beyond the last character.
    padded = [*replacements, *[replacements[0]] * (_BLOCK**3)]

    def unit(position: int, label: int, target: int, ends: bool) -> int:
        return (position ^ target) << 10 | ends << 8 | label

    def block_of(first: int, count: int) -> int:
        """Return the target of the unit above `count` code points; a child is at target ^ byte."""
        each = count // _BLOCK
        if each == 1:
            targets = tuple(leaf_at[text] for text in padded[first : first + count])
        else:
            targets = tuple(block_of(first + i * each, each) for i in range(_BLOCK))
        if targets not in blocks:
            start = len(units)
            units.extend(
                unit(start + i, _CONTINUATION | i, target, each == 1) for i, target in enumerate(targets)
            )
            blocks[targets] = start ^ _CONTINUATION
        return blocks[targets]

    units[0] = _ROOT_CHILDREN << 10
    for byte, first, count in _first_bytes():
        position = _ROOT_CHILDREN + byte
        target = leaf_at[padded[first]] if count == 1 else block_of(first, count)
        units[position] = unit(position, byte, target, count == 1)
    units += [0] * (-len(units) % _ROOT_CHILDREN)
    if len(units) > _MOST_UNITS:
        raise ArgumentError(f"the table of characters has {len(units)} units, more than {_MOST_UNITS}")
    return units


def _first_bytes() -> list[tuple[int, int, int]]:
    """Return each first byte of UTF-8, the first code point below it, and their number."""
    found = [(byte, byte, 1) for byte in range(1, 0x80)]
    for mark, end, count in ((0xC0, 0xE0, _BLOCK), (0xE0, 0xF0, _BLOCK**2), (0xF0, 0xF5, _BLOCK**3)):
        found += [(byte, (byte - mark) * count, count) for byte in range(mark, end)]
    return found
