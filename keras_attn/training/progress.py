"""What a training tells while it runs."""

from typing import Protocol


class Progress(Protocol):
    """Listens to a training; the command line draws a live bar with it."""

    def started(self, step: int, total_steps: int) -> None:
        """Training begins, or goes on, at `step`."""
        ...

    def stepped(self, step: int, loss: float, target_tokens: int) -> None:
        """A step is done: its loss per target, and how many tokens it had."""
        ...

    def evaluated(self, row: dict) -> None:
        """The model was evaluated; `row` is what goes into history.csv."""
        ...

    def note(self, text: str) -> None:
        """Something a person should know."""
        ...


class Silent:
    """A `Progress` that says nothing."""

    def started(self, step: int, total_steps: int) -> None:
        """Say nothing."""

    def stepped(self, step: int, loss: float, target_tokens: int) -> None:
        """Say nothing."""

    def evaluated(self, row: dict) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
