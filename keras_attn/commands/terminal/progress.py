"""The stages of what takes long, each with its time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from keras_attn.commands.terminal.screen import messages, note, styled


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """Yield a function to call with the name of each stage; a stage is printed with its time when it ends."""
    current, begin = "", time.monotonic()
    with messages().status("") if messages().is_terminal else nullcontext() as status:

        def begin_stage(stage: str) -> None:
            nonlocal current, begin
            if current:
                note(f"{current} ({time.monotonic() - begin:.1f} s)")
            current, begin = stage, time.monotonic()
            if status is not None:
                status.update(styled(stage, ""))

        yield begin_stage
        begin_stage("")


@contextmanager
def translation_bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` sentences are translated; call what is yielded with that number."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("translating"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    screen = messages()
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
