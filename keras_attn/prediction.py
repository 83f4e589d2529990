"""Any Keras model as the object that predicts, where it was trained."""

from typing import Any

from keras_attn.device.runtime.interface import Interface
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
