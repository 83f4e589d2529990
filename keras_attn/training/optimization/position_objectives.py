"""Losses over the positions of a text: a label for each token, or where an answer starts and ends."""

from keras import ops

from keras_attn.training.optimization.objectives import CompiledObjective


class LabelObjective(CompiledObjective):
    """Trains a model that returns the logits (B, T, C) of each token's label.

    Args:
        model: such as `keras_attn.models.TokenClassifier`.
        label_smoothing: float.

    Call arguments:
        inputs: the model's dict of inputs.

    Returns:
        Logits (B, T, C).
    """

    def call(self, inputs, training=None):
        """Compute the logits of the labels."""
        return self.model(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the mean cross-entropy of labels `y` (B, T) under the logits, weighted (B, T)."""
        losses = smoothed_losses(y_pred, y, self.label_smoothing if training else 0.0)
        return weighted_mean(losses, sample_weight)


class AnswerObjective(CompiledObjective):
    """Trains a model that returns the logits (B, 2, T) of each position to be an answer's start and end.

    Args:
        model: such as `keras_attn.models.QuestionAnswerer`.
        label_smoothing: float, spread over the positions that exist.

    Call arguments:
        inputs: the model's dict of inputs.

    Returns:
        Logits (B, 2, T).
    """

    def call(self, inputs, training=None):
        """Compute the logits of the positions."""
        return self.model(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the mean cross-entropy of the positions `y` (B, 2), weighted (B,)."""
        smoothing = self.label_smoothing if training else 0.0
        exists = ops.expand_dims(ops.cast((x or {})["padding_mask"], "float32"), 1)  # (B, 1, T)
        losses = smoothed_losses(y_pred, y, smoothing, exists)  # (B, 2)
        return weighted_mean(ops.mean(losses, axis=-1), sample_weight)


def smoothed_losses(logits, targets, smoothing=0.0, exists=None):
    """Compute the cross-entropy of classes under label smoothing.

    Args:
        logits: float tensor (..., C).
        targets: int32 tensor (...).
        smoothing: float.
        exists: float tensor that broadcasts to (..., C), 0 for classes that share in no smoothing; by
            default all do.

    Returns:
        float32 tensor (...).
    """
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    right = ops.take_along_axis(log_p, ops.expand_dims(ops.cast(targets, "int32"), -1), axis=-1)[..., 0]
    if not smoothing:
        return -right
    if exists is None:
        even = ops.mean(log_p, axis=-1)
    else:
        even = ops.sum(ops.where(exists > 0, log_p, 0.0), axis=-1) / ops.maximum(ops.sum(exists, -1), 1.0)
    return -(1 - smoothing) * right - smoothing * even


def weighted_mean(losses, weights):
    """Compute the mean of losses by their weights; 0 where there is no weight."""
    weights = ops.cast(weights, "float32")
    return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1.0)
