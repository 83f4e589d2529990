"""Where environments are kept, so that they are made once."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class MissingError(Exception):
    """Something that an environment is made of cannot be had here; the message says what."""


def cache_folder() -> Path:
    """``$KERAS_ATTN_CACHE/runtimes``, or ``keras_attn/runtimes`` in the user's cache folder."""
    chosen = os.environ.get("KERAS_ATTN_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "runtimes"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "keras_attn" / "runtimes"


def note(line: str) -> None:
    """Print what takes a while."""
    print(line, file=sys.stderr, flush=True)
