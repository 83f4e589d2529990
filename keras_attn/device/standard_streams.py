"""The standard streams of a program, closed, full or broken ones too, and text that is safe on a terminal."""

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

# They turn the direction of what follows, so that a terminal shows something else than is written.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KEPT = frozenset("\n\t")


def visible(text: object) -> str:
    """Return a text with control characters, and those that turn its direction, written out as ``\\x1b``.

    What comes out of a file and goes to a terminal may hold escape sequences, which terminals obey.
    """
    return "".join(letter if _is_harmless(letter) else _written_out(letter) for letter in str(text))


def _is_harmless(letter: str) -> bool:
    if letter in _KEPT:
        return True
    # Control characters, lone surrogates, separators of lines and of paragraphs.
    return letter not in _TURNING and unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp")


def _written_out(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def run_with_streams(program: Callable[[], int], name: str) -> int:
    """Run a program with streams that it can use, and see to it that what it wrote has gone out.

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
        print(f"{name}: standard output is closed; send it to {os.devnull} to throw it away", file=sys.stderr)
        return BAD_INPUT
    _use_utf8()
    try:
        code = program()
    except SystemExit as end:  # such as argparse's, after it has printed its help
        code = end.code if isinstance(end.code, int) else 0
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter would try again when it exits, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return code  # Whoever read the output has enough of it.
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
    """Return what an error of the system says, with the name of the file, where it tells one."""
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
    """Read what has come on standard input, at most ``size`` bytes; nothing at its end.

    Raises:
        InputError: it is closed, or cannot be read.
    """
    if sys.stdin is None:
        raise InputError("standard input is closed, and - reads texts from it; give texts, or a file with <")
    try:
        return cast("io.BufferedReader", sys.stdin.buffer).read1(size)
    except OSError as error:
        raise InputError(f"standard input cannot be read: {error.strerror or error}") from None
