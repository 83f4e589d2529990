"""Any Keras model on a device: arrays in, arrays out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError, InputError, one_line
from keras_attn.device.files.bundle import Bundle
from keras_attn.device.files.interface import Interface
from keras_attn.device.preprocessing.preprocessing import Preprocessing
from keras_attn.device.reopening import Opening, Reopened
from keras_attn.device.runtime.interpreter import Model, Signature
from keras_attn.device.text.tokenizer_check import open_tokenizer

_OUTSIDE = re.compile(r"Got -?\d+, and bounds are \[0, -?\d+\]|index out of bounds")
"""What interpreters say about ids that are too large or negative."""


class Predictor(Reopened):
    """Computes the outputs of a Keras model.

    Threads may share one; they take turns example by example.

    Args:
        model: the interpreter.
        buckets: the manifest's ``buckets``, ascending: lengths, and the signatures for each number of
            examples.
        interface: the model's inputs and outputs.
        preprocessing: what makes the inputs of what ``predict`` is given; None where those are the inputs.
    """

    def __init__(
        self,
        model: Model,
        buckets: Sequence[Mapping[str, Any]],
        interface: Interface,
        preprocessing: Preprocessing | None = None,
    ):
        self._model = model
        self._buckets = list(buckets)
        self.interface = interface
        self.preprocessing = preprocessing

    @classmethod
    def from_bundle(cls, bundle: Bundle, threads: int = 1) -> Predictor:
        """Make it from a bundle that has been opened.

        Raises:
            BundleError: a file of the bundle is not what it should be, or may not run on this interpreter.
            ImportError: no interpreter is installed.
        """
        manifest, model = bundle.manifest, Model.of_bundle(bundle, threads)
        interface = Interface.from_json(manifest["interface"])
        made = cls(model, manifest["buckets"], interface, read_preprocessing(bundle))
        made.opening = Opening.of(bundle, threads)
        return made

    @property
    def lengths(self) -> list[int]:
        """Lengths of the signatures, ascending; empty where all sizes are fixed."""
        return [bucket["source"] for bucket in self._buckets] if self.interface.variable else []

    def prepare(self) -> None:
        """Make every signature ready now, instead of when it is first used.

        Raises:
            BundleError: names the signature, and the tensor whose role or shape is wrong.
        """
        for bucket in self._buckets:
            for count in bucket["predict"]:
                self._checked(bucket, int(count))

    def predict(self, inputs: Any) -> Any:
        """Compute the outputs of N examples.

        Args:
            inputs: an array with a leading batch axis, (N, ...), or for several inputs a dict of arrays by
                name or a list of them, nested as the Keras model's. Where the model begins with a
                TextVectorization or a lookup, strings or numbers as those take them.

        Returns:
            An array (N, ...) or a dict or list of arrays, as ``keras.Model.predict`` returns them: float32
            or int32. Outputs that have the inputs' length end with it.

        Raises:
            InputError: an input is missing or does not fit, or there is no signature for its length.
            ArgumentTypeError: the inputs are not arrays.
        """
        return self.interface.structured(self.outputs(self.arrays(inputs)))

    def arrays(self, inputs: Any) -> dict[str, np.ndarray]:
        """Return the arrays, by name, that the model takes for what ``predict`` is given.

        Raises:
            InputError: an input is missing or does not fit.
        """
        return preprocessed(self.interface, self.preprocessing, inputs)

    def outputs(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs of N examples by name, of inputs as ``Interface.arrays`` returns them.

        Raises:
            InputError: there is no signature for their length.
        """
        length = self.interface.length(arrays)
        bucket = self._bucket_for(length)
        counts = sorted(map(int, bucket["predict"]), reverse=True)
        total = len(next(iter(arrays.values())))
        parts: dict[str, list[np.ndarray]] = {field.name: [] for field in self.interface.outputs}
        first = 0
        while first < total:
            # The largest batch that the rest fills, or the smallest there is.
            count = next((each for each in counts if each <= total - first), counts[-1])
            some = {name: array[first : first + count] for name, array in arrays.items()}
            for name, output in self._run(self._checked(bucket, count), some, length).items():
                parts[name].append(output[: total - first])
            first += count
        return {
            field.name: np.concatenate(parts[field.name])
            if parts[field.name]
            else np.zeros((0, *field.sized(length)), field.dtype)
            for field in self.interface.outputs
        }

    def signature_for(self, length: int | None) -> str:
        """Return the name of the signature that computes one example of a length."""
        names = self._bucket_for(length)["predict"]
        return names[min(names, key=int)]

    def _run(
        self, signature: Signature, arrays: Mapping[str, np.ndarray], length: int | None
    ) -> dict[str, np.ndarray]:
        with self._model.lock:
            for field in self.interface.inputs:
                view, array = signature.inputs[field.name], arrays[field.name]
                if view.shape != array.shape:
                    view[...] = field.pad
                view[tuple(map(slice, array.shape))] = array
            try:
                signature.run()
            except BundleError as error:
                # An interpreter repeats its earlier messages before the last one.
                reasons = _OUTSIDE.findall(str(error))
                if not reasons:
                    raise
                raise InputError(
                    "An input has an id for which the model's table has no row "
                    f"({one_line(reasons[-1])}): give ids such as it was trained with."
                ) from None
            found = {}
            for field in self.interface.outputs:
                found[field.name] = np.array(field.cut(signature.outputs[field.name], length), field.dtype)
            return found

    def _bucket_for(self, length: int | None) -> Mapping[str, Any]:
        if length is None:
            return self._buckets[0]
        fitting = [each for each in self._buckets if each["source"] >= length]
        if fitting and length > 0 and (self.interface.padded or fitting[0]["source"] == length):
            return fitting[0]
        there_are = ", ".join(map(str, self.lengths))
        if self.interface.padded:
            raise InputError(
                f"The inputs have length {length}, and this bundle takes 1 to {self.lengths[-1]}."
            )
        raise InputError(
            f"The inputs have length {length}, and this bundle takes {there_are}: padding changes the "
            "model's outputs, so that the length must be one of these. Export it with other lengths."
        )

    def _checked(self, bucket: Mapping[str, Any], count: int) -> Signature:
        signature = self._model.signature(bucket["predict"][str(count)])
        length = bucket["source"]
        sides = ((self.interface.inputs, signature.inputs), (self.interface.outputs, signature.outputs))
        for fields, views in sides:
            wanted = {field.name: (count, *field.sized(length)) for field in fields}
            found = {name: view.shape for name, view in views.items()}
            if wanted != found:
                raise BundleError(
                    f"signature {signature.name!r} has {found}, and the interface says {wanted}"
                )
            for field in fields:
                if views[field.name].dtype != _stored(field.dtype):
                    raise BundleError(f"signature {signature.name!r}: {field.name!r} is not {field.dtype}")
        return signature


def preprocessed(
    interface: Interface, preprocessing: Preprocessing | None, inputs: Any
) -> dict[str, np.ndarray]:
    """Return a model's inputs by name; see ``Predictor.arrays``."""
    if preprocessing is None:
        return interface.arrays(inputs)
    found = preprocessing(preprocessing.by_name(inputs))
    return interface.arrays(found if len(found) > 1 else next(iter(found.values())))


def read_preprocessing(bundle: Bundle) -> Preprocessing | None:
    """Read what stands in front of a bundle's model; None for nothing.

    Raises:
        BundleError: it is damaged.
    """
    described = bundle.manifest.get("preprocessing")
    if described is None:
        return None

    def tokenizer(name: str) -> Any:
        return open_tokenizer(bundle.read(name).decode(errors="replace"), f"{bundle.path}/{name}")

    return Preprocessing.from_json(described, tokenizer)


def _stored(dtype: str) -> str:
    return "int32" if dtype == "bool" else dtype
