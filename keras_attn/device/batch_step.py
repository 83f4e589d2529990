"""A step of decoding a batch: N sentences of B beams each, every sentence at a place of its own."""

from __future__ import annotations

import numpy as np

from keras_attn.device.interpreter import Signature
from keras_attn.device.step import NOT_ATTENDED, StepTensors


class BatchStep(StepTensors):
    """A step for N sentences; row n*B+b is beam b of sentence n, and slots are those of a sentence.

    =================  =====================================================================================
    tokens             [N*B], the token each row produced last
    position           [N*B], how many tokens each row was fed before (optional)
    self_bias          [N*B, B*T], 0 where a row attends: slot t*B+b is what beam b of its sentence was fed at
                       step t (optional)
    X of encode        [N, ...], copied when a sentence begins: the only row of X, or all of it, heads (H, dh,
                       S) turned to (H, S, dh); it may be shorter: a bias then forbids the rest
    X with next_X      [N*B, ...], carried from step to step, row by row
    key_cache_NN,      [N, H, B*T, dh], written in place from the output row_NN [N*B, 2*H*dh], keys and then
    value_cache_NN     values
    =================  =====================================================================================

    The outputs are those of ``Step``.

    Args:
        signature: the step.
        encode: an encode signature whose sentences it takes.
        sentences: N.
        beams: B.
        target: T, the most target tokens it has room for; ``source`` is how many source tokens.
    """

    def __init__(
        self, signature: Signature, encode: Signature, sentences: int, beams: int, source: int, target: int
    ):
        self.sentences, self.beams, self.source = sentences, beams, source
        self._row = np.arange(sentences * beams)
        self._sentence, self._beam = np.divmod(self._row, beams)
        super().__init__(signature, encode, sentences * beams, target)
        self._pairs = {encode.name: self.constants}

    @property
    def slots(self) -> int:
        """Slots that a row may attend to."""
        return self.beams * self.target

    def _heads(self, name: str, cache: np.ndarray) -> tuple[int, int]:
        self._shaped(name, cache, (self.sentences, None, self.slots, None))
        return cache.shape[1], cache.shape[3]

    def _filled(self, name: str, tensor: np.ndarray, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        carried = f"next_{name}" in self.signature.outputs
        memory = tensor.reshape(self.sentences, -1, *tensor.shape[1:]) if carried else tensor  # (N, ...)
        view = encoded.swapaxes(1, 2) if encoded.ndim == 3 else encoded
        if encoded.ndim == tensor.ndim:
            view = view[0] if view.shape[0] == 1 else view[None]
        room = memory.shape[1 + carried :]
        if len(memory) != self.sentences or view.ndim != len(room) or not np.all(view.shape <= room):
            raise self._unfilled(name, tensor, encoded)
        places = (slice(None),) * (1 + carried)
        return memory[(*places, *(slice(size) for size in view.shape))], view

    def begin(self, sentence: int, encode: Signature) -> None:
        """Let a sentence take over what encode left, with nothing fed yet."""
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

    def go_on(self, other: BatchStep) -> None:
        """Take over all sentences from a step with other room, which is enough for them here too."""
        for tensor in self.forbidden:
            tensor[...] = NOT_ATTENDED
        for name, tensor in self.signature.inputs.items():
            before = other.signature.inputs[name]
            common = tuple(map(slice, np.minimum(tensor.shape, before.shape)))
            tensor[common] = before[common]

    def keep(self, positions: np.ndarray) -> None:
        """Write what the step returned to where the next step reads it; ``positions`` (N,) are sentences'."""
        slots = positions[self._sentence] * self.beams + self._beam  # (N*B,)
        for cache, row in self.caches:
            cache[self._sentence, :, slots] = row  # (N*B, H, dh)
        if self.self_bias is not None:
            self.self_bias[self._row, slots] = 0
        for tensor, after in self.carried:
            tensor[...] = after
