"""SIGTERM, which a cluster sends some seconds before it takes the machine away."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def sigterm_requested() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGTERM was received; the process does not end by it meanwhile.

    Only the main thread can handle signals: elsewhere the function always returns False.
    """
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        yield received.is_set
    finally:
        # `None` is a handler that was not set from Python; it cannot be set again from here.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
