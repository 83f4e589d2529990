"""Objectives: Keras models that add a loss to a model, with one compiled step per shape of a batch."""

import keras
from keras import ops

from keras_attn.training.optimization.accumulation import accumulated_step
from keras_attn.training.optimization.smoothed_cross_entropy import smoothed_cross_entropy


class CompiledObjective(keras.Model):
    """Wraps a model for `train_on_batch` and `test_on_batch`, with a step for each shape of its inputs.

    Args:
        model: any model with a dict of inputs.
        label_smoothing: float, used in training only: evaluation reports the plain cross-entropy.

    Attributes:
        accumulate: int, parts of a batch that a training step computes one after another.
    """

    def __init__(self, model, label_smoothing=0.0, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.label_smoothing = label_smoothing
        self.accumulate = 1
        self.built = True
        self._functions = {}

    def train_step(self, *arguments):
        """Run one step, in parts if there are several."""
        if self.accumulate == 1:
            return super().train_step(*arguments)
        return accumulated_step(self, *arguments)

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Train on a batch, with a step compiled for its shape."""
        self.train_function = self._function("train", x, lambda: self.make_train_function(force=True))
        return super().train_on_batch(x, y, sample_weight=sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Evaluate a batch, with a step compiled for its shape."""
        self.test_function = self._function("test", x, lambda: self.make_test_function(force=True))
        return super().test_on_batch(x, y, sample_weight=sample_weight, **kwargs)

    def _function(self, kind, x, make):
        # TensorFlow's trainer drops static shapes at the second shape that it sees, and with them the
        # chunked loss and the fast dropout; one function per bucket keeps them.
        key = (kind, *(x[name].shape for name in sorted(x)))
        if key not in self._functions:
            made = make()
            self._functions[key] = made if made is not None else getattr(self, f"{kind}_function")
        return self._functions[key]


class TokenObjective(CompiledObjective):
    """Trains a model that predicts tokens; the loss includes the output layer, so no logits are kept.

    Args:
        model: with `hidden(inputs, training)`, a tuple whose first is the last hidden states, and
            `output_embeddings`, such as `keras_attn.models.EncoderDecoder`.
        label_smoothing: float.
        r_drop: float, weight of R-Drop (`smoothed_cross_entropy`); 0 for a single pass.

    Call arguments:
        inputs: the model's dict of inputs.

    Returns:
        Hidden states (B, T, D), one output layer before the logits; in training with `r_drop` (2·B, T, D),
        the two passes of a text one after the other.
    """

    def __init__(self, model, label_smoothing=0.0, r_drop=0.0, **kwargs):
        super().__init__(model, label_smoothing, **kwargs)
        self.r_drop = r_drop

    def call(self, inputs, training=None):
        """Compute the hidden states below the output layer."""
        if training and self.r_drop:
            inputs = repeated(inputs)
        return self.model.hidden(inputs, training=training)[0]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the cross-entropy of targets `y` (B, T) under hidden states `y_pred`, weighted (B, T)."""
        matrix, bias = self.model.output_embeddings
        r_drop = self.r_drop if training else 0.0
        weights = ops.cast(sample_weight, "float32")
        if r_drop:
            # Both passes of a position side by side: a chunk of the loss has whole pairs.
            length, width = y_pred.shape[-2:]
            y_pred = ops.reshape(y_pred, (-1, 2, length, width))  # (B, 2, T, D)
            y_pred = ops.transpose(y_pred, (0, 2, 1, 3))  # (B, T, 2, D)
            y, weights = (ops.repeat(each, 2, axis=-1) for each in (y, weights))  # (B, T·2)
        hidden = ops.reshape(y_pred, (-1, matrix.shape[-1]))  # (B·T, D), or (B·T·2, D)
        return smoothed_cross_entropy(
            hidden,
            ops.cast(matrix, hidden.dtype),
            bias,
            ops.reshape(y, (-1,)),
            ops.reshape(weights, (-1,)),
            smoothing=self.label_smoothing if training else 0.0,
            r_drop=r_drop,
        )


def repeated(inputs):
    """Return a dict of inputs (B, ...) with each row twice (2·B, ...), for two passes under dropout.

    A row is repeated in place, so that both of its passes are on one device.
    """
    return {name: ops.repeat(each, 2, axis=0) for name, each in inputs.items()}
