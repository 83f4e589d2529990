"""Keras models that train a model: one compiled step per shape, and a loss that keeps no tensor of logits."""

import keras
from keras import ops

from keras_attn.training.accumulation import accumulated_step
from keras_attn.training.loss import smoothed_cross_entropy


class ShapedTraining(keras.Model):
    """Wraps a model for `train_on_batch` and `test_on_batch`, with a step for each shape of its inputs.

    Args:
        model: any model with a dict of inputs.
        label_smoothing: float, used in training only: evaluation reports the plain cross-entropy.

    Attributes:
        accumulate: int, parts of a batch that a training step takes one after another.
    """

    def __init__(self, model, label_smoothing=0.0, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.label_smoothing = label_smoothing
        self.accumulate = 1
        self.built = True
        self._functions = {}

    def train_step(self, *arguments):
        """Take one step, in parts if there are several."""
        if self.accumulate == 1:
            return super().train_step(*arguments)
        return accumulated_step(self, *arguments)

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Train on a batch, by a step compiled for its shape."""
        self.train_function = self._function("train", x, lambda: self.make_train_function(force=True))
        return super().train_on_batch(x, y, sample_weight=sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Evaluate a batch, by a step compiled for its shape."""
        self.test_function = self._function("test", x, lambda: self.make_test_function(force=True))
        return super().test_on_batch(x, y, sample_weight=sample_weight, **kwargs)

    def _function(self, kind, x, make):
        # TensorFlow's trainer gives up static shapes at the second shape that it sees, and with them the
        # chunked loss and the cheap dropout; one function per bucket keeps them.
        key = (kind, *(x[name].shape for name in sorted(x)))
        if key not in self._functions:
            made = make()
            self._functions[key] = made if made is not None else getattr(self, f"{kind}_function")
        return self._functions[key]


class TokenTraining(ShapedTraining):
    """Trains a model that answers with tokens; the loss knows the output layer, so no logits are kept.

    Args:
        model: with `hidden(inputs, training)`, a tuple whose first is the last hidden states, and
            `output_embeddings`, such as `keras_attn.models.EncoderDecoder`.
        label_smoothing: float.

    Call arguments:
        inputs: the model's dict of inputs.

    Returns:
        Hidden states (B, T, D), one output layer before the logits.
    """

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


class ClassTraining(ShapedTraining):
    """Trains a model that answers with the logits (B, C) of one class per text."""

    def call(self, inputs, training=None):
        """Score the classes."""
        return self.model(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy of the classes `y` (B,) under the logits `y_pred`, weighted (B,)."""
        smoothing = self.label_smoothing if training else 0.0
        logits = ops.cast(y_pred, "float32")
        log_p = ops.log_softmax(logits, axis=-1)  # (B, C)
        hit = ops.take_along_axis(log_p, ops.expand_dims(ops.cast(y, "int32"), -1), axis=-1)[:, 0]
        losses = -(1 - smoothing) * hit - smoothing * ops.mean(log_p, axis=-1)  # (B,)
        weights = ops.cast(sample_weight, "float32")
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1.0)
