"""The screen: people read the console, programs read one JSON object on standard output."""

import contextlib
import functools
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, all else on standard error.")
]


@functools.cache
def console() -> "Console":
    """Where results for people go: standard output."""
    from rich.console import Console

    return Console(highlight=False)


@functools.cache
def messages() -> "Console":
    """Where progress, notes and errors go: standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """Say one line about what is going on, on stderr; `text` is plain, not markup."""
    messages().print(text, markup=False, soft_wrap=True)


def print_json(value: dict[str, Any], stream: Any = None) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(value, ensure_ascii=False, default=_plain), file=stream or sys.stdout, flush=True)


def _plain(value: Any) -> Any:
    """NumPy numbers and arrays, paths and dataclasses as JSON knows them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    return os.fspath(value)


@contextlib.contextmanager
def stdout_for_json(enabled: bool) -> Iterator[Any]:
    """Give the stream to print JSON on; while `enabled`, all else that is written to stdout goes to stderr.

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

    Without any name it has no heading.
    """
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(name.strip(">") for name in columns))
    for column in columns:
        justify = "right" if column.startswith(">") else "left"
        made.add_column(column.removeprefix(">"), justify=justify, overflow="fold")
    return made


def print_title(text: str) -> None:
    """Print the line above a table; `text` is plain, not markup."""
    console().print(text, style="bold", markup=False, soft_wrap=True)


def as_bytes(count: float) -> str:
    """A size as people read it: 3.4 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
