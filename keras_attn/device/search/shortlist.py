"""A vocabulary shortlist: the few target tokens that may translate a sentence.

Most of a step of a small model with a large vocabulary computes scores of words that never come. With a
shortlist a step scores the most frequent tokens and the likely translations of the source's own.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.files.arrays import read_arrays
from keras_attn.device.files.bundle import SELECT
from keras_attn.device.runtime.interpreter import Model, Signature
from keras_attn.device.search.decoder import BucketSignatures, LiteRTState, LiteRTStepModel
from keras_attn.device.search.kv_cache import NOT_ATTENDED, Memory
from keras_attn.device.search.token_scores import Scores

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Shortlist:
    """Candidates by source token.

    Attributes:
        frequent: (F,) int32, ascending; candidates of every sentence.
        offsets: (V + 1,) int32; token s has the candidates ``targets[offsets[s] : offsets[s + 1]]``.
        targets: (E,) int32, of each source token the most probable first.
    """

    frequent: np.ndarray
    offsets: np.ndarray
    targets: np.ndarray

    def __post_init__(self):
        for each in fields(self):
            array = getattr(self, each.name)
            if array.ndim != 1 or array.dtype != np.int32:
                raise BundleError(
                    f"the shortlist's {each.name} must be one row of int32, not {array.dtype} {array.shape}"
                )
        vocabulary, tokens = len(self.offsets) - 1, np.concatenate([self.frequent, self.targets])
        if not len(self.frequent) or np.any(np.diff(self.frequent) < 1):
            raise BundleError("the shortlist's frequent must ascend, and have at least one token")
        if vocabulary < 1 or tokens.min() < 0 or tokens.max() >= vocabulary:
            raise BundleError("the shortlist names tokens that are not in its vocabulary")
        if self.offsets[0] or self.offsets[-1] != len(self.targets) or np.any(np.diff(self.offsets) < 0):
            raise BundleError("the shortlist's offsets must ascend from 0 to the number of targets")

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, V."""
        return len(self.offsets) - 1

    def candidates(self, source_ids: np.ndarray, size: int) -> np.ndarray:
        """Return at most ``size`` tokens, ascending int32, for a source (S,) int32.

        Where there are more, the least probable ones of each source token are left out.
        """
        chosen = np.zeros(self.vocabulary_size, bool)
        chosen[self.frequent] = True
        ranges = [self.targets[self.offsets[s] : self.offsets[s + 1]] for s in set(source_ids.tolist())]
        for targets in ranges:
            chosen[targets] = True
        found = np.flatnonzero(chosen)
        if len(found) > size:
            # Rank by rank: the best of every source token come before the second best of any.
            ranks = np.concatenate([np.arange(len(targets)) for targets in ranges])
            ranked = np.concatenate(ranges)[np.argsort(ranks, kind="stable")]
            ordered = np.concatenate([self.frequent, ranked])
            _, first = np.unique(ordered, return_index=True)
            found = np.sort(ordered[np.sort(first)[:size]])
        return found.astype(np.int32)

    def to_bytes(self) -> bytes:
        """Return the contents of the bundle's file."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> Self:
        """Read the contents of the bundle's file; nothing is unpickled.

        Raises:
            BundleError: it cannot be read, or an array is missing or not what it should be.
        """
        return cls(**read_arrays(content, name, [each.name for each in fields(cls)]))


class CandidateScores(Scores):
    """Scores of the candidates as scores of the whole vocabulary, where other tokens are impossible.

    Args:
        scores: of the candidates, by their index in ``tokens``.
        tokens: (C,) int32, ascending, the candidates.
        vocabulary_size: V.
    """

    def __init__(self, scores: Scores, tokens: np.ndarray, vocabulary_size: int):
        super().__init__(
            scores.logits[:, : len(tokens)], scores.normalizer, scores.top_tokens, scores.top_logits
        )
        self._tokens = tokens
        self._vocabulary_size = vocabulary_size

    def first(self, rows: int) -> CandidateScores:
        """Return the scores of only the first rows."""
        return CandidateScores(super().first(rows), self._tokens, self._vocabulary_size)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        every = np.full((len(self.logits), self._vocabulary_size), -np.inf, dtype or np.float32)
        every[:, self._tokens] = super().__array__()
        return every

    def log_prob(self, row: int, token: int) -> float:
        """Return the log-probability of one token."""
        index = int(np.searchsorted(self._tokens, token))
        known = index < len(self._tokens) and self._tokens[index] == token
        return super().log_prob(row, index) if known else -np.inf

    def best(self, suppress: Collection[int]) -> list[int]:
        """Return each row's best token, passing over the suppressed ones; NaN counts as the best."""
        best = self._tokens[super().best(())].tolist()
        if any(token in suppress for token in best):  # rare, so their indices are found only now
            indices = np.flatnonzero(np.isin(self._tokens, list(suppress))).tolist()
            best = self._tokens[super().best(indices)].tolist()
        return best

    def candidates(self, live: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find, in each live row, tokens that hold the best ``count`` ones: see ``Scores``."""
        rows, indices, log_probs = super().candidates(live, min(count, len(self._tokens)))
        return rows, self._tokens[indices], log_probs


@dataclass(frozen=True)
class _Encoded:
    """The outputs of encode and select, which a step reads."""

    outputs: Mapping[str, np.ndarray]


class _ShortlistSignatures(BucketSignatures):
    """A bucket whose steps score candidates."""

    def __init__(self, model: Model, layout: Mapping[str, Any], pad_id: int):
        super().__init__(model, {**layout, "steps": layout["short_steps"]}, pad_id)

    @property
    def memory(self) -> Memory:
        return _Encoded({**self.encode.outputs, **self._model.signature(SELECT).outputs})


class ShortlistedStepModel(LiteRTStepModel):
    """The step model over the signatures of a bundle that score a shortlist's candidates.

    Args:
        model: the interpreter.
        buckets: the manifest's ``buckets``, ascending, which name ``short_steps``.
        pad_id: what fills the source up to its bucket's length.
        shortlist: the candidates by source token.

    Raises:
        BundleError: the signature ``select`` is missing, or its inputs are not what they should be.
    """

    def __init__(self, model: Model, buckets: Sequence[Mapping[str, Any]], pad_id: int, shortlist: Shortlist):
        super().__init__(model, [], pad_id)
        self.buckets = [_ShortlistSignatures(model, bucket, pad_id) for bucket in buckets]
        self.shortlist = shortlist
        inputs = {name: view.shape for name, view in self._select.inputs.items()}
        size = inputs.get("candidates", (0,))[0]
        if inputs != {"candidates": (size,), "padding_bias": (1, size)} or size < len(shortlist.frequent):
            raise BundleError(
                f"signature {SELECT!r} must take candidates [K] and padding_bias [1, K], K at least the "
                f"{len(shortlist.frequent)} frequent tokens of the shortlist"
            )

    @property
    def _select(self) -> Signature:
        return self.model.signature(SELECT)

    @property
    def size(self) -> int:
        """The most candidates of a sentence, K."""
        return len(self._select.inputs["candidates"])

    def start(self, source_ids: np.ndarray, source_mask: np.ndarray) -> LiteRTState:
        """Encode one sentence, and read the rows of its candidates: see ``LiteRTStepModel``."""
        tokens = self.shortlist.candidates(source_ids[source_mask], self.size)
        state = super().start(source_ids, source_mask)
        select = self._select
        ids, bias = select.inputs["candidates"], select.inputs["padding_bias"]
        ids[: len(tokens)], ids[len(tokens) :] = tokens, tokens[0]
        bias[0, : len(tokens)], bias[0, len(tokens) :] = 0, NOT_ATTENDED
        select.run()
        state.candidates = tokens
        return state

    def step(self, tokens: np.ndarray, state: LiteRTState) -> tuple[Scores, LiteRTState]:
        """Feed ``tokens`` (R,); return scores in which only the candidates are possible."""
        scores, state = super().step(tokens, state)
        assert state.candidates is not None
        return CandidateScores(scores, state.candidates, self.shortlist.vocabulary_size), state
