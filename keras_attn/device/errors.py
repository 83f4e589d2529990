"""What can be wrong with a bundle or an input. Each message is one sentence or two, and says what to do."""

from keras_attn.errors import KerasAttnError


class BundleError(KerasAttnError, ValueError):
    """A bundle, or a file in it, is missing, damaged, of another format, or not fit for this runtime."""


class InputError(KerasAttnError, ValueError):
    """An input that no model can take, such as text that is not Unicode."""


class TextTooLong(InputError):
    """A text is longer than the model takes and, for a translation, has no sentence end to split it at.

    Args:
        tokens, limit: see below.
        splits: whether sentence ends would help.
        characters: of a text so long that not all of it was read.

    Attributes:
        tokens: length of the part that does not fit, the end token counted, or of as much as was read of it.
        limit: the most tokens the model takes, the end token counted.
    """

    def __init__(self, tokens: int, limit: int, *, splits: bool = True, characters: int | None = None):
        where = " without a sentence end" if splits else ""
        advice = (
            "end sentences with a full stop, so that it can be split"
            if splits
            else "have the rest of it left out (truncate)"
        )
        found, most = f"{tokens} tokens", f"{limit}"
        if characters is not None:
            found, most = f"{characters} characters", f"{limit} tokens"
        super().__init__(
            f"The text has {found}{where}, and the model takes at most {most} at a time; shorten it, or "
            f"{advice}."
        )
        self.tokens = tokens
        self.limit = limit


def one_line(text: object) -> str:
    """Return a text or a message without line ends."""
    return " ".join(str(text).splitlines())
