"""What can go wrong in training. Each message says where, and what to do."""


class TrainingError(ValueError):
    """A training cannot begin, go on or be resumed as asked."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite; the message names the step, the batch and the last good checkpoint."""


class Preempted(TrainingError):
    """The training was told to stop, and has saved where it stood; `resume` goes on there."""
