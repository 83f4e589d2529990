"""The protocol by which a training reports its progress."""

from typing import Protocol


class Progress(Protocol):
    """Receives what happens in a training; `TrainingBar` draws a live bar of it."""

    def started(self, step: int, total_steps: int) -> None:
        """The training starts, or continues, at `step`."""
        ...

    def stepped(self, step: int, loss: float, target_tokens: int) -> None:
        """A step is done: its loss per target, and its number of tokens."""
        ...

    def evaluated(self, row: dict) -> None:
        """The model was evaluated; `row` is its row of history.csv."""
        ...

    def translated(self, done: int, total: int) -> None:
        """Texts that a teacher or a reverse model has translated, before the training starts."""
        ...

    def note(self, text: str) -> None:
        """A message for a person."""
        ...


class Silent:
    """A `Progress` that shows nothing."""

    def started(self, step: int, total_steps: int) -> None:
        """Show nothing."""

    def stepped(self, step: int, loss: float, target_tokens: int) -> None:
        """Show nothing."""

    def evaluated(self, row: dict) -> None:
        """Show nothing."""

    def translated(self, done: int, total: int) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""
