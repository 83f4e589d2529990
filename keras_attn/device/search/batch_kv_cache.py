"""A step of decoding a batch: N sentences of B beams each, every sentence at a step of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_attn.device.runtime.interpreter import Signature
from keras_attn.device.search.kv_cache import NOT_ATTENDED, StepTensors


class BatchStep(StepTensors):
    """A step for N sentences; row n*B+b is beam b of sentence n, and cache slots are those of a sentence.

    =================  =====================================================================================
    tokens             [N*B], the token each row produced last
    position           [N*B], how many tokens each row was fed before (optional)
    self_bias          [N*B, B*T], 0 where a row attends: each slot is what some beam of its sentence was fed
                       at some step (optional)
    X of encode        [N, ...], copied when a sentence begins: the only row of X, or all of it, heads (H, dh,
                       S) turned to (H, S, dh); it may be shorter: a bias then forbids the rest
    X with next_X      [N*B, ...], carried from step to step, row by row
    X with row_X       [N*B, ..., T, ...], written in place from the output row_X [N*B, ..., 1, ...] where the
                       carried input slot [N*B] says
    key_cache_NN,      [N, H, B*T, dh], written in place from the output row_NN [N*B, 2*H*dh], keys and then
    value_cache_NN     values
    =================  =====================================================================================

    The outputs are those of ``Step``. Beams soon share most of their past: a slot from which none of them
    descends is used again, so that B*T of them are enough for about 2*T steps.

    Args:
        signature: the step.
        encode: an encode signature whose sentences it takes.
        sentences: N.
        beams: B.
        target: T, the most target tokens it takes; ``source`` is the most source tokens.
    """

    def __init__(
        self, signature: Signature, encode: Signature, sentences: int, beams: int, source: int, target: int
    ):
        self.sentences, self.beams, self.source = sentences, beams, source
        self._row = np.arange(sentences * beams)
        self._sentence = self._row // beams
        super().__init__(signature, encode, sentences * beams, target)
        self._pairs = {encode.name: self.constants}
        inputs, outputs = signature.inputs, signature.outputs
        self._memories = {
            name: tensor
            for name, tensor in inputs.items()
            if name in encode.outputs or f"next_{name}" in outputs or f"row_{name}" in outputs
        }

    @property
    def slots(self) -> int:
        """Cache slots that a row may attend to."""
        return self.beams * self.target

    def _heads(self, name: str, cache: np.ndarray) -> tuple[int, int]:
        self._shaped(name, cache, (self.sentences, None, self.slots, None))
        return cache.shape[1], cache.shape[3]

    def _filled(self, name: str, tensor: np.ndarray, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        carried = not self.signature.outputs.keys().isdisjoint((f"next_{name}", f"row_{name}"))
        memory = self._by_sentence(tensor) if carried else tensor  # (N, ...)
        view = encoded.swapaxes(1, 2) if encoded.ndim == 3 else encoded
        if encoded.ndim == tensor.ndim:
            view = view[0] if view.shape[0] == 1 else view[None]
        space = memory.shape[1 + carried :]
        if len(memory) != self.sentences or view.ndim != len(space) or not np.all(view.shape <= space):
            raise self._unfilled(name, tensor, encoded)
        whole = (slice(None),) * (1 + carried)
        return memory[(*whole, *(slice(size) for size in view.shape))], view

    def begin(self, sentence: int, encode: Signature) -> None:
        """Fill a sentence's inputs with what encode left; nothing has been fed yet."""
        for tensor, value in (*((t, 0) for t in self.zeroed), *((t, NOT_ATTENDED) for t in self.forbidden)):
            tensor.reshape(self.sentences, -1)[sentence] = value
        if encode.name not in self._pairs:
            self._pairs[encode.name] = [
                self._filled(name, tensor, encode.outputs[name])
                for name, tensor in self.signature.inputs.items()
                if name in encode.outputs
            ]
        for memory, encoded in self._pairs[encode.name]:
            memory[sentence] = encoded

    def take_over(self, other: BatchStep, slots: Sequence[int]) -> None:
        """Take over the sentences in these slots of another step, which must fit."""
        for tensor in self.forbidden:
            tensor[...] = NOT_ATTENDED
        for name, tensor in self._memories.items():
            mine, theirs = self._by_sentence(tensor), other._by_sentence(other._memories[name])
            common = tuple(map(slice, np.minimum(mine.shape[1:], theirs.shape[1:])))
            for sentence, slot in enumerate(slots):
                mine[sentence][common] = theirs[slot][common]
        if self.self_bias is None or other.self_bias is None:
            return
        mine, theirs = self._by_sentence(self.self_bias), other._by_sentence(other.self_bias)  # (N, B, B*T)
        attended = other._attended
        for sentence, slot in enumerate(slots):
            used = np.flatnonzero(attended[slot])[: self.slots]  # only ended sentences have more
            mine[sentence, :, : len(used)] = theirs[slot][:, used]
            for (cache, _), (before, _) in zip(self.caches, other.caches, strict=True):
                cache[sentence, :, : len(used)] = before[slot][:, used]

    def used_slots(self, positions: np.ndarray) -> np.ndarray:
        """Count the cache slots that each sentence uses, (N,), after ``positions`` (N,) tokens."""
        if self.beams == 1 or self.self_bias is None:
            return positions * self.beams
        return self._attended.sum(1) * (positions > 0)

    def keep(self, positions: np.ndarray) -> None:
        """Write what the step returned to where the next step reads it; ``positions`` are (N,)."""
        if self.self_bias is not None:
            slots = positions if self.beams == 1 else self._free_slots  # (N*B,)
            for cache, row in self.caches:
                cache[self._sentence, :, slots] = row  # (N*B, H, dh)
            self.self_bias[self._row, slots] = 0
        self.write_rows()

    @property
    def _attended(self) -> np.ndarray:
        """Slots to which any beam of a sentence attends, (N, B*T) bool."""
        assert self.self_bias is not None
        return (self._by_sentence(self.self_bias) == 0).any(1)

    @property
    def _free_slots(self) -> np.ndarray:
        """The first B slots of each sentence to which none of its beams attends, (N*B,) int."""
        return self._attended.argsort(1, kind="stable")[:, : self.beams].ravel()

    def _by_sentence(self, tensor: np.ndarray) -> np.ndarray:
        """View (N*B, ...) as (N, B, ...), and (N, ...) as (N, 1, ...)."""
        return tensor.reshape(self.sentences, -1, *tensor.shape[1:])
