"""Python processes that this one starts for a job, and that end with it, however it ends."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

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


def end_with_parent() -> None:
    """End this process with the one that started it by `run_python`; only on Linux.

    Elsewhere, a process whose parent was killed ends when its job is done.
    """
    parent = os.environ.pop(_PARENT, None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # It ended before it was asked for.
        os._exit(1)
