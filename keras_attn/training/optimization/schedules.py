"""Learning rates over the course of a training."""

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.training.config.training_config import SCHEDULES


@keras.saving.register_keras_serializable("keras_attn")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a peak, then linear decay to 0, inverse-square-root decay, or no decay.

    Inverse-square-root decay is that of Vaswani et al., 2017, equation 3, scaled to reach `peak` after
    `warmup_steps`.

    Args:
        peak: float, learning rate at the end of the warm-up.
        warmup_steps: int.
        total_steps: int, where linear decay reaches 0.
        decay: `"linear"`, `"inverse-square-root"` or `"constant"`.

    Raises:
        ArgumentError: if `decay` is unknown.
    """

    def __init__(self, peak, warmup_steps, total_steps, decay="linear"):
        if decay not in SCHEDULES:
            raise ArgumentError(f"`decay` must be one of {SCHEDULES}, got {decay!r}.")
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.decay = decay

    def __call__(self, step):
        """Return the learning rate of a step, counted from 0."""
        step = ops.cast(step, "float32") + 1.0
        warmup = float(max(self.warmup_steps, 1))
        rising = step / warmup
        if self.decay == "linear":
            falling = (self.total_steps + 1.0 - step) / max(self.total_steps + 1.0 - warmup, 1.0)
        elif self.decay == "inverse-square-root":
            falling = ops.sqrt(warmup / step)
        else:
            falling = ops.ones_like(step)
        return self.peak * ops.maximum(ops.minimum(rising, falling), 0.0)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "decay": self.decay,
        }
