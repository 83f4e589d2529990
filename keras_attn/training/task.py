"""A Keras model that trains a translation model: the loss knows the output layer, so no logits are kept."""

import keras
from keras import ops

from keras_attn.training.loss import smoothed_cross_entropy


class TranslationTraining(keras.Model):
    """Wraps a translation model for `train_on_batch` and `test_on_batch`.

    Args:
        model: `keras_attn.models.EncoderDecoder`.
        label_smoothing: float, used in training only: evaluation reports the plain cross-entropy.

    Call arguments:
        inputs: the model's dict of inputs.

    Returns:
        Hidden states (B, T, D), one output layer before the logits.
    """

    def __init__(self, model, label_smoothing=0.0, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.label_smoothing = label_smoothing
        self.built = True
        self._functions = {}

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Train on a batch, by a step compiled for its shape."""
        self.train_function = self._function("train", y, lambda: self.make_train_function(force=True))
        return super().train_on_batch(x, y, sample_weight=sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Evaluate a batch, by a step compiled for its shape."""
        self.test_function = self._function("test", y, lambda: self.make_test_function(force=True))
        return super().test_on_batch(x, y, sample_weight=sample_weight, **kwargs)

    def _function(self, kind, y, make):
        # TensorFlow's trainer gives up static shapes at the second shape that it sees, and with them the
        # chunked loss and the cheap dropout; one function per bucket keeps them.
        key = (kind, y.shape)
        if key not in self._functions:
            made = make()
            self._functions[key] = made if made is not None else getattr(self, f"{kind}_function")
        return self._functions[key]

    def call(self, inputs, training=None):
        """Run the model up to its output layer."""
        return self.model.hidden(inputs, training=training)[0]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy of the targets `y` (B, T) under the hidden states `y_pred`, weighted (B, T)."""
        matrix, bias = self.model.output_embeddings
        hidden = ops.reshape(y_pred, (-1, matrix.shape[-1]))  # (B·T, D)
        return smoothed_cross_entropy(
            hidden,
            ops.cast(matrix, hidden.dtype),
            bias,
            ops.reshape(y, (-1,)),
            ops.cast(ops.reshape(sample_weight, (-1,)), "float32"),
            smoothing=self.label_smoothing if training else 0.0,
        )
