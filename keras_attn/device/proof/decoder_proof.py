"""The proof in a bundle: the Keras model's scores and outputs for a few dozen inputs, with tolerances.

The exporter measures its files with the same functions that ``verify`` repeats on a device.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.files.arrays import read_arrays
from keras_attn.device.files.atomic_write import write_bytes
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn.device.search.beam_search import Hypothesis
from keras_attn.device.search.search import StepModel, search
from keras_attn.device.text.tokenizer import never_produced

if TYPE_CHECKING:
    from typing import Self

MOST_INPUTS = 4096
"""Inputs that a proof may have."""

StepModels = Callable[[int], StepModel]
"""Given the most steps after a start, returns the step model, as ``LiteRTStepModel.for_length`` does."""


@dataclass(frozen=True)
class ProofFile:
    """Arrays and accepted tolerances, stored as ``proof.npz``; subclasses define the arrays.

    Attributes:
        max_error: the largest accepted difference of a score, as ``tolerance`` counts it.
        mean_error: the largest accepted mean difference.
        min_token_agreement: the least accepted fraction of answers that equal the Keras model's.
        logit_size: usual size of the logits of the best tokens, see ``tolerance``; 0 where it is not known,
            as in a bundle that an earlier version wrote.
        texts: (N,) uint8, see ``text_proof``; empty in a bundle that an earlier version wrote.
    """

    _DIMENSIONS: ClassVar[Mapping[str, int]] = {}

    max_error: float = field(default=float("inf"), kw_only=True)
    mean_error: float = field(default=float("inf"), kw_only=True)
    min_token_agreement: float = field(default=0.0, kw_only=True)
    logit_size: float = field(default_factory=float, kw_only=True)
    texts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8), kw_only=True)

    def to_bytes(self) -> bytes:
        """Return the contents of ``proof.npz``."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {each.name: np.asarray(getattr(self, each.name)) for each in fields(self)}
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``proof.npz``, aside first."""
        write_bytes(path, self.to_bytes())

    @classmethod
    def load(cls, source: str | os.PathLike[str] | bytes) -> Self:
        """Read ``proof.npz`` from a path or from its contents; nothing is unpickled.

        Raises:
            BundleError: it cannot be read, or an array is missing or misshapen.
        """
        name = "proof.npz" if isinstance(source, bytes) else os.fspath(source)
        try:
            content = source if isinstance(source, bytes) else Path(source).read_bytes()
        except OSError as error:
            raise BundleError(f"{name} cannot be read: {error}") from None
        optional = [each.name for each in fields(cls) if each.default_factory is not MISSING]
        wanted = [each.name for each in fields(cls) if each.name not in optional]
        arrays: dict[str, Any] = dict(read_arrays(content, name, wanted, optional))
        arrays.setdefault("logit_size", np.zeros(()))
        for scalar in ("max_error", "mean_error", "min_token_agreement", "logit_size"):
            if arrays[scalar].shape != () or arrays[scalar].dtype.kind not in "iuf":
                raise BundleError(
                    f"{name}: {scalar} is {arrays[scalar].dtype} {arrays[scalar].shape}, not a number"
                )
            arrays[scalar] = float(arrays[scalar])
        if not 0 <= arrays["logit_size"] < float("inf"):
            raise BundleError(f"{name}: logit_size is {arrays['logit_size']}, not a size")
        for array, dimensions in cls._DIMENSIONS.items():
            kinds = "f" if array.endswith("scores") else "i"
            found = arrays[array]
            if found.ndim != dimensions or found.dtype.kind not in kinds:
                raise BundleError(
                    f"{name}: {array} is {found.dtype} {found.shape}, not of {dimensions} dimensions"
                )
        return cls(**arrays)

    def check_arrays(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise a BundleError if an array is not of its shape or not finite, or there are too many inputs."""
        count = len(self.source_ids)  # type: ignore[attr-defined]  every subclass has it
        if count > MOST_INPUTS:
            raise BundleError(f"the proof has {count} inputs, {MOST_INPUTS} at most are read")
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise BundleError(f"the proof's {name} is {getattr(self, name).shape}, but {shape} is needed")
            if not np.all(np.isfinite(getattr(self, name))):
                raise BundleError(f"the proof's {name} is not finite")

    def check_width(self, width: int) -> None:
        """Raise a BundleError if it compares scores beyond the ``width`` that a model has."""
        found = self.check_ids  # type: ignore[attr-defined]  every subclass has it
        if found.size == 0 or found.min() < 0 or found.max() >= width:
            raise BundleError(f"the proof compares scores that are not among the model's {width}")


@dataclass(frozen=True)
class Proof(ProofFile):
    """References of N inputs, of up to S source and T target tokens, with K scores compared at each step.

    Attributes:
        source_ids: (N, S) int32, padded.
        source_lengths: (N,) int32, the end token counted.
        target_ids: (N, T) int32, the Keras model's greedy output, the end token included if it came.
        target_lengths: (N,) int32.
        check_ids: (N, T, K) int32, tokens whose scores are compared.
        check_scores: (N, T, K) float32, the Keras model's log-probabilities of these.
    """

    _DIMENSIONS: ClassVar[Mapping[str, int]] = {
        "source_ids": 2,
        "source_lengths": 1,
        "target_ids": 2,
        "target_lengths": 1,
        "check_ids": 3,
        "check_scores": 3,
    }

    source_ids: np.ndarray
    source_lengths: np.ndarray
    target_ids: np.ndarray
    target_lengths: np.ndarray
    check_ids: np.ndarray
    check_scores: np.ndarray

    def __post_init__(self):
        count, steps = self.target_ids.shape[0], self.target_ids.shape[-1]
        shapes = {
            "source_ids": (count, self.source_ids.shape[-1]),
            "source_lengths": (count,),
            "target_ids": (count, steps),
            "target_lengths": (count,),
            "check_ids": (count, steps, self.check_ids.shape[-1]),
            "check_scores": self.check_ids.shape,
        }
        self.check_arrays(shapes)
        if count == 0:
            raise BundleError("the proof has no inputs")
        for ids, lengths in (("source_ids", "source_lengths"), ("target_ids", "target_lengths")):
            values = getattr(self, lengths)
            if values.min() < 1 or values.max() > getattr(self, ids).shape[1]:
                raise BundleError(f"the proof's {lengths} must be between 1 and the width of {ids}")

    def __len__(self) -> int:
        return len(self.source_ids)

    def source(self, i: int) -> np.ndarray:
        """Return the source ids of input i."""
        return self.source_ids[i, : self.source_lengths[i]]

    def target(self, i: int) -> np.ndarray:
        """Return the target ids of input i."""
        return self.target_ids[i, : self.target_lengths[i]]


@dataclass
class Figures:
    """The differences between a step model and a proof's references.

    Attributes:
        max_error: largest difference of a score, as ``tolerance`` counts it.
        mean_error: mean difference over all scores compared.
        token_agreement: fraction of steps, fed the reference's tokens, whose best token is the reference's.
        greedy_agreement: fraction of inputs whose greedy output is the reference's; None if not measured.
        sentences: inputs compared.
        steps: steps compared.
        worst: input, step and signature of the largest difference.
        first_disagreement: input, step and signature of the first token that differs, if any does.
        signatures: signatures that were used.
    """

    max_error: float
    mean_error: float
    token_agreement: float
    greedy_agreement: float | None
    sentences: int
    steps: int
    worst: dict[str, Any]
    first_disagreement: dict[str, Any] | None
    signatures: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return dict(self.__dict__)


def measure(
    step_models: StepModels,
    proof: Proof,
    special_ids: Mapping[str, int],
    *,
    rows: int = 1,
    greedy: bool = True,
) -> Figures:
    """Compare a step model with a proof, input by input, feeding the reference's tokens.

    With ``rows`` above 1, the other rows are fed other tokens, and the reference's row changes at every step:
    rows that mix, or beams that continue a wrong row, show up as errors.

    Args:
        step_models: the models to measure.
        proof: references.
        special_ids: ids of ``pad``, ``start`` and ``end``.
        rows: rows to decode at a time.
        greedy: whether to search greedily too.

    Raises:
        BundleError: a score is not finite.
    """
    stats = ErrorStats(proof, special_ids)
    for i in range(len(proof)):
        source = proof.source(i)
        forced = _forced(step_models, proof, i, source, special_ids, rows)
        for step, (scores, signature) in enumerate(forced):
            stats.add(i, step, scores, signature)
        if greedy:
            output = _greedy(step_models, proof, i, source, special_ids)
            stats.greedy_hits.append(output == proof.target(i).tolist())
    return stats.figures()


class ErrorStats:
    """Collects differences from a proof's references."""

    def __init__(self, proof: Proof, special_ids: Mapping[str, int]):
        self._proof, self._special_ids = proof, special_ids
        self._errors: list[np.ndarray] = []
        self._agreements: list[bool] = []
        self._signatures: set[str] = set()
        self._worst: dict[str, Any] = {}
        self._largest, self._first = -1.0, None
        self.greedy_hits: list[bool] = []

    def add(self, i: int, step: int, scores: np.ndarray, signature: str | None) -> None:
        """Compare the scores (V,) of a step of input i."""
        proof, position = self._proof, {"sentence": i, "step": step, "signature": signature}
        checked, wanted = scores[proof.check_ids[i, step]], proof.check_scores[i, step]
        difference = counted_errors(checked, wanted, logit_size=proof.logit_size)
        if not np.all(np.isfinite(difference)):
            raise BundleError(f"sentence {i}, step {step}, signature {signature}: a score is not finite")
        self._errors.append(difference)
        if difference.max() > self._largest:
            self._worst, self._largest = position, float(difference.max())
        # The first token of some models is not theirs to choose.
        best = self._special_ids.get("first") if step == 0 else None
        best = _best(scores, self._special_ids) if best is None else best
        self._agreements.append(best == proof.target_ids[i, step])
        if not self._agreements[-1] and self._first is None:
            self._first = position
        if signature:
            self._signatures.add(signature)

    def figures(self) -> Figures:
        """Return the figures of all steps so far."""
        return Figures(
            max_error=self._largest,
            mean_error=float(np.mean(self._errors)),
            token_agreement=float(np.mean(self._agreements)),
            greedy_agreement=float(np.mean(self.greedy_hits)) if self.greedy_hits else None,
            sentences=len(self._proof),
            steps=len(self._agreements),
            worst=self._worst,
            first_disagreement=self._first,
            signatures=sorted(self._signatures),
        )


def shuffled_change(
    step_models: StepModels, proof: Proof, special_ids: Mapping[str, int], seed: int = 0
) -> dict[str, Any]:
    """Measure how much the scores change when the source tokens are shuffled, the end token staying last.

    With a quantized encoder that ignores its input nothing changes. Sources whose tokens are all equal are
    skipped.

    Returns:
        ``sentences`` measured, ``mean_change`` of the scores of each (a list), and ``outputs_changed``, the
        fraction whose greedy output differs from that of the original order.
    """
    rng = np.random.default_rng(seed)
    changes, outputs = [], []
    for i in range(len(proof)):
        source = proof.source(i)
        if len(set(source[:-1].tolist())) < 2:
            continue
        shuffled = source.copy()
        while np.array_equal(shuffled, source):
            shuffled[:-1] = rng.permutation(source[:-1])
        right = _checked_scores(step_models, proof, i, source, special_ids)
        wrong = _checked_scores(step_models, proof, i, shuffled, special_ids)
        changes.append(float(np.mean(counted_errors(wrong, right))))
        outputs.append(
            _greedy(step_models, proof, i, source, special_ids)
            != _greedy(step_models, proof, i, shuffled, special_ids)
        )
    return {
        "sentences": len(changes),
        "mean_change": changes,
        "outputs_changed": float(np.mean(outputs)) if outputs else 0.0,
    }


def _forced(step_models: StepModels, proof: Proof, i: int, source: np.ndarray, special_ids, rows: int):
    """Feed the reference's tokens; yield each step's scores (V,) and the signature that made them."""
    model = step_models(len(proof.target(i)))
    state = model.start(source[None], np.ones((1, len(source)), bool))
    if rows > 1:
        state = state.select(np.zeros(rows, np.int64))
    for tokens, row, order in forced_inputs(proof, i, special_ids, rows):
        scores, state = model.step(tokens, state)
        yield np.array(scores[row], np.float32), getattr(state, "signature", None)
        if rows > 1:
            state = state.select(order)


def forced_inputs(
    proof: Proof, i: int, special_ids, rows: int
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Yield, for each step, the tokens of all rows, the reference's row, and which row each one continues."""
    target, rng = proof.target(i), np.random.default_rng(i)
    token, own = special_ids["start"], 0
    for step in range(len(target)):
        # The other rows are fed tokens of the same target, so that they stay in the vocabulary.
        tokens = np.full(rows, token, np.int32)
        if rows > 1 and step:
            tokens[:] = rng.choice(target, rows)
            tokens[own] = token
        order = rng.permutation(rows)
        yield tokens, own, order
        token = target[step]
        own = int(np.flatnonzero(order == own)[0])


def _checked_scores(
    step_models: StepModels, proof: Proof, i: int, source: np.ndarray, special_ids
) -> np.ndarray:
    steps = _forced(step_models, proof, i, source, special_ids, 1)
    return np.stack([scores[proof.check_ids[i, step]] for step, (scores, _) in enumerate(steps)])


def _best(scores: np.ndarray, special_ids: Mapping[str, int]) -> int:
    """Return the best token of a row, except for those that no search produces."""
    allowed = scores.copy()
    allowed[list(never_produced(special_ids))] = -np.inf
    return int(allowed.argmax())


def _greedy(step_models: StepModels, proof: Proof, i: int, source: np.ndarray, special_ids) -> list[int]:
    """Return the greedy output, with its end token, no longer than the reference's."""
    return with_end(greedy(step_models, source, int(proof.target_lengths[i]), special_ids), special_ids)


def greedy(
    step_models: StepModels,
    source: np.ndarray,
    limit: int,
    special_ids: Mapping[str, int],
    force_end: bool = False,
) -> Hypothesis:
    """Search greedily for the target of a source (S,): see ``search``."""
    [[found]] = search(
        step_models(limit),
        source[None],
        np.ones((1, len(source)), bool),
        start_id=special_ids["start"],
        end_id=special_ids["end"],
        max_length=limit,
        suppress=never_produced(special_ids),
        force_end=force_end,
        first_id=special_ids.get("first"),
    )
    return found


def with_end(found: Hypothesis, special_ids: Mapping[str, int]) -> list[int]:
    """Return a hypothesis' ids, with the end token if it came."""
    return [*found.ids, special_ids["end"]] if found.finished else found.ids
