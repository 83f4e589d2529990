"""The loss of a classifier: cross-entropy with label smoothing, and R-Drop."""

from keras import ops

from keras_attn.training.optimization.objectives import CompiledObjective, repeated


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
            inputs = repeated(inputs)
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
