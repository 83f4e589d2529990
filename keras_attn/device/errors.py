"""Errors of bundles and inputs. Each message is one or two sentences, and says what to do."""

from keras_attn.errors import KerasAttnError


class BundleError(KerasAttnError, ValueError):
    """A bundle, or a file in it, is missing, damaged, of another format, or not fit for this runtime."""


class InputError(KerasAttnError, ValueError):
    """An input that the model cannot take, such as text that is not Unicode."""


class TextTooLong(InputError):
    """A text is longer than the model takes and, for a translation, has no sentence end to split it at.

    Args:
        tokens, limit: see below.
        splits: whether sentence ends would help.
        truncates: whether whoever asked may choose to read only a part of the text.
        characters: length of a text of which only a part was read.

    Attributes:
        tokens: length of the part that does not fit, the end token counted, as far as it was read.
        limit: the most tokens the model takes, the end token counted.
    """

    def __init__(
        self,
        tokens: int,
        limit: int,
        *,
        splits: bool = False,
        truncates: bool = False,
        characters: int | None = None,
    ):
        where = " without a sentence end" if splits else ""
        advice = ""
        if splits:
            advice = ", or end its sentences with a full stop, so that it can be split"
        elif truncates:
            advice = ", or in Python give truncate=True, which reads only a part of it"
        found, most = f"{tokens} tokens", f"{limit}"
        if characters is not None:
            found, most = f"{characters} characters", f"{limit} tokens"
        super().__init__(
            f"The text has {found}{where}, and the model takes at most {most} at a time; shorten it{advice}."
        )
        self.tokens = tokens
        self.limit = limit


def one_line(text: object) -> str:
    """Return a text or a message without line ends."""
    return " ".join(str(text).splitlines())
