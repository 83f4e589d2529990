"""The losses of classifiers and scorers: classes, several labels, numbers; R-Drop; distillation."""

from keras import ops

from keras_attn.training.optimization.objectives import CompiledObjective, repeated
from keras_attn.training.optimization.position_objectives import weighted_mean

CLASSES, LABELS, PROBABILITY, NUMBER = "classes", "labels", "probability", "number"
KINDS = (CLASSES, LABELS, PROBABILITY, NUMBER)
"""What the logits of a text are: of one class, of several labels, of one probability, or a number itself."""


class ClassObjective(CompiledObjective):
    """Trains a model that returns the logits (B, C) of a text.

    The loss is the cross-entropy of one class, the mean binary cross-entropy of several labels or of a
    probability, or the squared error of a number. With a teacher it is mixed with the divergence from the
    teacher's answer at a temperature (Hinton et al., 2015, arXiv:1503.02531, section 2), times the squared
    temperature; of a number, with the squared difference.

    Args:
        model: such as `keras_attn.models.TextClassifier`.
        label_smoothing: float, of classes.
        r_drop: float, weight of the divergence of two passes of a text under different dropout (Liang et
            al., 2021, arXiv:2106.14448, equation 4); 0 for a single pass. The paper adds the cross-entropies
            of the two, here they are averaged: its alpha is twice this. For classes.
        kind: one of `KINDS`.
        distillation: float, weight of the teacher, from 0 to 1.
        temperature: float.

    Call arguments:
        inputs: the model's dict of inputs.

    Returns:
        Logits (B, C); in training with `r_drop` (2·B, C), the two passes of a text one after the other.
    """

    def __init__(
        self,
        model,
        label_smoothing=0.0,
        r_drop=0.0,
        kind=CLASSES,
        distillation=0.0,
        temperature=1.0,
        **kwargs,
    ):
        super().__init__(model, label_smoothing, **kwargs)
        self.r_drop, self.kind = r_drop, kind
        self.distillation, self.temperature = distillation, temperature

    def call(self, inputs, training=None):
        """Compute the logits."""
        if training and self.r_drop:
            inputs = repeated(inputs)
        return self.model(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the mean loss, weighted (B,).

        Targets `y` are classes (B,), or floats (B, C); with a teacher (B, 2, C), whose second are the
        teacher's logits.
        """
        smoothing = self.label_smoothing if training else 0.0
        twice = training and self.r_drop
        logits = ops.cast(y_pred, "float32")
        classes = logits.shape[-1]
        logits = ops.reshape(logits, (-1, 2 if twice else 1, classes))  # (B, passes, C)
        y = ops.convert_to_tensor(y)
        teacher = None
        if len(y.shape) == 3:
            y, teacher = y[:, 0], y[:, 1]
        target = ops.one_hot(ops.cast(y, "int32"), classes) if len(y.shape) == 1 else y
        target = ops.cast(target, "float32")
        if self.kind == CLASSES:
            target = target * (1 - smoothing) + smoothing / classes  # (B, C)
        losses = self._losses_of(logits, target)
        if teacher is not None and training and self.distillation:
            far = ops.mean(self._from_teacher(logits, ops.expand_dims(teacher, 1)), axis=1)  # (B,)
            losses = (1 - self.distillation) * losses + self.distillation * far
        if twice:
            log_p = ops.log_softmax(logits, axis=-1)
            first, second = log_p[:, 0], log_p[:, 1]
            apart = (ops.exp(first) - ops.exp(second)) * (first - second)
            losses = losses + self.r_drop * ops.sum(apart, axis=-1) / 2  # the mean of both divergences
        return weighted_mean(losses, sample_weight)

    def _losses_of(self, logits, target):
        """Compute the losses (B,) of logits (B, passes, C) against targets (B, C)."""
        if self.kind == CLASSES:
            log_p = ops.mean(ops.log_softmax(logits, axis=-1), axis=1)  # (B, C)
            return -ops.sum(target * log_p, axis=-1)
        target = ops.expand_dims(target, 1)
        if self.kind == NUMBER:
            return ops.mean(ops.square(logits - target), axis=(1, 2))
        return ops.mean(ops.softplus(logits) - target * logits, axis=(1, 2))

    def _from_teacher(self, logits, teacher):
        """Compute the divergences (B, passes) from a teacher's logits (B, 1, C)."""
        if self.kind == NUMBER:
            return ops.mean(ops.square(logits - teacher), axis=-1)
        warm = self.temperature
        logits, teacher = logits / warm, ops.cast(teacher, "float32") / warm
        if self.kind == CLASSES:
            right, found = ops.log_softmax(teacher, axis=-1), ops.log_softmax(logits, axis=-1)
            return warm**2 * ops.sum(ops.exp(right) * (right - found), axis=-1)
        yes = ops.log_sigmoid(teacher) - ops.log_sigmoid(logits)
        no = ops.log_sigmoid(-teacher) - ops.log_sigmoid(-logits)
        p = ops.sigmoid(teacher)
        return warm**2 * ops.mean(p * yes + (1 - p) * no, axis=-1)
