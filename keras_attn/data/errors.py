"""Errors of data."""

from keras_attn.errors import KerasAttnError


class DataError(KerasAttnError, ValueError):
    """A corpus cannot be read or made as asked. The message names the file or argument, and what to do."""
