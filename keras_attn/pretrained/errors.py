"""Errors of checkpoints from elsewhere."""

from keras_attn.errors import KerasAttnError


class PretrainedError(KerasAttnError):
    """A folder cannot be read, or holds something the models here do not have."""
