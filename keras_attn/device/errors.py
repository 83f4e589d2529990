"""What can be wrong with a bundle or an input. Each message is one sentence or two, and says what to do."""


class BundleError(ValueError):
    """A bundle, or a file in it, is missing, damaged, of another format, or not fit for this runtime."""


class InputError(ValueError):
    """An input that no model can take, such as text that is not Unicode."""


class TextTooLong(InputError):
    """A text without a sentence end at which it could be split is longer than the model takes.

    Attributes:
        tokens: length of the part that does not fit, the end token counted.
        limit: the most tokens the model takes, the end token counted.
    """

    def __init__(self, tokens: int, limit: int):
        super().__init__(
            f"The text has {tokens} tokens without a sentence end, and the model takes at most {limit} at a "
            "time; shorten it, or end sentences with a full stop, so that it can be split."
        )
        self.tokens = tokens
        self.limit = limit
