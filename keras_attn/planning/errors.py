"""The error of plans. Each message says what is wrong, and what to do."""

from keras_attn.errors import KerasAttnError


class PlanError(KerasAttnError, ValueError):
    """A step cannot be planned as asked."""
