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

    Call arguments:
        inputs: the model's dict of inputs.

    Returns:
        Hidden states (B, T, D), one output layer before the logits.
    """

    def call(self, inputs, training=None):
        """Compute the hidden states below the output layer."""
        return self.model.hidden(inputs, training=training)[0]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the cross-entropy of targets `y` (B, T) under hidden states `y_pred`, weighted (B, T)."""
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


class ClassObjective(CompiledObjective):
    """Trains a model that returns the logits (B, C) of one class per text.

    Args:
        model: such as `keras_attn.models.TextClassifier`.
        label_smoothing: float.
        r_drop: float, weight of the divergence of two passes of a text under different dropout (Liang et
            al., 2021, arXiv:2106.14448, equation 4); 0 for a single pass. The paper adds the cross-entropies
            of the two, here they are averaged: its alpha is twice this.

    Call arguments:
        inputs: the model's dict of inputs.

    Returns:
        Logits (B, C); in training with `r_drop` (2·B, C), the two passes of a text one after the other.
    """

    def __init__(self, model, label_smoothing=0.0, r_drop=0.0, **kwargs):
        super().__init__(model, label_smoothing, **kwargs)
        self.r_drop = r_drop

    def call(self, inputs, training=None):
        """Compute the logits of the classes."""
        if training and self.r_drop:
            # Repeated in place, so that both passes of a text are on one device.
            inputs = {name: ops.repeat(each, 2, axis=0) for name, each in inputs.items()}
        return self.model(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the cross-entropy of the classes `y` (B,) under the logits `y_pred`, weighted (B,)."""
        smoothing = self.label_smoothing if training else 0.0
        twice = training and self.r_drop
        log_p = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)
        classes = log_p.shape[-1]
        log_p = ops.reshape(log_p, (-1, 2 if twice else 1, classes))  # (B, passes, C)
        target = ops.one_hot(ops.cast(y, "int32"), classes) * (1 - smoothing) + smoothing / classes  # (B, C)
        losses = -ops.sum(target * ops.mean(log_p, axis=1), axis=-1)  # (B,)
        if twice:
            first, second = log_p[:, 0], log_p[:, 1]
            apart = (ops.exp(first) - ops.exp(second)) * (first - second)
            losses = losses + self.r_drop * ops.sum(apart, axis=-1) / 2  # the mean of both divergences
        weights = ops.cast(sample_weight, "float32")
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1.0)
