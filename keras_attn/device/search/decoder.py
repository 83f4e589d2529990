"""The step protocol over a bundle's signatures: encode once per sentence, then step with caches in place.

A sentence begins with the smallest step for its number of rows, whose attention costs least, and moves to
the next larger one when its caches are full of what its rows descend from.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.runtime.interpreter import Model, Signature
from keras_attn.device.search.batch_kv_cache import BatchStep
from keras_attn.device.search.batch_search import DecodingBatch, StepSpec, by_size
from keras_attn.device.search.kv_cache import Memory, Step
from keras_attn.device.search.token_scores import Scores
from keras_attn.errors import ArgumentError

if TYPE_CHECKING:
    from typing import Self


class LiteRTState:
    """One sentence being decoded; it lives in the interpreter's memory, and is saved while that is used.

    ``select`` and ``step`` change it in place and return it.

    Attributes:
        candidates: (C,) int32, the only tokens that the steps score, where there is a shortlist.
    """

    def __init__(self, model: Model, bucket: BucketSignatures, source_length: int):
        self._bucket = bucket
        self._source_length = source_length
        self._model = model
        self.token = object()
        self.opening = model.opening
        self._step: Step | None = None
        self.candidates: np.ndarray | None = None
        self.rows = 1
        self.position = 0
        self._saved: list[tuple[np.ndarray, np.ndarray]] = []
        self._saved_slots = 0

    def save(self) -> None:
        """Copy the sentence out of the interpreter's memory: what encode left, and what the step is fed."""
        views = list(self._bucket.memory.outputs.values())
        if self._step is not None:
            views += self._step.signature.inputs.values()
            self._saved_slots = self._step.used
        self._saved = [(view, view.copy()) for view in views]

    def restore(self) -> None:
        """Write the sentence back."""
        for view, kept in self._saved:
            view[...] = kept
        if self._step is not None:
            self._step.used = self._saved_slots

    @property
    def signature(self) -> str | None:
        """Name of the step signature in use; None before the number of rows is known."""
        return None if self._step is None else self._step.signature.name

    @property
    def alignment(self) -> np.ndarray | None:
        """Attention of the last step over the source, (R, S) float32 view, or None."""
        if self._step is None or self._step.alignment is None:
            return None
        alignment = self._step.alignment[: self.rows, : self._source_length]
        beyond = self._source_length - alignment.shape[1]  # padding beyond the bucket's length
        return np.pad(alignment, ((0, 0), (0, beyond))) if beyond > 0 else alignment

    def select(self, rows: np.ndarray) -> LiteRTState:
        """Let row i continue row ``rows[i]``.

        Raises:
            ArgumentError: there are more rows than the bundle was exported for.
        """
        rows = np.asarray(rows)
        self._model.hand_to(self)
        if self._step is None:
            self._step = self._bucket.first_step(len(rows))
            self._step.begin()
        elif len(rows) > self._step.rows:
            raise InputError(f"{len(rows)} rows cannot follow {self._step.rows} after the first step.")
        else:
            self._step.reorder(rows)
        self.rows = len(rows)
        return self

    def feed(self, tokens: np.ndarray) -> Scores:
        """Run a step: ``tokens`` (R,) in, a view of the scores (R, V) out."""
        if self._model.user is not self.token:
            self._model.hand_to(self)
        step = self._step
        if step is None:
            self.select(np.zeros(1, np.int64))
            step = self._step
            assert step is not None
        if step.full:
            step.forget(self.rows)
        if step.full or self.position == self._bucket.max_target_tokens(step.rows):
            step = self._step = self._grown(step)
        step.tokens[: self.rows] = tokens
        if step.position is not None:
            step.position[0] = self.position
        step.run()
        step.keep()
        self.position += 1
        return step.scores if self.rows == step.rows else step.scores.first(self.rows)

    def _grown(self, step: Step) -> Step:
        """Move the sentence to the next larger step with the same number of rows."""
        larger = self._bucket.step(step.rows, max(step.target, self.position) + 1)
        if larger is None:
            most = self._bucket.max_target_tokens(step.rows)
            raise InputError(f"Signature {step.signature.name!r} takes at most {most} target tokens.")
        larger.take_over(step)
        return larger


class BucketSignatures:
    """The signatures for sources of up to ``source`` tokens; a step is made ready when first used."""

    def __init__(self, model: Model, layout: Mapping[str, Any], pad_id: int):
        self._pad_id = pad_id
        self.source: int = layout["source"]
        self.target: int = layout["target"]
        self._model = model
        self._encode_name: str = layout["encode"]
        # Number of rows -> (target tokens, signature), both ascending.
        self._names = {
            int(rows): sorted((int(target), name) for target, name in by_target.items())
            for rows, by_target in sorted(layout["steps"].items(), key=_by_rows)
        }
        self._steps: dict[str, Step] = {}
        self._batch_steps: dict[str, BatchStep] = {}
        # Sentences and beams of a batch -> target tokens -> signature.
        self._batches = {
            (int(each["sentences"]), int(each["beams"])): each["steps"] for each in layout.get("batches", ())
        }

    @property
    def encode(self) -> Signature:
        """The encode signature."""
        return self._model.signature(self._encode_name)

    @property
    def memory(self) -> Memory:
        """The outputs that fill the steps' inputs."""
        return self.encode

    @property
    def row_counts(self) -> list[int]:
        """Numbers of rows for which there are steps."""
        return list(self._names)

    def prepare(self) -> None:
        """Make every step ready now."""
        for rows, names in self._names.items():
            for target, _ in names:
                self.step(rows, target)

    def first_step(self, rows: int) -> Step:
        """Return the smallest step with the fewest rows that suffice.

        Raises:
            ArgumentError: there are more rows than any step has.
        """
        enough = next((count for count in self._names if count >= rows), None)
        step = None if enough is None else self.step(enough, 1)
        if step is None:
            raise ArgumentError(
                f"beam is {rows}, but this bundle was exported for a beam of at most {max(self._names)}."
            )
        return step

    def step(self, rows: int, target: int) -> Step | None:
        """Return the smallest step of ``rows`` rows that takes ``target`` target tokens, or None."""
        for most, name in self._names[rows]:
            if most >= target:
                signature, step = self._model.signature(name), self._steps.get(name)
                if step is None or step.signature is not signature:  # the model was opened anew
                    step = self._steps[name] = Step(signature, self.memory, rows, most)
                return step
        return None

    def max_target_tokens(self, rows: int) -> int:
        """Return the most target tokens of any step of ``rows`` rows."""
        return self._names[rows][-1][0]

    @property
    def batch_beams(self) -> set[int]:
        """Beams of the batches for which there are steps."""
        return {beams for _, beams in self._batches}

    def batch_specs(self, beams: int) -> Iterator[StepSpec]:
        """Yield the steps for batches of ``beams`` beams."""
        for (sentences, width), steps in self._batches.items():
            for target, name in steps.items() if width == beams else ():
                make = functools.partial(self._batch_step, name, sentences, beams, int(target))
                yield StepSpec(sentences, self.source, int(target), make)

    def _batch_step(self, name: str, sentences: int, beams: int, target: int) -> BatchStep:
        signature, step = self._model.signature(name), self._batch_steps.get(name)
        if step is None or step.signature is not signature:  # the model was opened anew
            step = BatchStep(signature, self.encode, sentences, beams, self.source, target)
            self._batch_steps[name] = step
        return step

    def start(self, source_ids: np.ndarray) -> None:
        """Encode a source (S,)."""
        encode = self.encode
        ids, mask = encode.inputs.get("token_ids"), encode.inputs.get("source_mask")
        if ids is None or mask is None or ids.shape != (1, self.source) or mask.shape != ids.shape:
            raise BundleError(
                f"signature {encode.name!r} must take token_ids and source_mask of shape [1, {self.source}]"
            )
        length = len(source_ids)
        ids[0, :length] = source_ids
        ids[0, length:] = self._pad_id
        mask[0, :length] = 1
        mask[0, length:] = 0
        encode.run()


def _by_rows(item: tuple[str, str]) -> int:
    return int(item[0])


class LiteRTStepModel:
    """``keras_attn.device.search.search.StepModel`` over the signatures of a bundle; one sentence at a time.

    Threads that share it hold ``lock`` while they compute. Sentences may be begun before others have ended.

    Args:
        model: the interpreter.
        buckets: the manifest's ``buckets``, ascending.
        pad_id: what fills the source up to its bucket's length.
        max_length: the most steps that will be taken; see ``for_length``.

    Attributes:
        model: the interpreter.
        fewest_source_tokens: the fewest that ``start`` takes.
    """

    fewest_source_tokens: ClassVar[int] = 1

    def __init__(
        self, model: Model, buckets: Sequence[Mapping[str, Any]], pad_id: int, max_length: int | None = None
    ):
        self.buckets = [BucketSignatures(model, bucket, pad_id) for bucket in buckets]
        self.model = model
        self.max_length = max_length
        # Beams -> the steps for batches with that many, both ascending.
        self._specs = {
            beams: sorted(
                (spec for bucket in self.buckets for spec in bucket.batch_specs(beams)), key=by_size
            )
            for beams in sorted(set().union(*(bucket.batch_beams for bucket in self.buckets)))
        }

    @property
    def lock(self) -> AbstractContextManager:
        """The lock that keeps other threads from the interpreter's memory."""
        return self.model.lock

    @property
    def batches(self) -> list[DecodingBatch]:
        """One batch for each number of beams."""
        return [
            DecodingBatch(beams, specs, self._encoded, self.model) for beams, specs in self._specs.items()
        ]

    @property
    def max_source_tokens(self) -> int:
        """Length of the largest bucket, the end token counted."""
        return max(bucket.source for bucket in self.buckets)

    @property
    def max_target_tokens(self) -> int:
        """The most tokens that can be produced, the end token counted."""
        return max(bucket.target for bucket in self.buckets)

    @property
    def row_counts(self) -> list[int]:
        """Numbers of rows for which there are step signatures, ascending."""
        return sorted({count for bucket in self.buckets for count in bucket.row_counts})

    def prepare(self) -> None:
        """Make every signature ready now, instead of when it is first used.

        Raises:
            BundleError: names the signature, and the tensor whose role or shape is wrong.
        """
        for bucket in self.buckets:
            bucket.prepare()
        for batch in self.batches:
            batch.prepare()

    def batch(self, beam: int) -> DecodingBatch | None:
        """Return a new batch with at least ``beam`` rows per sentence, None if the bundle has none."""
        beams = next((beams for beams in self._specs if beams >= beam), None)
        return None if beams is None else DecodingBatch(beams, self._specs[beams], self._encoded, self.model)

    def _encoded(self, source: np.ndarray, limit: int) -> tuple[Signature, int]:
        bucket = self.for_length(limit)._bucket_for(len(source))
        bucket.start(source)
        return bucket.encode, bucket.source

    def for_length(self, max_length: int) -> Self:
        """Return this model for at most ``max_length`` steps after each start; memory is shared.

        With this limit ``start`` can choose the smallest signatures.
        """
        same = object.__new__(type(self))
        same.__dict__.update(self.__dict__, max_length=max_length)
        return same

    def start(self, source_ids: np.ndarray, source_mask: np.ndarray) -> LiteRTState:
        """Encode one sentence, (1, S) int32, of which the mask's True are the first tokens.

        Raises:
            InputError: there is more than one sentence, or it does not fit.
            ArgumentError: no signature takes ``max_length`` steps.
        """
        if len(source_ids) != 1:
            raise InputError(f"A bundle decodes one sentence at a time, not {len(source_ids)}.")
        length = int(np.count_nonzero(source_mask))
        if length < self.fewest_source_tokens or not source_mask[0, :length].all():
            raise InputError("source_mask must be True for the first tokens, at least one, and then False.")
        bucket = self._bucket_for(length)
        state = LiteRTState(self.model, bucket, source_ids.shape[1])
        self.model.hand_to(state)
        bucket.start(source_ids[0, :length])
        return state

    def step(self, tokens: np.ndarray, state: LiteRTState) -> tuple[Scores, LiteRTState]:
        """Feed ``tokens`` (R,); return a view of the scores (R, V), which the next step overwrites."""
        return state.feed(tokens), state

    def _bucket_for(self, source: int) -> BucketSignatures:
        target = self.max_length or 1
        for bucket in self.buckets:
            if bucket.source >= source and bucket.target >= target:
                return bucket
        if source > self.max_source_tokens:
            raise InputError(
                f"The text has {source} tokens, and this bundle takes at most {self.max_source_tokens}."
            )
        raise ArgumentError(
            f"max_length is {target}, and this bundle produces at most {self.max_target_tokens} tokens."
        )
