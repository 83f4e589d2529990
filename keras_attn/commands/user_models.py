"""Keras models of the user's own: the modules with their classes, and examples of their inputs."""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

ModuleOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PKG.MOD",
        help="Keras models of your own: module to import first, which has the classes of a .keras file; the "
        "working folder is searched, too. May be repeated.",
    ),
]


def import_modules(names: Sequence[str] | None) -> None:
    """Import the modules with the user's classes, from the working folder too, as `python -m` does.

    The backend must be chosen before, since they import Keras.

    Raises:
        typer.BadParameter: one is not found, or fails.
    """
    if not names:
        return
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever the user's module raises
            raise typer.BadParameter(
                f"--module {name} cannot be imported: {type(error).__name__}: {error}; give its name as for "
                "python -m"
            ) from error


def read_examples(path: Path | None) -> Any:
    """Read `--examples`: arrays by name, one array, or none.

    Raises:
        InputError: the file is missing, or holds no arrays.
    """
    from keras_attn.device.files.input_arrays import read_input_arrays

    return None if path is None else read_input_arrays(path)


def is_keras_file(path: str | Path) -> bool:
    """Return whether a path is that of a `.keras` file."""
    return Path(path).suffix == ".keras"


def numbers(text: str | None, option: str, least: int = 1) -> list[int] | None:
    """Return the whole numbers of an option such as 16,32,64.

    Raises:
        typer.BadParameter: it is something else, or a number is too small.
    """
    if text is None:
        return None
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{option} {text!r} is not a list of numbers such as 16,32,64") from None
    if min(found) < least:
        raise typer.BadParameter(f"{option} {text!r}: the numbers must be at least {least}")
    return found
