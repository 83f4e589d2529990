"""Any Keras model as the object that predicts, where it was trained."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_attn.device.files.interface import Interface
from keras_attn.device.tasks.predictor import preprocessed
from keras_attn.sources.prediction_source import PredictionSource


class KerasPredictor:
    """`keras_attn.device.Predictor` over a Keras model, computing in float32.

    Args:
        source: the model and its interface.
    """

    def __init__(self, source: PredictionSource):
        self._source = source

    @property
    def interface(self) -> Interface:
        """The model's inputs and outputs."""
        return self._source.interface

    def predict(self, inputs: Any) -> Any:
        """Compute the outputs of N examples: see `keras_attn.device.Predictor.predict`.

        Raises:
            InputError: an input is missing or does not fit.
        """
        arrays = preprocessed(self.interface, self._source.preprocessing, inputs)
        return self.interface.structured(self._source.outputs(arrays))


class PaddedKerasPredictor(KerasPredictor):
    """One whose inputs are filled up to the lengths of a bundle's signatures, as on the device.

    Args:
        source: the model and its interface, with the lengths of the signatures.
        interface: the bundle's, which knows what fills inputs up.
    """

    def __init__(self, source: PredictionSource, interface: Interface):
        super().__init__(source)
        self._bundles = interface

    @property
    def interface(self) -> Interface:
        """The bundle's inputs and outputs."""
        return self._bundles

    def outputs(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs of N examples by name, of inputs as `Interface.arrays` returns them."""
        length = self.interface.length(arrays)
        if length is None:
            return self._source.outputs(arrays)
        whole = self._signature_length(length)
        filled = {field.name: field.filled(arrays[field.name], whole) for field in self.interface.inputs}
        outputs = self._source.outputs(filled)
        return {field.name: field.cut(outputs[field.name], length) for field in self.interface.outputs}

    def signature_for(self, length: int | None) -> str:
        """Return what computes one example of a length, for a report."""
        return "Keras" if length is None else f"Keras at length {self._signature_length(length)}"

    def _signature_length(self, length: int) -> int:
        return next((each for each in self._source.lengths if each >= length), length)
