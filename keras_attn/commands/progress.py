"""Live bars for what takes long: a training, a download, anything counted."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from keras_attn.commands.screen import messages, note, styled
from keras_attn.device.standard_streams import visible

if TYPE_CHECKING:
    from rich.progress import Progress

_WINDOW = 30.0  # seconds over which the speed is averaged
_QUIET = 20.0  # seconds between two lines where there is no terminal to draw a bar on
# What an evaluation's line shows; history.csv has the rest.
_SHOWN = ("step", "loss", "validation_loss", "bleu", "exact_match", "accuracy", "macro_f1", "perplexity")


class TrainingBar:
    """Shows a training: steps, loss, target tokens per second, time left, and each evaluation as a line.

    It implements `keras_attn.training.progress.Progress`. Without a terminal, as in a log file, it writes a
    line now and then instead of a bar. Use it as a context manager.
    """

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._total = 0
        self._loss: float | None = None
        self._recent: deque[tuple[float, int]] = deque()  # (time, target tokens) of the last steps
        self._last_line = clock()
        self._bar: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> "TrainingBar":
        """Begin; the bar appears when the training starts."""
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar off the screen and leave its last state there."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def started(self, step: int, total_steps: int) -> None:
        """Draw the bar; the first step compiles, which takes a while."""
        self._total = total_steps
        self._recent.append((self._clock(), 0))
        if messages().is_terminal:
            self._bar = _training_columns()
            self._task = self._bar.add_task("compiling", total=total_steps, completed=step, loss="", speed="")
            self._bar.start()
        else:
            note(f"step {step} of {total_steps}: compiling")

    def stepped(self, step: int, loss: float, target_tokens: int) -> None:
        """Move the bar on."""
        self._loss = loss if self._loss is None else 0.95 * self._loss + 0.05 * loss
        self._recent.append((self._clock(), target_tokens))
        while len(self._recent) > 2 and self._clock() - self._recent[0][0] > _WINDOW:
            self._recent.popleft()
        shown, speed = f"loss {self._loss:.3f}", f"{self.tokens_per_second():,.0f} tokens/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description="training", loss=shown, speed=speed)
        elif self._clock() - self._last_line > _QUIET or step == self._total:
            self._last_line = self._clock()
            note(f"step {step} of {self._total}: {shown}, {speed}")

    def tokens_per_second(self) -> float:
        """Target tokens per second over the last half minute; the first entry only marks a time."""
        span = self._recent[-1][0] - self._recent[0][0]
        return sum(tokens for _, tokens in list(self._recent)[1:]) / span if span > 0 else 0.0

    def evaluated(self, row: dict) -> None:
        """Write an evaluation as a line above the bar."""
        figures = [f"{name} {_short(row[name])}" for name in _SHOWN if row.get(name) not in (None, "")]
        self.note("  ".join(figures).replace("_", " "))

    def note(self, text: str) -> None:
        """Write a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(styled(text, "dim"))
        else:
            note(text)


def _training_columns() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=messages(),
        refresh_per_second=4,
    )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class DownloadBar:
    """Shows downloads by file name, one after another; call it with (name, bytes so far, bytes in all)."""

    def __init__(self):
        self._bar: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "DownloadBar":
        """Begin; nothing is drawn before the first download."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the bars' last state on the screen."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Move the bar of `name`."""
        if self._bar is None:
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

            title = TextColumn("downloading {task.description}", markup=False)
            columns = title, BarColumn(bar_width=24), DownloadColumn()
            self._bar = Progress(*columns, console=messages())
            self._bar.start()
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(visible(name), total=total)
        self._bar.update(self._tasks[name], completed=done, total=total)


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
