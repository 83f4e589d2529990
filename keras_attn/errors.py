"""The errors that this package raises on purpose: one tree with a common base, free of heavy imports."""

import importlib.util
import re

# Packages that not everybody has, and the extra that brings each.
EXTRAS = {
    "tensorflow": "export",
    "ai_edge_litert": "export",
    "ai_edge_quantizer": "export",
    "jax": "jax",
    "orbax": "jax",
}


class KerasAttnError(Exception):
    """Base of every error that this package raises on purpose. The message says what is wrong and what to do.

    Attributes:
        exit_code: exit code of the command line: 1 where the answer is no, 2 for bad input.
    """

    exit_code = 2


def shortened(error: Exception) -> str:
    """Return somebody else's error on one line, for a message of ours: its class and its beginning."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras prints in bold
    return f"{type(error).__name__}: {' '.join(plain.split())[:300]}"


class ArgumentError(KerasAttnError, ValueError):
    """An argument has a value that makes no sense. The message names the argument and the value."""


class MissingPackage(KerasAttnError, ImportError):
    """A package that this needs is not installed. The message names it and the command that installs it."""


def require(*packages: str) -> None:
    """Raise a MissingPackage if one of these packages is not installed."""
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise MissingPackage(f"{name} is not installed: pip install 'keras-attn[{EXTRAS[name]}]'")


class ArgumentTypeError(KerasAttnError, TypeError):
    """An argument is of a type that is not accepted, or is not known at all."""
