"""Python processes that this one starts for a job, and that end with it, however it ends."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

_PARENT = "KERAS_ATTN_PARENT"
_PR_SET_PDEATHSIG = 1  # of Linux' prctl.h


def run_python(
    arguments: Sequence[str], environment: Mapping[str, str], *, input: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run this Python with arguments, and wait for it; what it prints is kept.

    An exception here, such as that of Ctrl-C, kills it. It should call `end_with_parent` first, which lets it
    end as well when this process is killed.

    Args:
        arguments: of the interpreter, such as `["-m", "module"]`.
        environment: the variables it gets.
        input: its standard input; by default it has none.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        env={**environment, _PARENT: str(os.getpid())},
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        text=True,
        check=False,
    )


def start_python(
    arguments: Sequence[str], environment: Mapping[str, str], errors: IO[str]
) -> subprocess.Popen[str]:
    """Start this Python with arguments, and do not wait for it; as `run_python` otherwise.

    Who starts it has to end it.

    Args:
        arguments: of the interpreter.
        environment: the variables it gets.
        errors: a file that receives what it prints on standard error; its standard output is discarded.
    """
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**environment, _PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        text=True,
    )


def end_with_parent() -> None:
    """End this process with the one that started it by `run_python` or `start_python`; only on Linux.

    Elsewhere, a process whose parent was killed ends when its job is done.
    """
    parent = os.environ.pop(_PARENT, None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # It ended before it was asked for.
        os._exit(1)
