"""What goes wrong with somebody else's checkpoint."""


class PretrainedError(Exception):
    """A folder cannot be read, or holds something the models here do not have."""
