"""Decoding a batch of sentences over a bundle's signatures, each sentence in a slot and at a step of its own.

The next sentence takes a slot as soon as the one before has ended. When none is left the others move
together, so that fewer slots are computed. The step in use is the smallest one that holds all sentences that
are being decoded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

import numpy as np

from keras_attn.device.errors import InputError
from keras_attn.device.runtime.interpreter import Model, Signature
from keras_attn.device.search.batch_kv_cache import BatchStep
from keras_attn.device.search.beam_search import Hypothesis, SearchConfig, parent_rows
from keras_attn.device.search.token_scores import Scores


class StepSpec(NamedTuple):
    """A step signature of batches, by the largest sizes it takes; ``make`` makes it ready."""

    sentences: int
    source: int
    target: int
    make: Callable[[], BatchStep]


def by_size(spec: StepSpec) -> tuple[int, int, int]:
    """Return the sort key of a spec."""
    return spec.sentences, spec.source, spec.target


class DecodingBatch:
    """Sentences being decoded, in up to N slots of B rows each.

    It lives in the interpreter's memory, and is saved while something else uses that.

    Args:
        beams: B.
        specs: the steps there are, ascending; N is the most sentences of one.
        encode: given a sentence (S,) int32 and its most target tokens, encodes it; returns the signature that
            holds the result, and for how many source tokens that is.
        model: the interpreter.

    Attributes:
        sentences: N.
        beams: B.
        slots: how many slots are in use, the first ones.
        tokens: (N*B,) int32, what the next step is fed.
    """

    def __init__(
        self,
        beams: int,
        specs: Sequence[StepSpec],
        encode: Callable[[np.ndarray, int], tuple[Signature, int]],
        model: Model,
    ):
        self.beams = beams
        self.model = model
        self.opening = model.opening
        self.token = object()
        self._specs = specs
        self.sentences = max(spec.sentences for spec in self._specs)
        self._encode = encode
        self._step: BatchStep | None = None
        self._saved: list[tuple[np.ndarray, np.ndarray]] = []
        self.slots = self.sentences
        # Of each slot: tokens fed so far, and the source length, which is 0 where there is no sentence.
        self._positions = np.zeros(self.sentences, np.int64)
        self._sources = np.zeros(self.sentences, np.int64)
        self.tokens = np.zeros(self.sentences * beams, np.int32)

    @property
    def sizes(self) -> list[int]:
        """Sentences for which there are steps, ascending."""
        return sorted({spec.sentences for spec in self._specs})

    @property
    def signature(self) -> str | None:
        """Name of the step signature in use; None before there is a sentence."""
        return None if self._step is None else self._step.signature.name

    @property
    def alignment(self) -> np.ndarray | None:
        """Attention of the last step's rows over the source, (R, S) float32 view, or None."""
        return None if self._step is None else self._step.alignment

    @property
    def source_lengths(self) -> list[int]:
        """Lengths of sources for which there are steps, ascending."""
        return sorted({spec.source for spec in self._specs})

    def source_length_for(self, source_tokens: int) -> int | None:
        """Return the smallest of ``source_lengths`` that holds N tokens."""
        return next((length for length in self.source_lengths if length >= source_tokens), None)

    def prepare(self) -> None:
        """Make every step ready now, instead of when it is first used.

        Raises:
            BundleError: names the signature, and the tensor whose role or shape is wrong.
        """
        for spec in self._specs:
            spec.make()

    def save(self) -> None:
        """Copy the sentences out of the interpreter's memory."""
        views = () if self._step is None else self._step.signature.inputs.values()
        self._saved = [(view, view.copy()) for view in views]

    def restore(self) -> None:
        """Write the sentences back."""
        for view, kept in self._saved:
            view[...] = kept

    def begin(self, slot: int, source: np.ndarray, limit: int) -> None:
        """Put a sentence (S,) int32 into a slot, for at most ``limit`` target tokens.

        Raises:
            InputError: it does not fit.
            ArgumentError: no signature takes that many target tokens.
        """
        self.model.hand_to(self)
        encode, self._sources[slot] = self._encode(source, limit)
        self._positions[slot] = 0
        self._fitting().begin(slot, encode)

    def end(self, slot: int) -> None:
        """Remove the sentence from a slot."""
        self._positions[slot] = self._sources[slot] = 0

    def compact_slots(self, slots: Sequence[int]) -> bool:
        """Move the sentences in these slots to the first ones, in this order, if a smaller step suffices.

        Returns:
            Whether they have moved. All other sentences must have ended.
        """
        step, count = self._step, len(slots)
        spec = self._smallest_spec(count, *self._needed())
        if step is None or spec.sentences == step.sentences:
            return False
        self.slots, self._step = count, spec.make()
        self._step.take_over(step, slots)
        for each in (self._positions, self._sources, self.tokens.reshape(self.sentences, self.beams)):
            each[:count] = each[list(slots)]
            each[count:] = 0
        return True

    def step(self) -> Scores:
        """Feed ``tokens`` to all rows; return a view of the scores, (R, V), of the step's R rows."""
        self.model.hand_to(self)
        step = self._fitting()
        positions = self._positions[: step.sentences]
        step.tokens[...] = self.tokens[: step.rows]
        if step.position is not None:
            step.position[...] = positions.repeat(self.beams)
        step.run()
        step.keep(positions)
        self._positions[self._sources > 0] += 1
        return step.scores

    def select(self, rows: np.ndarray) -> None:
        """Let row i continue what row ``rows[i]``, of the same sentence, has been fed; (N*B,) int."""
        if self._step is not None:
            self._step.reorder(rows[: self._step.rows])

    def _fitting(self) -> BatchStep:
        """Return the step to use, which has taken over all sentences."""
        source, target = self._needed()
        spec, step = self._smallest_spec(self.slots, source, target), self._step
        if step is not None and step.sentences == spec.sentences:
            # Moving to a smaller step pays if that one suffices for some time.
            fits = step.source >= source and step.target >= target
            if fits and step.source == spec.source and 2 * target > spec.target:
                return step
        self._step = spec.make()
        if step is not None and step is not self._step:
            self._step.take_over(step, range(min(step.sentences, spec.sentences)))
        return self._step

    def _needed(self) -> tuple[int, int]:
        """Return how many source and target tokens the next step must hold."""
        step = self._step
        held = 0 if step is None else int(step.used_slots(self._positions[: step.sentences]).max())
        return int(self._sources.max()), -(-held // self.beams) + 1

    def _smallest_spec(self, slots: int, source: int, target: int) -> StepSpec:
        for spec in self._specs:
            if spec.sentences >= slots and spec.source >= source and spec.target >= target:
                return spec
        raise InputError(f"No step of a batch takes {source} source and {target} target tokens.")


class SearchPolicy(Protocol):
    """How sentences advance by the scores of a step; ``SearchConfig`` is one."""

    @property
    def beam(self) -> int:
        """Rows of each sentence, at most the batch's."""
        ...

    @property
    def alignments(self) -> bool:
        """Whether attention is wanted."""
        ...

    def advance(self, live: Sequence[tuple[int, Any]], scores: Scores, alignment: np.ndarray | None) -> None:
        """Advance sentences by a step: see ``SearchConfig.advance``."""
        ...


def decode_batch(
    batch: DecodingBatch,
    sources: Sequence[Sequence[int] | np.ndarray],
    limits: Sequence[int],
    searches: Sequence[Any],
    config: SearchPolicy,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Decode any number of sentences in a batch; each slot takes the next sentence as soon as one ends.

    The longest come first, so that the last ones, which leave slots empty, are short. The model's lock is
    held, except while ``progress`` is called.

    Args:
        batch: decodes them.
        sources: ids of each, the end token included.
        limits: the most steps of each.
        searches: of each, with ``tokens`` to feed, ``parents`` and ``done`` like ``Greedy`` and ``Beam``.
        config: advances the searches.
        progress: called with the number of sentences that have ended, when it grows.
    """
    waiting = deque(sorted(range(len(sources)), key=lambda i: -len(sources[i])))
    at: dict[int, Any] = {}  # slot -> the search of the sentence there
    beams, done = batch.beams, 0
    batch.slots = min(batch.sentences, len(sources))
    with ExitStack() as held:
        held.enter_context(batch.model.lock)
        while waiting or at:
            for slot in range(batch.slots if waiting else 0):
                if slot not in at and waiting:
                    i = waiting.popleft()
                    batch.begin(slot, np.asarray(sources[i], np.int32), limits[i])
                    at[slot] = searches[i]
                    batch.tokens[slot * beams : slot * beams + config.beam] = searches[i].tokens
            live = [(slot * beams, each) for slot, each in sorted(at.items())]
            config.advance(live, batch.step(), batch.alignment if config.alignments else None)
            parents = parent_rows(live, config.beam, len(batch.tokens)) if beams > 1 else None
            if parents is not None:
                batch.select(parents)
            before = done
            for first, each in live:
                batch.tokens[first : first + config.beam] = each.tokens
                if each.done:
                    del at[first // beams]
                    batch.end(first // beams)
                    done += 1
            if done > before and not waiting and at and batch.compact_slots(sorted(at)):
                at = dict(enumerate(at[slot] for slot in sorted(at)))
            if progress is not None and done > before:
                held.close()
                progress(done)
                held.enter_context(batch.model.lock)


def search_batch(
    batch: DecodingBatch,
    sources: Sequence[Sequence[int] | np.ndarray],
    limits: Sequence[int],
    config: SearchConfig,
    progress: Callable[[int], None] | None = None,
) -> list[list[Hypothesis]]:
    """Find the most probable targets of any number of sentences, with the results of ``search``.

    Args:
        batch: decodes them.
        sources: ids of each, the end token included.
        limits: the most tokens to produce for each, the end token counted.
        config: of the search; its beam is at most the batch's.
        progress: called with the number of sentences that have ended, when it grows.

    Returns:
        For each sentence its hypotheses, in the order of the sources.
    """
    searches = [config.begin(limit, len(source)) for source, limit in zip(sources, limits, strict=True)]
    decode_batch(batch, sources, limits, searches, config, progress)
    return [each.hypotheses() for each in searches]
