"""The stages of what takes long, each with its time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from keras_attn.commands.screen import messages, note, styled


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """Give a function that names the stage which begins; each is noted with its time when it ends."""
    current, begin = "", time.monotonic()
    with messages().status("") if messages().is_terminal else nullcontext() as status:

        def tell(stage: str) -> None:
            nonlocal current, begin
            if current:
                note(f"{current} ({time.monotonic() - begin:.1f} s)")
            current, begin = stage, time.monotonic()
            if status is not None:
                status.update(styled(stage, ""))

        yield tell
        tell("")
