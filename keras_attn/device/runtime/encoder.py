"""An encoder over a bundle's signatures: one text in, one vector of scores, or an embedding, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.runtime.interpreter import Model, Signature

RESULTS = ("scores", "embedding", "token_scores", "position_scores")
"""The outputs that a task reads: of a text (1, C) or (1, D), of its tokens (1, T, C), or of its positions to
be the start and the end of an answer (1, 2, T)."""


class Encoder(Protocol):
    """What the tasks over encoders run, on a device and where a model was trained."""

    @property
    def max_tokens(self) -> int:
        """The most tokens of a text, special ones counted."""
        ...

    def run(self, ids: Sequence[int], position: int = 0) -> np.ndarray:
        """Compute the result of one text.

        Args:
            ids: the text's tokens, special ones included.
            position: for masked language models, the position whose word is predicted.

        Returns:
            float32: log-probabilities of labels (C,) or words (V,), an embedding (D,) or one logit (1,); of T
            tokens log-probabilities of labels (T, C), or of positions to be an answer's start and end (2, T).
        """
        ...

    def heads(self, ids: Sequence[int]) -> np.ndarray:
        """Compute every head's attention in one text of T tokens: (layers, heads, T, T) float32."""
        ...

    @property
    def reads_pairs(self) -> bool:
        """Whether texts may be two, distinguished by segments."""
        ...


class LiteRTEncoder:
    """``Encoder`` over the signatures of a bundle; each text runs in the smallest that holds it.

    Args:
        model: the interpreter.
        buckets: the manifest's ``buckets``, ascending.
        pad_id: what fills a text up to its bucket's length.
        end_id: what ends the first of two texts; without it pairs cannot be read.
        pairs: whether texts may be two though nothing but tokens distinguishes them.
    """

    def __init__(
        self,
        model: Model,
        buckets: Sequence[Mapping[str, Any]],
        pad_id: int,
        end_id: int | None = None,
        pairs: bool = False,
    ):
        self._pairs = pairs
        self._model = model
        self._buckets = list(buckets)
        self._pad_id = pad_id
        self._end_id = end_id

    @property
    def max_tokens(self) -> int:
        """Length of the largest bucket."""
        return self._buckets[-1]["source"]

    @property
    def lengths(self) -> list[int]:
        """Lengths of the buckets, ascending."""
        return [bucket["source"] for bucket in self._buckets]

    @property
    def reads_text(self) -> bool:
        """Whether the bundle has signatures that begin with the text itself."""
        return all("text" in bucket for bucket in self._buckets)

    @property
    def reads_pairs(self) -> bool:
        """Whether the bundle was exported to read pairs of texts."""
        return self._pairs or "segment_ids" in self._model.signature(self._buckets[0]["encode"]).inputs

    @property
    def has_heads(self) -> bool:
        """Whether the bundle was exported with the attention of its heads."""
        return all("heads" in bucket for bucket in self._buckets)

    def prepare(self) -> None:
        """Make every signature ready now, instead of when it is first used.

        Raises:
            BundleError: names the signature, and the tensor whose role or shape is wrong.
        """
        for bucket in self._buckets:
            for role in ("encode", "heads"):
                if role in bucket:
                    self._checked(bucket, role)

    def length_for(self, length: int) -> int:
        """Return the length of the smallest bucket that holds ``length`` tokens, or of the largest."""
        return next((each for each in self.lengths if each >= length), self.max_tokens)

    def signature_for(self, length: int) -> str:
        """Return the name of the signature that runs a text of ``length`` tokens."""
        return self._bucket_for(length)["encode"]

    def run(self, ids: Sequence[int], position: int = 0) -> np.ndarray:
        """Compute the result of one text: see ``Encoder``.

        Raises:
            InputError: the text is longer than the largest bucket, or empty.
        """
        with self._model.lock:
            return _result(self._run(ids, position, "encode"), len(ids))

    def heads(self, ids: Sequence[int]) -> np.ndarray:
        """Compute every head's attention in one text: see ``Encoder``.

        Raises:
            BundleError: the bundle was exported without it.
        """
        if not self.has_heads:
            raise BundleError(f"{self._model.name} has no signatures for heads; export it with --heads.")
        length = len(ids)
        with self._model.lock:
            return np.array(self._run(ids, 0, "heads")["attention"][:, :, :length, :length], np.float32)

    def run_text(self, text: str, length: int) -> tuple[list[int], np.ndarray]:
        """Compute the result of a text with the tokenizer in the graph.

        tensorflow-text trusts the file's tables, and damaged ones crash the process: with a file from
        elsewhere call `keras_attn.device.verify` first, which runs them in another process.

        Args:
            text: any text; one with more tokens than the bucket holds is cut.
            length: that of a bucket.

        Returns:
            The text's tokens, and the result: see ``Encoder``.

        Raises:
            BundleError: there is no such bucket, or it has no signature for texts.
            MissingPackage: tensorflow-text is not installed.
            InputError: the text is not valid Unicode.
        """
        bucket = next((bucket for bucket in self._buckets if bucket["source"] == length), {})
        if "text" not in bucket:
            raise BundleError(
                f"{self._model.name} has no signature for texts of {length} tokens; export it with "
                "--tokenizer in-graph."
            )
        with self._model.lock:
            outputs = self._model.text_signature(bucket["text"]).run(text)
        ids = outputs["token_ids"][0].tolist()
        while ids and ids[-1] == self._pad_id:
            ids.pop()
        return ids, _result(outputs, len(ids))

    def _run(self, ids: Sequence[int], position: int, role: str) -> dict[str, np.ndarray]:
        length = len(ids)
        signature = self._checked(self._bucket_for(length), role)
        inputs = signature.inputs
        inputs["token_ids"][0, :length] = ids
        inputs["token_ids"][0, length:] = self._pad_id
        inputs["padding_mask"][0, :length] = 1
        inputs["padding_mask"][0, length:] = 0
        if "position" in inputs:
            if not 0 <= position < length:
                raise InputError(f"Position {position} is not in a text of {length} tokens.")
            inputs["position"][0] = position
        if "segment_ids" in inputs:
            inputs["segment_ids"][0, :length] = segments_of(ids, self._end_id)
            inputs["segment_ids"][0, length:] = 0
        signature.run()
        return signature.outputs

    def _bucket_for(self, length: int) -> Mapping[str, Any]:
        if length < 1:
            raise InputError("A text needs at least one token.")
        for bucket in self._buckets:
            if bucket["source"] >= length:
                return bucket
        raise InputError(f"The text has {length} tokens, and this bundle takes at most {self.max_tokens}.")

    def _checked(self, bucket: Mapping[str, Any], role: str) -> Signature:
        signature = self._model.signature(bucket[role])
        shape = (1, bucket["source"])
        for name in ("token_ids", "padding_mask"):
            tensor = signature.inputs.get(name)
            if tensor is None or tensor.shape != shape:
                raise BundleError(f"signature {signature.name!r} must take {name} of shape {list(shape)}")
        segments = signature.inputs.get("segment_ids")
        if segments is not None and (segments.shape != shape or self._end_id is None):
            raise BundleError(f"signature {signature.name!r} must take segment_ids of shape {list(shape)}")
        unknown = set(signature.inputs) - {"token_ids", "padding_mask", "position", "segment_ids"}
        if unknown or sum(name in signature.outputs for name in RESULTS) != 1:
            raise BundleError(f"signature {signature.name!r}: its inputs or outputs have no role")
        if role == "heads" and "attention" not in signature.outputs:
            raise BundleError(f"signature {signature.name!r} lacks the output 'attention'")
        return signature


def segments_of(ids: Sequence[int] | np.ndarray, end_id: int | None) -> np.ndarray:
    """Return the segment of each id, (..., N) int32: 0 up to the end of the first text, 1 after it."""
    ends = np.asarray(ids) == end_id
    return (np.cumsum(ends, axis=-1) - ends > 0).astype(np.int32)


def _result(outputs: Mapping[str, np.ndarray], length: int) -> np.ndarray:
    name = next(each for each in RESULTS if each in outputs)
    return of_tokens(name, outputs[name][0], length)


def of_tokens(name: str, result: np.ndarray, length: int) -> np.ndarray:
    """Return a copy of a text's result, without what stands behind its ``length`` tokens."""
    if name == "token_scores":
        result = result[:length]
    elif name == "position_scores":
        result = result[:, :length]
    return np.array(result, np.float32)
