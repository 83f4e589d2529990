"""The step protocol over a bundle's signatures: encode once per sentence, then step with caches in place.

What each tensor is for follows from its name alone, so that a model can have any number of them (``_Step``).
Caches never move: a beam that follows another one only changes ``self_bias``, which says for each row the
slots that hold its past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.interpreter import Model, Signature

NOT_ATTENDED = -1e9


class _Step:
    """A step signature with the role of each of its tensors.

    =================  =====================================================================================
    tokens             [R], the token each row produced last
    position           [1], how many tokens were fed before (optional)
    self_bias          [R, R*T], 0 where a row attends: slot t*R+r is what row r was fed at step t (optional)
    X of encode        copied once per sentence from the encode output of that name
    X with next_X      carried from step to step, row by row
    X_cache_NN         [H, R*T, dh], written in place from the output X_row_NN [H, R, dh]
    scores             [R, V], log-probabilities of the next token
    alignment          [R, S], attention over the source (optional)
    =================  =====================================================================================
    """

    def __init__(self, signature: Signature, encode: Signature, rows: int, target: int):
        self.signature = signature
        self.rows = rows
        self.target = target
        self.run = signature.run
        inputs, outputs = dict(signature.inputs), dict(signature.outputs)
        self.tokens = self._shaped("tokens", inputs.pop("tokens", None), (rows,))
        self.scores = self._shaped("scores", outputs.pop("scores", None), (rows, None))
        self.alignment = outputs.pop("alignment", None)
        self.position = inputs.pop("position", None)
        self.self_bias = inputs.pop("self_bias", None)
        if self.self_bias is not None:
            self._shaped("self_bias", self.self_bias, (rows, rows * target))
        self.caches: list[tuple[np.ndarray, np.ndarray]] = []
        self.carried: list[tuple[np.ndarray, np.ndarray]] = []
        self.constants: list[tuple[np.ndarray, np.ndarray]] = []
        self.zeroed: list[np.ndarray] = []
        for name, tensor in inputs.items():
            if "_cache_" in name:
                row = self._partner(name, name.replace("_cache_", "_row_"), outputs)
                self._shaped(name, tensor, (row.shape[0], rows * target, row.shape[2]))
                self.caches.append((tensor, row))
                continue
            encoded = encode.outputs.get(name)
            if f"next_{name}" in outputs:
                after = self._partner(name, f"next_{name}", outputs)
                self._shaped(f"next_{name}", after, tensor.shape)
                self._shaped(name, tensor, (rows, *tensor.shape[1:]))
                self.carried.append((tensor, after))
                if encoded is None:
                    self.zeroed.append(tensor)
            elif encoded is None:
                raise BundleError(
                    f"signature {signature.name!r}: input {name!r} has no role: encode has no output of that "
                    f"name, and the step no output 'next_{name}'"
                )
            if encoded is not None:
                if encoded.shape not in (tensor.shape, (1, *tensor.shape[1:])):
                    raise BundleError(
                        f"signature {signature.name!r}: input {name!r} is {tensor.shape}, but the encode "
                        f"output is {encoded.shape}"
                    )
                self.constants.append((tensor, encoded))
        if outputs:
            raise BundleError(f"signature {signature.name!r}: outputs {sorted(outputs)} have no role")

    def _partner(self, name: str, output: str, outputs: dict[str, np.ndarray]) -> np.ndarray:
        if output not in outputs:
            raise BundleError(f"signature {self.signature.name!r}: input {name!r} needs an output {output!r}")
        return outputs.pop(output)

    def _shaped(self, name: str, tensor: np.ndarray | None, shape: Sequence[int | None]) -> np.ndarray:
        if tensor is None:
            raise BundleError(f"signature {self.signature.name!r} lacks {name!r}")
        fits = tensor.ndim == len(shape) and all(
            wanted in (None, size) for wanted, size in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            raise BundleError(
                f"signature {self.signature.name!r}: {name!r} is {tensor.shape}, but {tuple(shape)} is needed"
            )
        return tensor

    def begin(self) -> None:
        """Take over what encode left."""
        for tensor in self.zeroed:
            tensor[...] = 0
        for tensor, encoded in self.constants:
            tensor[...] = encoded
        if self.self_bias is not None:
            self.self_bias[...] = NOT_ATTENDED

    def keep(self, position: int) -> None:
        """Write what the step returned to where the next step reads it."""
        rows = self.rows
        first = position * rows
        for cache, row in self.caches:
            cache[:, first : first + rows] = row
        if self.self_bias is not None:
            # Row r may attend what it has just been fed: one diagonal of the R x R block.
            self.self_bias[:, first : first + rows].flat[:: rows + 1] = 0
        for tensor, after in self.carried:
            tensor[...] = after

    def reorder(self, rows: np.ndarray) -> None:
        """Let row i continue what row ``rows[i]`` has been fed."""
        count = len(rows)
        if self.self_bias is not None:
            self.self_bias[:count] = self.self_bias[rows]
        for tensor, _ in self.carried:
            tensor[:count] = tensor[rows]


class LiteRTState:
    """One sentence being decoded. It lives in the interpreter's memory, so there is one at a time.

    ``select`` and ``step`` change it in place and return it; using it after the next ``start`` raises a
    RuntimeError.
    """

    def __init__(self, owner: LiteRTStepModel, bucket: _Bucket, source_length: int):
        self._owner = owner
        self._bucket = bucket
        self._source_length = source_length
        self._step: _Step | None = None
        self.rows = 1
        self.position = 0

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
        beyond = self._source_length - alignment.shape[1]  # padding that the bucket has no room for
        return np.pad(alignment, ((0, 0), (0, beyond))) if beyond > 0 else alignment

    def select(self, rows: np.ndarray) -> LiteRTState:
        """Let row i continue row ``rows[i]``.

        Raises:
            ValueError: there are more rows than the bundle was exported for.
        """
        rows = np.asarray(rows)
        if self._step is None:
            self._step = self._bucket.step(len(rows))
            self._step.begin()
        elif len(rows) > self._step.rows:
            raise InputError(f"{len(rows)} rows cannot follow {self._step.rows} after the first step.")
        else:
            self._step.reorder(rows)
        self.rows = len(rows)
        return self

    def feed(self, tokens: np.ndarray) -> np.ndarray:
        """Run a step: ``tokens`` (R,) in, a view of the scores (R, V) out."""
        if self._owner.shared["state"] is not self:
            raise RuntimeError("This state has ended: another sentence was started on the same interpreter.")
        step = self._step
        if step is None:
            self.select(np.zeros(1, np.int64))
            step = self._step
            assert step is not None
        if self.position >= step.target:
            raise InputError(
                f"Signature {step.signature.name!r} has room for {step.target} target tokens only."
            )
        step.tokens[: self.rows] = tokens
        if step.position is not None:
            step.position[0] = self.position
        step.run()
        step.keep(self.position)
        self.position += 1
        return step.scores if self.rows == step.rows else step.scores[: self.rows]


class _Bucket:
    """The signatures for sources of up to ``source`` tokens; a step is made ready when it is first used."""

    def __init__(self, model: Model, layout: Mapping[str, Any], pad_id: int):
        self._pad_id = pad_id
        self.source: int = layout["source"]
        self.target: int = layout["target"]
        self._model = model
        self._encode_name: str = layout["encode"]
        self._step_names = {int(rows): name for rows, name in sorted(layout["steps"].items(), key=_by_rows)}
        self._steps: dict[int, _Step] = {}

    @property
    def encode(self) -> Signature:
        return self._model.signature(self._encode_name)

    @property
    def row_counts(self) -> list[int]:
        return list(self._step_names)

    def step(self, rows: int) -> _Step:
        """Return the step signature with the fewest rows that suffice."""
        room = next((count for count in self._step_names if count >= rows), None)
        if room is None:
            raise ValueError(
                f"A beam of {rows} is wider than the {max(self._step_names)} rows of this bundle."
            )
        if room not in self._steps:
            signature = self._model.signature(self._step_names[room])
            self._steps[room] = _Step(signature, self.encode, room, self.target)
        return self._steps[room]

    def start(self, source_ids: np.ndarray) -> None:
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
    """``keras_attn.device.search.StepModel`` over the signatures of a bundle; one sentence at a time.

    Args:
        model: the interpreter.
        buckets: the manifest's ``buckets``, ascending.
        pad_id: what fills the source up to its bucket's length.
        max_length: the most steps that will be taken; see ``for_length``.

    Attributes:
        fewest_source_tokens: what ``start`` needs at least.
    """

    fewest_source_tokens: ClassVar[int] = 1

    def __init__(
        self, model: Model, buckets: Sequence[Mapping[str, Any]], pad_id: int, max_length: int | None = None
    ):
        self.buckets = [_Bucket(model, bucket, pad_id) for bucket in buckets]
        self.max_length = max_length
        self.shared: dict[str, LiteRTState | None] = {"state": None}

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
            for rows in bucket.row_counts:
                bucket.step(rows)

    def for_length(self, max_length: int) -> Self:
        """Return this model, told that at most ``max_length`` steps follow each start; memory is shared.

        A search does not say how far it will go, and with this ``start`` can choose the smallest signatures.
        """
        same = object.__new__(type(self))
        same.buckets, same.shared, same.max_length = self.buckets, self.shared, max_length
        return same

    def start(self, source_ids: np.ndarray, source_mask: np.ndarray) -> LiteRTState:
        """Encode one sentence, (1, S) int32, of which the mask's True are the first tokens.

        Raises:
            InputError: there is more than one sentence, or it does not fit.
            ValueError: no signature has room for ``max_length`` steps.
        """
        if len(source_ids) != 1:
            raise InputError(f"A bundle decodes one sentence at a time, not {len(source_ids)}.")
        length = int(np.count_nonzero(source_mask))
        if length < self.fewest_source_tokens or not np.all(source_mask[0, :length]):
            raise InputError("source_mask must be True for the first tokens, at least one, and then False.")
        bucket = self._bucket_for(length)
        bucket.start(source_ids[0, :length])
        state = LiteRTState(self, bucket, source_ids.shape[1])
        self.shared["state"] = state
        return state

    def step(self, tokens: np.ndarray, state: LiteRTState) -> tuple[np.ndarray, LiteRTState]:
        """Feed ``tokens`` (R,); return a view of the scores (R, V), which the next step overwrites."""
        return state.feed(tokens), state

    def _bucket_for(self, source: int) -> _Bucket:
        target = self.max_length or 1
        for bucket in self.buckets:
            if bucket.source >= source and bucket.target >= target:
                return bucket
        if source > self.max_source_tokens:
            raise InputError(
                f"{source} source tokens are more than the {self.max_source_tokens} of this bundle."
            )
        raise ValueError(
            f"max_length {target} is more than the {self.max_target_tokens} target tokens of this bundle."
        )
