"""Errors of trainings."""

from keras_attn.errors import KerasAttnError


class TrainingError(KerasAttnError, ValueError):
    """A training cannot start, continue or be resumed as asked."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite; the message names the step, the batch and the last good checkpoint."""


class Preempted(TrainingError):
    """SIGTERM ended the training, which has saved a checkpoint; `resume` continues there."""

    exit_code = 75
