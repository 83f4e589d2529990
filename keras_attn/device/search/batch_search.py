"""Decoding a batch of sentences over a bundle's signatures, each sentence at a place and a step of its own.

A place is taken by the next sentence as soon as the one before has ended. When none is left the others close
up, so that fewer places are computed. The step in use is the smallest one with room for all sentences that
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
    """A step signature of batches, by what it has room for; ``make`` makes it ready."""

    sentences: int
    source: int
    target: int
    make: Callable[[], BatchStep]


def by_size(room: StepSpec) -> tuple[int, int, int]:
    """Return what rooms are sorted by."""
    return room.sentences, room.source, room.target


class Batch:
    """Sentences being decoded, at up to N places, B rows each.

    It lives in the interpreter's memory, and is saved while something else does.

    Args:
        beams: B.
        rooms: the steps there are, ascending; N is the most sentences of one.
        encode: encodes a sentence (S,) int32 that is to have at most so many target tokens; returns the
            signature that holds the result, and for how many source tokens that is.
        model: the interpreter.

    Attributes:
        sentences: N.
        beams: B.
        places: how many of the places are used, the first ones.
        tokens: (N*B,) int32, what the next step is fed.
    """

    def __init__(
        self,
        beams: int,
        rooms: Sequence[StepSpec],
        encode: Callable[[np.ndarray, int], tuple[Signature, int]],
        model: Model,
    ):
        self.beams = beams
        self.model = model
        self.opening = model.opening
        self.token = object()
        self._rooms = rooms
        self.sentences = max(room.sentences for room in self._rooms)
        self._encode = encode
        self._step: BatchStep | None = None
        self._saved: list[tuple[np.ndarray, np.ndarray]] = []
        self.places = self.sentences
        # Of each place: tokens fed so far, and room for the source, which is 0 where there is no sentence.
        self._positions = np.zeros(self.sentences, np.int64)
        self._sources = np.zeros(self.sentences, np.int64)
        self.tokens = np.zeros(self.sentences * beams, np.int32)

    @property
    def sizes(self) -> list[int]:
        """Sentences for which there are steps, ascending."""
        return sorted({room.sentences for room in self._rooms})

    @property
    def signature(self) -> str | None:
        """Name of the step signature in use; None before there is a sentence."""
        return None if self._step is None else self._step.signature.name

    @property
    def alignment(self) -> np.ndarray | None:
        """Attention of the last step's rows over the source, (R, S) float32 view, or None."""
        return None if self._step is None else self._step.alignment

    @property
    def source_rooms(self) -> list[int]:
        """Lengths of sources for which there are steps, ascending."""
        return sorted({room.source for room in self._rooms})

    def room_for(self, source_tokens: int) -> int | None:
        """Return the smallest of ``source_rooms`` that holds so many tokens."""
        return next((room for room in self.source_rooms if room >= source_tokens), None)

    def prepare(self) -> None:
        """Make every step ready now, instead of when it is first used.

        Raises:
            BundleError: names the signature, and the tensor whose role or shape is wrong.
        """
        for room in self._rooms:
            room.make()

    def save(self) -> None:
        """Copy the sentences out of the interpreter's memory."""
        views = () if self._step is None else self._step.signature.inputs.values()
        self._saved = [(view, view.copy()) for view in views]

    def restore(self) -> None:
        """Write the sentences back."""
        for view, kept in self._saved:
            view[...] = kept

    def begin(self, place: int, source: np.ndarray, limit: int) -> None:
        """Let a sentence (S,) int32 take a place, for at most ``limit`` target tokens.

        Raises:
            InputError: it does not fit.
            ArgumentError: no signature has room for so many target tokens.
        """
        self.model.hand_to(self)
        encode, self._sources[place] = self._encode(source, limit)
        self._positions[place] = 0
        self._fitting().begin(place, encode)

    def end(self, place: int) -> None:
        """Give up the sentence at a place."""
        self._positions[place] = self._sources[place] = 0

    def compact_slots(self, places: Sequence[int]) -> bool:
        """Move the sentences at these places to the first ones, in this order, if a smaller step then does.

        Returns:
            Whether they have moved. All other sentences have ended then.
        """
        step, count = self._step, len(places)
        room = self._smallest_room(count, *self._needed())
        if step is None or room.sentences == step.sentences:
            return False
        self.places, self._step = count, room.make()
        self._step.go_on(step, places)
        for each in (self._positions, self._sources, self.tokens.reshape(self.sentences, self.beams)):
            each[:count] = each[list(places)]
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
        room, step = self._smallest_room(self.places, source, target), self._step
        if step is not None and step.sentences == room.sentences:
            # Moving to a smaller step is worth it if that one will do for some time.
            fits = step.source >= source and step.target >= target
            if fits and step.source == room.source and 2 * target > room.target:
                return step
        self._step = room.make()
        if step is not None and step is not self._step:
            self._step.go_on(step, range(min(step.sentences, room.sentences)))
        return self._step

    def _needed(self) -> tuple[int, int]:
        """Return for how many source and target tokens the next step must have room."""
        step = self._step
        held = 0 if step is None else int(step.held(self._positions[: step.sentences]).max())
        return int(self._sources.max()), -(-held // self.beams) + 1

    def _smallest_room(self, places: int, source: int, target: int) -> StepSpec:
        for room in self._rooms:
            if room.sentences >= places and room.source >= source and room.target >= target:
                return room
        raise InputError(f"No step of a batch has room for {source} source and {target} target tokens.")


class Sentences(Protocol):
    """What decides for sentences by the scores of a step, such as ``SearchConfig``."""

    @property
    def beam(self) -> int:
        """Rows of each sentence, at most the batch's."""
        ...

    @property
    def alignments(self) -> bool:
        """Whether attention is wanted."""
        ...

    def advance(self, live: Sequence[tuple[int, Any]], scores: Scores, alignment: np.ndarray | None) -> None:
        """Let sentences take a step: see ``SearchConfig.advance``."""
        ...


def decode_batch(
    batch: Batch,
    sources: Sequence[Sequence[int] | np.ndarray],
    limits: Sequence[int],
    searches: Sequence[Any],
    rules: Sentences,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Take any number of sentences through a batch, each place going on with the next one at once.

    The longest come first, so that the last ones, with places left empty, are short. The model is held, but
    while ``progress`` is called.

    Args:
        batch: decodes them.
        sources: ids of each, the end token included.
        limits: the most steps of each.
        searches: of each, with ``tokens`` to feed, ``parents`` and ``done`` as ``Greedy`` and ``Beam`` have.
        rules: advances them.
        progress: called with the number of sentences that have ended, when it grows.
    """
    waiting = deque(sorted(range(len(sources)), key=lambda i: -len(sources[i])))
    at: dict[int, Any] = {}  # place -> the search of the sentence there
    beams, done = batch.beams, 0
    batch.places = min(batch.sentences, len(sources))
    with ExitStack() as held:
        held.enter_context(batch.model.lock)
        while waiting or at:
            for place in range(batch.places if waiting else 0):
                if place not in at and waiting:
                    i = waiting.popleft()
                    batch.begin(place, np.asarray(sources[i], np.int32), limits[i])
                    at[place] = searches[i]
                    batch.tokens[place * beams : place * beams + rules.beam] = searches[i].tokens
            live = [(place * beams, each) for place, each in sorted(at.items())]
            rules.advance(live, batch.step(), batch.alignment if rules.alignments else None)
            parents = parent_rows(live, rules.beam, len(batch.tokens)) if beams > 1 else None
            if parents is not None:
                batch.select(parents)
            before = done
            for first, each in live:
                batch.tokens[first : first + rules.beam] = each.tokens
                if each.done:
                    del at[first // beams]
                    batch.end(first // beams)
                    done += 1
            if done > before and not waiting and at and batch.compact_slots(sorted(at)):
                at = dict(enumerate(at[place] for place in sorted(at)))
            if progress is not None and done > before:
                held.close()
                progress(done)
                held.enter_context(batch.model.lock)


def search_batch(
    batch: Batch,
    sources: Sequence[Sequence[int] | np.ndarray],
    limits: Sequence[int],
    rules: SearchConfig,
    progress: Callable[[int], None] | None = None,
) -> list[list[Hypothesis]]:
    """Find the most probable targets of any number of sentences, as ``search`` finds those of each alone.

    Args:
        batch: decodes them.
        sources: ids of each, the end token included.
        limits: the most tokens to produce for each, the end token counted.
        rules: of the search; their beam is at most the batch's.
        progress: called with the number of sentences that have ended, when it grows.

    Returns:
        For each sentence its hypotheses, in the order of the sources.
    """
    searches = [rules.begin(limit, len(source)) for source, limit in zip(sources, limits, strict=True)]
    decode_batch(batch, sources, limits, searches, rules, progress)
    return [each.hypotheses() for each in searches]
