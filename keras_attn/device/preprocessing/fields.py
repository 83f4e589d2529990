"""Fields of a bundle's description of its preprocessing, read with their types checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from keras_attn.device.errors import BundleError

Value = TypeVar("Value")

# The most ids, dimensions or tokens that anything here may have.
LARGEST = 2**24


def field(described: Mapping[str, Any], name: str, right: Callable[[Any], bool]) -> Any:
    """Return a field.

    Raises:
        BundleError: it is missing, or its value is not right.
    """
    if not isinstance(described, Mapping) or name not in described or not right(described[name]):
        raise damaged(name)
    return described[name]


def damaged(name: str) -> BundleError:
    """Return the error of a field that is missing or not right."""
    return BundleError(f"the manifest's preprocessing is damaged at {name!r}; copy the bundle again.")


def is_text(value: Any) -> bool:
    """Return whether a value is a string."""
    return isinstance(value, str)


def is_integer(value: Any) -> bool:
    """Return whether a value is a whole number of 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_size(value: Any) -> bool:
    """Return whether a value is a number of things."""
    return is_integer(value) and 0 <= value <= LARGEST


def list_of(right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return the check of a list by the check of its elements."""
    return lambda value: isinstance(value, list) and all(map(right, value))


def optional(right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return the check of a value that may be `None`."""
    return lambda value: value is None or right(value)
