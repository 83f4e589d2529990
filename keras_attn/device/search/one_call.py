"""Greedy search in one call: the signatures of a bundle that run a whole sentence.

For hosts that would rather not write a loop. The result is that of ``search`` with a beam of 1; this module
is how Python calls it, and how the proof holds it against that search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.files.bundle import Bundle
from keras_attn.device.proof.decoder_proof import Proof, greedy
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn.device.runtime.interpreter import Model, Signature
from keras_attn.device.runtime.litert import runtime
from keras_attn.device.search.beam_search import Hypothesis
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.errors import ArgumentError

if TYPE_CHECKING:
    from typing import Self

_OUTPUTS = ("target_ids", "target_length", "finished", "log_prob")


class OneCall:
    """Searches greedily for the target of one source, in one call of a signature.

    Args:
        model: the interpreter.
        buckets: the manifest's ``buckets``, ascending.
        pad_id: what fills a source up to its bucket's length.

    Raises:
        BundleError: the bundle was exported without it.
    """

    def __init__(self, model: Model, buckets: Sequence[Mapping[str, Any]], pad_id: int):
        self._model = model
        self._names = {bucket["source"]: bucket["one_call"] for bucket in buckets if "one_call" in bucket}
        self._pad_id = pad_id
        if not self._names:
            raise BundleError(f"{model.name} has no signature for one call; export it with --one-call.")

    @classmethod
    def from_bundle(cls, bundle: Bundle, threads: int = 1) -> Self:
        """Open the model of a bundle that has been opened.

        Raises:
            BundleError: the bundle was exported without it, or may not run on this interpreter.
            ImportError: no interpreter is installed.
        """
        bundle.check_runtime(*runtime())
        manifest, name = bundle.manifest, f"{bundle.path}/model.tflite"
        model = Model(bundle.model(), threads, name, bundle.weight_cache, manifest["signatures"])
        return cls(model, manifest["buckets"], manifest["special_ids"]["pad"])

    def prepare(self) -> None:
        """Make every signature ready now, instead of when it is first used.

        Raises:
            BundleError: names the signature whose inputs or outputs are wrong.
        """
        for source, name in self._names.items():
            signature, text = self._model.signature(name), (1, source)
            inputs = {tensor: view.shape for tensor, view in signature.inputs.items()}
            wanted = {"token_ids": text, "source_mask": text, "max_length": (1,)}
            if inputs != wanted or sorted(signature.outputs) != sorted(_OUTPUTS):
                raise BundleError(
                    f"signature {name!r} must take token_ids and source_mask of shape {list(text)} and "
                    f"max_length of shape [1], and give {', '.join(_OUTPUTS)}"
                )

    def __call__(self, source_ids: Sequence[int] | np.ndarray, max_length: int | None = None) -> Hypothesis:
        """Search for the target of a source.

        Args:
            source_ids: (S,), the end token included; of a language model the whole prompt.
            max_length: the most tokens to produce, the end token counted; by default what a Translator or a
                Generator takes.

        Raises:
            InputError: no signature has room for so much.
            ArgumentError: the model's scores are not numbers.
        """
        length = len(source_ids)
        with self._model.lock:
            signature = self._signature(length, max_length or 1)
            ids, mask = signature.inputs["token_ids"], signature.inputs["source_mask"]
            ids[0, :length], ids[0, length:] = source_ids, self._pad_id
            mask[0, :length], mask[0, length:] = 1, 0
            signature.inputs["max_length"][0] = max_length or 0
            signature.run()
            target_ids, *figures = (signature.outputs[name].copy() for name in _OUTPUTS)
        count, finished, log_prob = (figure.item(0) for figure in figures)
        if log_prob != log_prob:
            raise ArgumentError("the model's scores are not numbers (NaN)")
        score = log_prob / max(1, count + finished)
        return Hypothesis(target_ids[0, :count].tolist(), score, log_prob, bool(finished))

    def room(self, source_tokens: int) -> int:
        """Return the most target tokens for a source of so many.

        Raises:
            InputError: no signature has room for it.
        """
        return self._room(self._signature(source_tokens, 1))

    def _signature(self, source: int, target: int) -> Signature:
        for room, name in self._names.items():
            if 1 <= source <= room and self._room(self._model.signature(name)) >= target:
                return self._model.signature(name)
        raise InputError(
            f"No signature for one call takes {source} source tokens and gives up to {target} target tokens; "
            f"the largest takes {max(self._names)}."
        )

    def _room(self, signature: Signature) -> int:
        return signature.outputs["target_ids"].shape[1]


@dataclass
class OneCallFigures:
    """How one call compares with the device's search, on a proof's inputs.

    Attributes:
        sentences: inputs compared.
        equal: how many have equal tokens and ends.
        gap: of those that have not, the largest difference of the scores of the first tokens that differ:
            small where two tokens are as good as each other.
        log_prob_error: largest difference of a log-probability, where the tokens are equal.
        worst: the input with the largest gap; None where all are equal.
    """

    sentences: int
    equal: int
    gap: float
    log_prob_error: float
    worst: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return dict(self.__dict__)


def measure_one_call(
    one_call: OneCall,
    steps: LiteRTStepModel,
    proof: Proof,
    special_ids: Mapping[str, int],
    force_end: bool = False,
) -> OneCallFigures:
    """Compare one call with the search over steps, for each of a proof's inputs.

    Args:
        one_call: what is measured.
        steps: of the same file.
        proof: gives the inputs.
        special_ids: ids of ``pad``, ``start`` and ``end``.
        force_end: whether the bundle's searches end what reaches its limit.
    """
    figures = OneCallFigures(len(proof), 0, 0.0, 0.0, None)
    for i in range(len(proof)):
        source = proof.source(i)
        # Every other one is cut short, so that the limit is tried too.
        limit = one_call.room(len(source)) if i % 2 else max(1, int(proof.target_lengths[i]) // 2)
        found = one_call(source, limit)
        wanted = greedy(steps.for_length, source, limit, special_ids, force_end)
        if (found.ids, found.finished) == (wanted.ids, wanted.finished):
            figures.equal += 1
            error = abs(found.log_prob - wanted.log_prob)
            figures.log_prob_error = max(figures.log_prob_error, error)
            continue
        gap = _first_gap(steps, source, found, wanted, special_ids)
        if figures.worst is None or gap > figures.gap:
            figures.gap, figures.worst = gap, i
    return figures


def _first_gap(
    steps: LiteRTStepModel,
    source: np.ndarray,
    found: Hypothesis,
    wanted: Hypothesis,
    special_ids: Mapping[str, int],
) -> float:
    """Difference of the scores of the first tokens in which two outputs differ; infinite where one is cut."""
    end = special_ids["end"]
    ids, other_ids = ([*each.ids, end] if each.finished else each.ids for each in (found, wanted))
    place = next((i for i, pair in enumerate(zip(ids, other_ids, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        return float("inf")
    state = steps.for_length(place + 1).start(source[None], np.ones((1, len(source)), bool))
    scores = np.zeros(0)
    for token in [special_ids["start"], *ids[:place]]:
        scores, state = steps.step(np.array([token], np.int32), state)
    return float(counted_errors(scores[0, [ids[place]]], scores[0, [other_ids[place]]])[0])
