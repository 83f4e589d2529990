"""Language models in the step protocol: a prompt is the source, and what follows it the target.

A language model has no start token: its first step is fed the prompt's last token, by ``Prompts``, so that
search, proof and everything else treat language models and translators alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.files.bundle import SHORTLIST, Bundle
from keras_attn.device.files.bundle_tokenizer import AnyTokenizer, read_as
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.shortlist import Shortlist, ShortlistedStepModel


@dataclass
class PromptState:
    """A state of the wrapped model; before the first step, also what that step will be fed.

    Attributes:
        inner: the model's own state.
        last: (R,) int32, the last token of each row's prompt; None once it was fed.
    """

    inner: Any
    last: np.ndarray | None = None

    @property
    def alignment(self) -> None:
        """A language model has no source to attend to."""
        return None

    @property
    def signature(self) -> str | None:
        """Name of the step signature in use, if the wrapped model is a bundle's."""
        return getattr(self.inner, "signature", None)

    def select(self, rows: np.ndarray) -> PromptState:
        """Return the state whose row i is row ``rows[i]`` of this one."""
        return PromptState(self.inner.select(rows), None if self.last is None else self.last[rows])


class Prompts:
    """Mix-in for a step model: its source is all of a prompt but the last token."""

    def start(self, source_ids: np.ndarray, source_mask: np.ndarray) -> PromptState:
        """Read prompts (B, S) int32 of one token or more, of which the mask's True are the first tokens.

        Raises:
            InputError: a prompt is empty.
        """
        lengths = np.count_nonzero(source_mask, axis=1)
        if not lengths.all():
            raise InputError("A prompt needs at least one token.")
        rows, before = np.arange(len(source_ids)), np.array(source_mask, bool)
        before[rows, lengths - 1] = False
        return PromptState(super().start(source_ids, before), source_ids[rows, lengths - 1])  # type: ignore[misc]

    def step(self, tokens: np.ndarray, state: PromptState) -> tuple[np.ndarray, PromptState]:
        """Feed ``tokens`` (R,), or at first the prompts' last ones; return scores (R, V) and the state."""
        fed = tokens if state.last is None else state.last
        scores, inner = super().step(fed, state.inner)  # type: ignore[misc]
        return scores, PromptState(inner)


class PromptHeads:
    """Every head's attention in a prompt, computed by the signatures of a bundle.

    Args:
        model: the interpreter.
        buckets: the manifest's ``buckets``, ascending.
        pad_id: what fills a prompt up to its bucket's length.
    """

    def __init__(self, model: Model, buckets: Sequence[Mapping[str, Any]], pad_id: int):
        self._model = model
        self._buckets = [bucket for bucket in buckets if "heads" in bucket]
        self._pad_id = pad_id

    def prepare(self) -> None:
        """Make every signature ready now.

        Raises:
            BundleError: names the signature whose inputs or outputs are wrong.
        """
        for bucket in self._buckets:
            signature, shape = self._model.signature(bucket["heads"]), (1, bucket["source"])
            inputs = {name: tensor.shape for name, tensor in signature.inputs.items()}
            if inputs != {"token_ids": shape, "source_mask": shape} or set(signature.outputs) != {
                "attention"
            }:
                raise BundleError(
                    f"signature {signature.name!r} must take token_ids and source_mask of shape "
                    f"{list(shape)}, and return only 'attention'"
                )

    def __call__(self, ids: Sequence[int]) -> np.ndarray:
        """Compute the attention in a prompt of T tokens: (layers, heads, T, T) float32.

        Raises:
            BundleError: the bundle was exported without it.
            InputError: no bucket holds that many tokens.
        """
        if not self._buckets:
            raise BundleError(f"{self._model.name} has no signatures for heads; export it with --heads.")
        length = len(ids)
        bucket = next((bucket for bucket in self._buckets if bucket["source"] >= length), None)
        if bucket is None:
            raise InputError(
                f"The text has {length} tokens, and this bundle takes at most {self._buckets[-1]['source']}."
            )
        with self._model.lock:
            signature = self._model.signature(bucket["heads"])
            token_ids, mask = signature.inputs["token_ids"], signature.inputs["source_mask"]
            token_ids[0, :length], token_ids[0, length:] = ids, self._pad_id
            mask[0, :length], mask[0, length:] = 1, 0
            signature.run()
            return np.array(signature.outputs["attention"][:, :, :length, :length], np.float32)


class LiteRTLanguageModel(Prompts, LiteRTStepModel):
    """A bundle's language model; one prompt at a time.

    Attributes:
        heads: computes every head's attention in a prompt, where the bundle has it.
    """

    fewest_source_tokens = 0

    def __init__(
        self, model: Model, buckets: Sequence[Mapping[str, Any]], pad_id: int, max_length: int | None = None
    ):
        super().__init__(model, buckets, pad_id, max_length)
        self.heads = PromptHeads(model, buckets, pad_id)

    def prepare(self) -> None:
        """Make every signature ready now: see ``LiteRTStepModel``."""
        super().prepare()
        self.heads.prepare()


def step_model_class(task: str) -> type[LiteRTStepModel]:
    """Return the class that decodes the bundles of a task."""
    return LiteRTLanguageModel if task == "generation" else LiteRTStepModel


def open_decoder(
    bundle: Bundle, tokenizer_class: type[AnyTokenizer], threads: int = 1
) -> tuple[LiteRTStepModel, AnyTokenizer]:
    """Make the step model and the tokenizer of a bundle that has been opened.

    Raises:
        BundleError: a file of the bundle is not what it should be, or may not run on this interpreter.
        MissingPackage: no interpreter is installed.
    """
    manifest, model = bundle.manifest, Model.of_bundle(bundle, threads)
    tokenizer = read_as(tokenizer_class, bundle)
    buckets, pad_id = manifest["buckets"], manifest["special_ids"]["pad"]
    if SHORTLIST in manifest["files"] and not bundle.whole_vocabulary:
        shortlist = Shortlist.from_bytes(bundle.read(SHORTLIST), f"{bundle.path}/{SHORTLIST}")
        return ShortlistedStepModel(model, buckets, pad_id, shortlist), tokenizer
    return step_model_class(manifest["task"])(model, buckets, pad_id), tokenizer
