"""Greedy search in one call: the signatures of a bundle that run a whole sentence.

For hosts that would rather not write a loop. The result is that of ``search`` with a beam of 1, as the proof
checks; this module is how Python calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.files.bundle import Bundle
from keras_attn.device.runtime.interpreter import Model, Signature
from keras_attn.device.search.beam_search import Hypothesis
from keras_attn.errors import ArgumentError

if TYPE_CHECKING:
    from typing import Self

_ASKED = {"start_token": "start", "first_token": "first"}
"""Inputs that depend on the languages of a call, and the special tokens that they are."""
_OUTPUTS = ("target_ids", "target_length", "finished", "log_prob")


class OneCall:
    """Searches greedily for the target of one source, in one call of a signature.

    Args:
        model: the interpreter.
        buckets: the manifest's ``buckets``, ascending.
        special_ids: of ``pad``, which fills a source up to its bucket's length, and of what targets begin
            with by default.

    Raises:
        BundleError: the bundle was exported without it.
    """

    def __init__(self, model: Model, buckets: Sequence[Mapping[str, Any]], special_ids: Mapping[str, int]):
        self._model = model
        self._names = {bucket["source"]: bucket["one_call"] for bucket in buckets if "one_call" in bucket}
        self._special_ids = special_ids
        if not self._names:
            raise BundleError(f"{model.name} has no signatures for one call; export it with --one-call.")

    @classmethod
    def from_bundle(cls, bundle: Bundle, threads: int = 1) -> Self:
        """Open the model of a bundle that has been opened.

        Raises:
            BundleError: the bundle was exported without it, or may not run on this interpreter.
            MissingPackage: no interpreter is installed.
        """
        manifest, model = bundle.manifest, Model.of_bundle(bundle, threads)
        return cls(model, manifest["buckets"], manifest["special_ids"])

    def prepare(self) -> None:
        """Make every signature ready now, instead of when it is first used.

        Raises:
            BundleError: names the signature whose inputs or outputs are wrong.
        """
        for source, name in self._names.items():
            signature, text = self._model.signature(name), (1, source)
            inputs = {tensor: view.shape for tensor, view in signature.inputs.items()}
            wanted = {"token_ids": text, "source_mask": text, "max_length": (1,)}
            wanted |= {name: (1,) for name in _ASKED if name in inputs}
            if inputs != wanted or sorted(signature.outputs) != sorted(_OUTPUTS):
                raise BundleError(
                    f"signature {name!r} must take token_ids and source_mask of shape {list(text)} and "
                    f"max_length of shape [1], and return {', '.join(_OUTPUTS)}"
                )

    def __call__(
        self,
        source_ids: Sequence[int] | np.ndarray,
        max_length: int | None = None,
        special_ids: Mapping[str, int] | None = None,
    ) -> Hypothesis:
        """Search for the target of a source.

        Args:
            source_ids: (S,), the end token included; of a language model the whole prompt.
            max_length: the most tokens to produce, the end token counted; by default that of a Translator or
                a Generator.
            special_ids: those of a ``TranslationTokenizer`` for two languages; by default for the model's.

        Raises:
            InputError: no signature takes that many tokens.
            ArgumentError: the model's scores are not numbers.
        """
        length = len(source_ids)
        with self._model.lock:
            signature = self._signature(length, max_length or 1)
            ids, mask = signature.inputs["token_ids"], signature.inputs["source_mask"]
            ids[0, :length], ids[0, length:] = source_ids, self._special_ids["pad"]
            mask[0, :length], mask[0, length:] = 1, 0
            signature.inputs["max_length"][0] = max_length or 0
            for name, role in _ASKED.items():
                if name in signature.inputs:
                    signature.inputs[name][0] = (special_ids or self._special_ids)[role]
            signature.run()
            target_ids, *figures = (signature.outputs[name].copy() for name in _OUTPUTS)
        count, finished, log_prob = (figure.item(0) for figure in figures)
        if log_prob != log_prob:
            raise ArgumentError("the model's scores are not numbers (NaN)")
        score = log_prob / max(1, count + finished)
        return Hypothesis(target_ids[0, :count].tolist(), score, log_prob, bool(finished))

    def max_target_tokens(self, source_tokens: int) -> int:
        """Return the most target tokens for a source of ``source_tokens``.

        Raises:
            InputError: no signature takes it.
        """
        return self._target_length(self._signature(source_tokens, 1))

    def _signature(self, source: int, target: int) -> Signature:
        for longest, name in self._names.items():
            if 1 <= source <= longest and self._target_length(self._model.signature(name)) >= target:
                return self._model.signature(name)
        raise InputError(
            f"No signature for one call takes {source} source tokens and returns up to {target} target "
            f"tokens; the largest takes {max(self._names)}."
        )

    def _target_length(self, signature: Signature) -> int:
        return signature.outputs["target_ids"].shape[1]
