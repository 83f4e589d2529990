"""The registry: what is known of each bundle that has a name."""

import dataclasses
import difflib
import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("registry.json")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One bundle.

    Attributes:
        name: what `keras-attn run` and `keras_attn.load` take.
        title: what it does, in a few words.
        task: as in its manifest.
        url: address of its .zip; empty if it comes with this package only.
        sha256: of the .zip.
        bytes: of the .zip.
        licence: of its data, and so of itself.
        example: a text to try.
        figures: what was measured, each with its name.
    """

    name: str
    title: str
    task: str
    url: str
    sha256: str
    bytes: int
    licence: str
    example: str
    figures: dict[str, Any]


@cache
def entries() -> dict[str, Entry]:
    """Return all bundles by their names."""
    found = json.loads(FILE.read_text("utf-8"))["bundles"]
    return {name: Entry(name, **fields) for name, fields in found.items()}


def nearest(name: str) -> str | None:
    """Return the name of a bundle that is most like `name`; `None` if none is like it."""
    close = difflib.get_close_matches(name.lower(), entries(), 1)
    return close[0] if close else None
