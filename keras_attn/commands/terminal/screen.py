"""The screen: people read the console, programs read one JSON object on standard output."""

import contextlib
import functools
import inspect
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_attn.device.standard_streams import visible
from keras_attn.training.progress_bar import messages as messages
from keras_attn.training.progress_bar import note as note

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, all else on standard error.")
]


@functools.cache
def console() -> "Console":
    """Where results for people go: standard output."""
    from rich.console import Console

    return Console(highlight=False)


def say(*parts: "str | Text") -> None:
    """Print one line on standard output; strings are plain, not markup."""
    console().print(*map(_cell, parts), sep="", soft_wrap=True)


def styled(text: str, style: str) -> "Text":
    """Plain text in a style, for a line or a cell."""
    from rich.text import Text

    return Text(visible(text), style)


def print_json(value: dict[str, Any], stream: Any = None) -> None:
    """Print one JSON object on one line."""
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    # Half of a pair of surrogates is no UTF-8, but JSON can write it out.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    print(text, file=stream or sys.stdout, flush=True)


def _plain(value: Any) -> Any:
    """NumPy numbers and arrays, paths and dataclasses as JSON knows them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    return os.fspath(value)


@contextlib.contextmanager
def stdout_for_json(enabled: bool) -> Iterator[Any]:
    """Yield the stream to print JSON on; while `enabled`, all other output to stdout goes to stderr.

    Child processes and libraries in C write to the file descriptor, not to `sys.stdout`: that is moved too.
    """
    if not enabled:
        yield sys.stdout
        return
    stream = sys.stdout
    stream.flush()
    with contextlib.ExitStack() as stack:
        if _is_descriptor_one(stream):
            saved = os.dup(1)
            os.dup2(2, 1)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, 1)
            stream = stack.enter_context(os.fdopen(os.dup(saved), "w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield stream


def _is_descriptor_one(stream: Any) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError, AttributeError):
        return False


def table(*columns: str) -> "Table":
    """An empty table in the house's look; a column named ">x" is aligned to the right.

    Without any name it has no heading. Cells are plain text, not markup, or `styled`.
    """
    from rich import box
    from rich.table import Table

    class PlainTable(Table):
        def add_row(self, *cells: Any, **options: Any) -> None:
            super().add_row(*map(_cell, cells), **options)

    made = PlainTable(
        box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(name.strip(">") for name in columns)
    )
    for column in columns:
        justify = "right" if column.startswith(">") else "left"
        made.add_column(column.removeprefix(">"), justify=justify, overflow="fold")
    return made


def _cell(content: Any) -> Any:
    return styled(content, "") if isinstance(content, str) else content


def print_title(text: str) -> None:
    """Print the line above a table; `text` is plain, not markup."""
    say(styled(text, "bold"))


def as_bytes(count: float) -> str:
    """A size as people read it: 3.4 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def paragraphs(text: str | None) -> str:
    """Return a docstring's paragraphs in a line each, which Rich then wraps to the width of the terminal."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text or "").split("\n\n"))
