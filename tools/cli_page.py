"""Write docs/cli.md from the `--help` of every command: `make docs`."""

import contextlib
import io
import os
import sys
from pathlib import Path

# What Rich reads when a screen is made: the same width everywhere, and neither colors nor links.
SCREEN = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}
COLORED = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE")
PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# Command line

One program, `keras-attn`. Exit codes: 0 done, 1 the answer is no (a proof failed, a model does not fit),
2 bad input, with one line on standard error. `--json` prints one JSON object on standard output and
everything else on standard error. This page is what `--help` prints; `make docs` writes it.
"""


def names(command, before: str = "keras-attn") -> list[str]:
    """Return the program and all its commands, in the order of the help."""
    found = [before]
    for name, each in getattr(command, "commands", {}).items():
        found += names(each, f"{before} {name}")
    return found


def help_of(name: str) -> str:
    """Return what `name --help` prints."""
    from keras_attn import cli

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        cli.run_program([*name.split()[1:], "--help"])
    return "\n".join(line.rstrip() for line in printed.getvalue().strip("\n").splitlines()).strip()


def page() -> str:
    """Return the page's text."""
    with _fixed_screen():
        import typer

        from keras_attn import cli

        parts = [
            f"## {name}\n\n```text\n{help_of(name)}\n```\n" for name in names(typer.main.get_command(cli.app))
        ]
    return "\n".join([HEAD, *parts])


@contextlib.contextmanager
def _fixed_screen():
    """Set what Rich reads, and restore it afterwards."""
    before = dict(os.environ)
    os.environ.update(SCREEN)
    for name in COLORED:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> None:
    """Write the page."""
    from keras_attn.device.files.atomic_write import write_text

    write_text(PAGE, page())
    print(PAGE, file=sys.stderr)


if __name__ == "__main__":
    main()
