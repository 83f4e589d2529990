"""Standard error without the lines that a runtime writes to it below Python."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOG_PREFIXES = ("INFO:", "WARNING: [", "└", "I0000 ", "W0000 ", "WARNING: All log messages before absl")
# Standard error belongs to the process: threads divert it one after the other, and none while the process
# is forked.
_DIVERTING = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_DIVERTING.acquire,
        after_in_parent=_DIVERTING.release,
        after_in_child=_DIVERTING.release,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the runtime's informational lines, written below Python, off standard error."""
    with _DIVERTING, _diverted(_LOG_PREFIXES):
        yield


@contextmanager
def silent() -> Iterator[None]:
    """Keep everything that is written below Python off standard error, such as a panic's message."""
    with _DIVERTING, _diverted(("",)):
        yield


@contextmanager
def _diverted(left_out: tuple[str, ...]) -> Iterator[None]:
    """Divert standard error, then write all lines to it but those with these prefixes."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, AttributeError, ValueError):  # standard error is closed
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            kept.seek(0)
            for line in kept.read().splitlines(keepends=True):
                if not line.decode(errors="replace").startswith(left_out):
                    os.write(2, line)
