"""The one exception of this package, so that the command line can tell bad data from a bug."""


class DataError(ValueError):
    """A corpus cannot be read or made as asked. The message names the file or argument, and what to do."""
