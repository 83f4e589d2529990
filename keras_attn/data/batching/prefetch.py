"""Prepare the next batches in a background thread."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

AHEAD = 4  # maximum number of waiting batches
_POLL = 0.1  # seconds after which a thread with a full queue checks whether it is stopped


def prefetched(items: Iterable[T], ahead: int = AHEAD) -> Generator[T, None, None]:
    """Yield the same items in the same order, produced by a thread that is up to `ahead` of the reader.

    What `items` raises is raised to the reader, at its position. The thread ends with the items, or when the
    reader stops.
    """
    waiting: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(entry: tuple[bool, T | BaseException | None]) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(entry, timeout=_POLL)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            is_item, value = waiting.get()
            if is_item:
                yield value  # type: ignore[misc]
            elif value is None:
                return
            else:
                raise value  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
