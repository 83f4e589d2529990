"""Programs that are killed at work: no process and no file of theirs stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_attn.device.files.atomic_write import remove_abandoned

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import os, pathlib, sys, time
from keras_attn.child_process import end_with_parent
end_with_parent()
aside = pathlib.Path("aside")
aside.write_text(str(os.getpid()))
aside.rename("child")
time.sleep(600)
"""
PARENT = """
import os
from keras_attn import cli
from keras_attn.child_process import run_python
from keras_attn.device.files.atomic_write import scratch_folder, replaced

def work():
    with scratch_folder("keras_attn_export") as folder, replaced("out.txt") as aside:
        (folder / "large").write_text("half")
        aside.write_text("half")
        run_python(["-c", CHILD], os.environ)
    return 0

raise SystemExit(cli._run_process(lambda: cli.run_program([], lambda given: work())))
"""
# A converter that is at work: its lowering never ends.
LOWERING = "import os, pathlib, time\n\ndef lower(*arguments, **options):\n" + "".join(
    f"    {line}\n" for line in CHILD.splitlines()[4:]
)
CONVERTING = """
import numpy as np
from keras_attn.device.files.atomic_write import scratch_folder
from keras_attn_export.buckets import Bucket
from keras_attn_export.tflite.convert import convert
from keras_attn_export.recipes import FP32

with scratch_folder("keras_attn_export") as folder:
    convert(folder, config={}, weights={"a": np.zeros(1)}, lowering="sleeping:lower", buckets=[], options={},
            recipe=FP32)
"""


def start(program, folder):
    """Start a program in a folder that is its own, its temporary files included."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "export", folder)))
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(folder / "tmp")},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process=None):
    for _ in range(3000):
        if condition():
            return
        assert process is None or process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    pytest.fail("it never came")


def is_running(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    # A process that has ended stays in the list until its parent asks for it, and its parent is gone.
    return "\nState:\tZ" not in Path(f"/proc/{number}/status").read_text()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tmp").mkdir()
    return tmp_path


def left(folder):
    return {path.name for path in folder.iterdir()} - {"tmp", "child"} | {
        path.name for path in (folder / "tmp").iterdir()
    }


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGKILL, -9, ""),
        (signal.SIGTERM, 143, ""),
        (signal.SIGHUP, 129, ""),
        (signal.SIGINT, 130, "keras-attn: interrupted\n"),
    ],
)
def test_killed_program_stops_its_child(folder, number, code, message):
    process = start(f"CHILD = {CHILD!r}\n{PARENT}", folder)
    wait_for((folder / "child").exists, process)
    process.send_signal(number)
    assert process.communicate(timeout=60)[1] == message and process.returncode == code
    wait_for(lambda: not is_running(int((folder / "child").read_text())))
    if number == signal.SIGKILL:  # It could clear nothing: the next one does.
        assert len(left(folder)) == 2
        remove_abandoned(folder / "tmp" / "keras_attn_export")
        remove_abandoned(folder / "out.txt")
    assert not left(folder)


def test_killed_export_stops_its_converter(folder):
    (folder / "sleeping.py").write_text(LOWERING)
    process = start(CONVERTING, folder)
    wait_for((folder / "child").exists, process)
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not is_running(int((folder / "child").read_text())))
    remove_abandoned(folder / "tmp" / "keras_attn_export")
    assert left(folder) - {"__pycache__"} == {"sleeping.py"}
