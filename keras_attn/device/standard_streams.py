"""A program's standard streams, even closed, full or broken ones, and text that is safe on a terminal."""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from collections.abc import Callable
from typing import cast

from keras_attn.device.errors import InputError
from keras_attn.device.files.atomic_write import WRITING

BAD_INPUT = 2

# They change the direction of what follows, so that a terminal shows something else than is written.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KEPT = frozenset("\n\t")


def visible(text: object) -> str:
    """Return a text with control characters, and those that change its direction, escaped as ``\\x1b``.

    Text from a file may hold escape sequences, which a terminal would obey.
    """
    return "".join(letter if _is_harmless(letter) else _escaped(letter) for letter in str(text))


def _is_harmless(letter: str) -> bool:
    if letter in _KEPT:
        return True
    # Control characters, lone surrogates, separators of lines and of paragraphs.
    return letter not in _TURNING and unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp")


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def run_with_streams(program: Callable[[], int], name: str) -> int:
    """Run a program with streams that it can use, and flush what it wrote.

    A descriptor that is closed is opened on the null device, so that no file gets its number.

    Args:
        program: what runs; returns an exit code.
        name: what the program is called, for messages.

    Returns:
        The program's exit code; 2 if standard output is closed, or cannot take what was written.
    """
    _fill_closed_descriptors()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        print(
            f"{name}: standard output is closed; redirect it to {os.devnull} to discard it", file=sys.stderr
        )
        return BAD_INPUT
    _use_utf8()
    try:
        code = program()
    except SystemExit as end:  # such as argparse's, after it has printed its help
        code = end.code if isinstance(end.code, int) else 0
    try:
        sys.stdout.flush()
    except OSError as error:
        # Otherwise the interpreter would try again at exit, and print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return code  # The reader of the output has closed it.
        if code == 0:
            print(f"{name}: {message_of(error)}", file=sys.stderr)
        return code or BAD_INPUT
    return code


def _fill_closed_descriptors() -> None:
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It gets the lowest number that is free.


def message_of(error: OSError) -> str:
    """Return the message of a system error, with the name of its file if it has one."""
    what = error.strerror or str(error) or type(error).__name__
    if error.filename is not None:
        return f"{error.filename}: {what}"
    return f"the output cannot be written: {what}" if error.errno in WRITING else what


def _use_utf8() -> None:
    """Read and write UTF-8 wherever this runs; other bytes become lone surrogates, which are refused."""
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


def read_block(size: int) -> bytes:
    """Return what is available on standard input, at most ``size`` bytes; empty at its end.

    Raises:
        InputError: it is closed, or cannot be read.
    """
    if sys.stdin is None:
        raise InputError(
            "standard input is closed, and - reads texts from it; give texts, or redirect a file with <"
        )
    try:
        return cast("io.BufferedReader", sys.stdin.buffer).read1(size)
    except OSError as error:
        raise InputError(f"standard input cannot be read: {error.strerror or error}") from None
