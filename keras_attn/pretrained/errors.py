"""Errors of checkpoints."""

from keras_attn.errors import KerasAttnError


class PretrainedError(KerasAttnError):
    """A checkpoint cannot be read, or contains something that is not supported."""
