"""Being told to stop: SIGTERM, which a cluster sends some seconds before it takes the machine away."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def sigterm_requested() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether SIGTERM has come; it is ignored otherwise.

    Outside the main thread, which alone may listen to signals, it never has.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        # `None` is a handler that was not set from Python; it cannot be set again from here.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
