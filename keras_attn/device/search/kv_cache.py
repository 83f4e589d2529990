"""A step of decoding: a signature's tensors, their roles, and how they change from step to step.

The role of each tensor follows from its name, so that a model can have any number of them. Caches never
move: a beam that follows another one only changes ``self_bias``, which says for each row the slots that hold
its past.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.runtime.interpreter import Signature
from keras_attn.device.search.token_scores import Scores

NOT_ATTENDED = -1e9
SLOT = "slot"
"""The carried input (R,) that says how many slots of its own caches each row has filled."""
_KINDS = ("key", "value")


class Memory(Protocol):
    """An encode signature, whose outputs fill a step's inputs once per sentence, by name."""

    @property
    def outputs(self) -> Mapping[str, np.ndarray]:
        """Arrays by name."""
        ...


class StepTensors:
    """A step signature with the role of each of its tensors; subclasses say how memories are laid out.

    Attributes:
        caches: each with a view of what the step adds to it, (R, H, dh) or as `_as_slots` lays it out.
        row_caches: each with a view of the row that the step adds to it, (R, T, ...) and (R, ...).
        carried: inputs, and the outputs that they become.
        constants: parts of inputs, and the encode outputs that fill them.
        zeroed: carried inputs that begin with zeros.
        forbidden: biases, which forbid everything at first.
    """

    def __init__(self, signature: Signature, encode: Memory, rows: int, target: int):
        self.signature = signature
        self.rows = rows
        self.target = target
        self.run = signature.run
        inputs, outputs = dict(signature.inputs), dict(signature.outputs)
        self.tokens = self._shaped("tokens", inputs.pop("tokens", None), (rows,))
        self.scores = self._scores(outputs)
        self.alignment = outputs.pop("alignment", None)
        self.position = inputs.pop("position", None)
        self.self_bias = inputs.pop("self_bias", None)
        if self.self_bias is not None:
            self._shaped("self_bias", self.self_bias, (rows, self.slots))
        self.caches = self._caches(inputs, outputs)
        self.row_caches: list[tuple[np.ndarray, np.ndarray]] = []
        self.slot = inputs.get(SLOT)
        self.carried: list[tuple[np.ndarray, np.ndarray]] = []
        self.constants: list[tuple[np.ndarray, np.ndarray]] = []
        self.zeroed: list[np.ndarray] = []
        self.forbidden: list[np.ndarray] = [] if self.self_bias is None else [self.self_bias]
        for name, tensor in inputs.items():
            encoded = encode.outputs.get(name)
            if f"next_{name}" in outputs:
                after = outputs.pop(f"next_{name}")
                self._shaped(f"next_{name}", after, tensor.shape)
                self._shaped(name, tensor, (rows, *tensor.shape[1:]))
                self.carried.append((tensor, after))
                if encoded is None:
                    self.zeroed.append(tensor)
            elif f"row_{name}" in outputs:
                self.row_caches.append(self._row_cache(name, tensor, outputs.pop(f"row_{name}")))
                if encoded is None:
                    self.zeroed.append(tensor)
            elif encoded is None:
                raise BundleError(
                    f"signature {signature.name!r}: input {name!r} has no role: encode has no output of that "
                    f"name, and the step no output 'next_{name}' or 'row_{name}'"
                )
            if encoded is not None:
                self.constants.append(self._filled(name, tensor, encoded))
                if name.endswith("_bias"):
                    self.forbidden.append(tensor)
        if outputs:
            raise BundleError(f"signature {signature.name!r}: outputs {sorted(outputs)} have no role")

    def _scores(self, outputs: dict[str, np.ndarray]) -> Scores:
        logits = self._shaped("scores", outputs.pop("scores", None), (self.rows, None))
        normalizer, tokens = outputs.pop("normalizer", None), outputs.pop("top_tokens", None)
        if normalizer is not None:
            self._shaped("normalizer", normalizer, (self.rows, 1))
        if tokens is None:
            return Scores(logits, normalizer)
        top = self._shaped("top_scores", outputs.pop("top_scores", None), tokens.shape)
        return Scores(logits, normalizer, self._shaped("top_tokens", tokens, (self.rows, None)), top)

    def _caches(
        self, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pair each cache with a view of what the step adds to it."""
        caches = []
        for name in [name for name in inputs if "_cache_" in name]:
            kind, _, number = name.rpartition("_cache_")
            cache, row = inputs.pop(name), f"row_{number}"
            if row not in outputs or kind not in _KINDS:
                raise BundleError(
                    f"signature {self.signature.name!r}: input {name!r} needs an output {row!r}"
                )
            heads, depth = self._heads(name, cache)
            added = self._shaped(row, outputs[row], (self.rows, 2 * heads * depth))
            added = added.reshape(self.rows, 2, heads, depth)[:, _KINDS.index(kind)]
            caches.append((cache, self._as_slots(added)))
        for name in [name for name in outputs if name.startswith("row_")]:
            if any(f"{kind}_cache_{name.removeprefix('row_')}" in self.signature.inputs for kind in _KINDS):
                del outputs[name]
        return caches

    def _row_cache(self, name: str, cache: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """View a cache of each row, and the one of its rows that the step returns, by rows and slots."""
        self._shaped(name, cache, (self.rows, *cache.shape[1:]))
        self._shaped(SLOT, self.slot, (self.rows,))
        sizes = zip(cache.shape, row.shape, strict=True) if cache.ndim == row.ndim else ()
        different = [axis for axis, (size, one) in enumerate(sizes) if size != one]
        # With room for one row all axes are equal, and any of size 1 will do.
        axis = different[0] if different else row.shape.index(1, 1) if 1 in row.shape[1:] else 0
        self._shaped(f"row_{name}", row, (*cache.shape[:axis], 1, *cache.shape[axis + 1 :]))
        return np.moveaxis(cache, axis, 1), np.moveaxis(row, axis, 1)[:, 0]

    @property
    def used_rows(self) -> int:
        """The most rows of its caches that any row has filled."""
        return 0 if self.slot is None else int(self.slot.max())

    def write_rows(self) -> None:
        """Write what the step returned into the caches of each row, and carry the rest of the state."""
        if self.row_caches:
            assert self.slot is not None
            slots = self.slot.astype(np.int64)
            alike, rows = bool((slots == slots[0]).all()), np.arange(self.rows)
            for cache, row in self.row_caches:
                # A row without a sentence keeps counting: it writes nowhere once its cache is full.
                if not alike:
                    fits = slots < cache.shape[1]
                    cache[rows[fits], slots[fits]] = row[fits]
                elif slots[0] < cache.shape[1]:
                    cache[:, slots[0]] = row
        for tensor, after in self.carried:
            tensor[...] = after

    @property
    def slots(self) -> int:
        """Cache slots that a row may attend to."""
        raise NotImplementedError

    def _heads(self, name: str, cache: np.ndarray) -> tuple[int, int]:
        """Check a cache's shape; return the number and the size of heads."""
        raise NotImplementedError

    def _as_slots(self, added: np.ndarray) -> np.ndarray:
        """View what a step adds to a cache, (R, H, dh), in the order of the cache's axes."""
        return added

    def _filled(self, name: str, tensor: np.ndarray, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the part of an input that encode's output of that name fills, and that output to fit it."""
        raise NotImplementedError

    def _unfilled(self, name: str, tensor: np.ndarray, encoded: np.ndarray) -> BundleError:
        return BundleError(
            f"signature {self.signature.name!r}: input {name!r} is {tensor.shape}, but the encode output is "
            f"{encoded.shape}"
        )

    def _shaped(self, name: str, tensor: np.ndarray | None, shape: Sequence[int | None]) -> np.ndarray:
        if tensor is None:
            raise BundleError(f"signature {self.signature.name!r} lacks {name!r}")
        fits = tensor.ndim == len(shape) and all(
            wanted in (None, size) for wanted, size in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            raise BundleError(
                f"signature {self.signature.name!r}: {name!r} is {tensor.shape}, but {tuple(shape)} is needed"
            )
        return tensor

    def reorder(self, rows: np.ndarray) -> None:
        """Let row i continue what row ``rows[i]`` has been fed."""
        count = len(rows)
        if self.self_bias is not None:
            self.self_bias[:count] = self.self_bias[rows]
        moved = np.flatnonzero(rows != np.arange(count))
        if self.row_caches and len(moved):
            used = self.used_rows
            for cache, _ in self.row_caches:
                cache[moved, :used] = cache[rows[moved], :used]
        for tensor, _ in self.carried:
            tensor[:count] = tensor[rows]


class Step(StepTensors):
    """A step for R rows of one sentence, its beams.

    =================  =====================================================================================
    tokens             [R], the token each row produced last
    position           [1], how many tokens were fed before (optional)
    self_bias          [R, R*T], 0 where a row attends: each slot is what some row was fed at some step, in
                       the order of steps (optional)
    X of encode        copied once per sentence from the encode output of that name, which may be shorter: a
                       bias then forbids the rest
    X with next_X      carried from step to step, row by row
    X with row_X       [R, ..., T, ...], written in place from the output row_X [R, ..., 1, ...] where the
                       carried input slot [R] says
    key_cache_NN,      [H, dh, R*T], written in place from the output row_NN [R, 2*H*dh], keys and then values
    value_cache_NN
    scores             [R, V], logits of the next token
    normalizer         [R, 1], logits less this are log-probabilities (without it, scores are these)
    top_tokens,        [R, K], each row's best tokens and their logits, descending (optional)
    top_scores
    alignment          [R, S], attention over the source (optional)
    =================  =====================================================================================

    Attributes:
        used: how many slots hold something, the first ones.
    """

    used = 0

    @functools.cached_property
    def _bias_in_line(self) -> np.ndarray:
        """View self_bias, (R, R*T), row after row."""
        assert self.self_bias is not None
        return self.self_bias.reshape(-1)  # (R*R*T,)

    @property
    def slots(self) -> int:
        """Cache slots that a row may attend to."""
        return self.rows * self.target

    def _heads(self, name: str, cache: np.ndarray) -> tuple[int, int]:
        self._shaped(name, cache, (None, None, self.slots))
        return cache.shape[0], cache.shape[1]

    def _as_slots(self, added: np.ndarray) -> np.ndarray:
        return added.transpose(1, 2, 0)  # (H, dh, R)

    def _filled(self, name: str, tensor: np.ndarray, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if f"row_{name}" in self.signature.outputs:  # this step may have room for fewer rows
            encoded = encoded[(slice(None), *map(slice, tensor.shape[1:]))]
        wanted = tensor.shape if encoded.shape[0] != 1 else (1, *tensor.shape[1:])
        forbids = any(other.endswith("_bias") and other != "self_bias" for other in self.signature.inputs)
        fits = encoded.ndim == tensor.ndim and all(
            size == space or (size < space and forbids)
            for size, space in zip(encoded.shape, wanted, strict=True)
        )
        if not fits:
            raise self._unfilled(name, tensor, encoded)
        rows = () if encoded.shape[0] != 1 else (slice(None),)
        return tensor[(*rows, *(slice(size) for size in encoded.shape[len(rows) :]))], encoded

    @property
    def full(self) -> bool:
        """Whether there are too few slots left for another step."""
        return self.used + self.rows > self.slots

    def begin(self) -> None:
        """Fill the inputs with what encode left."""
        self.used = 0
        for tensor in self.zeroed:
            tensor[...] = 0
        for tensor in self.forbidden:
            tensor[...] = NOT_ATTENDED
        for tensor, encoded in self.constants:
            tensor[...] = encoded

    def take_over(self, smaller: Step) -> None:
        """Take over a sentence from a step with fewer slots."""
        self.begin()
        used = self.used = smaller.used
        if self.self_bias is not None and smaller.self_bias is not None:
            self.self_bias[:, :used] = smaller.self_bias[:, :used]
        for (cache, _), (before, _) in zip(self.caches, smaller.caches, strict=True):
            cache[..., :used] = before[..., :used]
        for (cache, _), (before, _) in zip(self.row_caches, smaller.row_caches, strict=True):
            filled = smaller.used_rows
            cache[:, :filled] = before[:, :filled]
        for (tensor, _), (before, _) in zip(self.carried, smaller.carried, strict=True):
            tensor[...] = before

    def forget(self, rows: int) -> None:
        """Free the slots from which none of the first rows descends: beams soon share most of their past."""
        bias, used = self.self_bias, self.used
        if rows == 1 or bias is None:
            return
        kept = np.flatnonzero(np.any(bias[:rows, :used] == 0, axis=0))
        first = int(np.count_nonzero(kept == np.arange(len(kept))))  # slots that do not move
        self.used = len(kept)
        for tensor in (bias, *(cache for cache, _ in self.caches)):
            tensor[..., first : self.used] = tensor[..., kept[first:]]
        bias[:, self.used : used] = NOT_ATTENDED

    def keep(self) -> None:
        """Write what the step returned to where the next step reads it."""
        first = self.used
        self.used += self.rows
        written = (..., slice(first, self.used))
        for cache, added in self.caches:
            cache[written] = added
        if self.self_bias is not None:
            # Row r may attend what it has just been fed: one diagonal of an R x R block.
            self._bias_in_line[first :: self.slots + 1] = 0
        self.write_rows()
