"""What can go wrong in planning. Each message says where, and what to do."""

from keras_attn.errors import KerasAttnError


class PlanError(KerasAttnError, ValueError):
    """A step cannot be planned as asked."""
