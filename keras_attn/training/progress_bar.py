"""Live bars of a training and of its downloads; without a terminal, a line now and then."""

import time
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

from keras_attn.device.standard_streams import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_WINDOW = 30.0  # seconds over which the speed is averaged
_QUIET = 20.0  # seconds between two lines where there is no terminal to draw a bar on
# What an evaluation's line shows; history.csv has the rest.
_SHOWN = ("step", "loss", "validation_loss", "bleu", "exact_match", "accuracy", "macro_f1", "perplexity")


@cache
def messages() -> "Console":
    """Return the console of progress, notes and errors: standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """Print one line about what is going on, on standard error; `text` is plain, not markup."""
    messages().print(visible(text), markup=False, soft_wrap=True)


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
        """Return the bar, which appears when the training starts."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the bar; its last state stays on the screen."""
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
        """Update the bar."""
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
        """Return the target tokens per second of the last half minute."""
        span = self._recent[-1][0] - self._recent[0][0]
        # The first entry only marks a time.
        return sum(tokens for _, tokens in list(self._recent)[1:]) / span if span > 0 else 0.0

    def evaluated(self, row: dict) -> None:
        """Write an evaluation as a line above the bar."""
        names = [*_SHOWN, *(name for name in row if " " in name)]  # of each direction, such as "bleu en-de"
        figures = [f"{name} {_short(row[name])}" for name in names if row.get(name) not in (None, "")]
        self.note("  ".join(figures).replace("_", " "))

    def translated(self, done: int, total: int) -> None:
        """Draw the bar of the texts that are translated before a training."""
        if messages().is_terminal:
            if self._bar is None:
                self._bar = _training_columns()
                self._task = self._bar.add_task("translating", total=total, loss="", speed="")
                self._bar.start()
            self._bar.update(self._task, completed=done, total=total)
            if done >= total:
                self._bar.stop()
                self._bar = None
        elif self._clock() - self._last_line > _QUIET or done >= total:
            self._last_line = self._clock()
            note(f"{done} of {total} texts translated")

    def note(self, text: str) -> None:
        """Write a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(visible(text), markup=False, style="dim")
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
        """Return the bars; nothing is drawn before the first download."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the bars; their last state stays on the screen."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Update the bar of `name`."""
        if self._bar is None:
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

            title = TextColumn("downloading {task.description}", markup=False)
            columns = title, BarColumn(bar_width=24), DownloadColumn()
            self._bar = Progress(*columns, console=messages())
            self._bar.start()
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(visible(name), total=total)
        self._bar.update(self._tasks[name], completed=done, total=total)
