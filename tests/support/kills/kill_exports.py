"""Kill an export again and again, at another moment each time, and see what stays behind.

    python tests/support/kills/kill_exports.py RUN --kills 25

After each kill no process of the export may be left, and at its destination nothing or a whole bundle. After
a last export, which is let finish, its bundle must have the bytes of one that was made in peace, and no other
file is left.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from keras_attn.device.files.bundle import Bundle

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = ("--recipe", "fp16", "--buckets", "16", "--metric-sentences", "0")
TIMED = ("manifest.json", "report.json", "report.md", "README.md")  # they tell when, and how fast


def start(run: Path, bundle: Path, temporary: Path) -> subprocess.Popen[str]:
    """Start an export whose temporary files go to a folder of its own."""
    environment = {
        **os.environ,
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "export")]),
    }
    command = [
        sys.executable,
        "-c",
        "from keras_attn.cli import main; main()",
        "export",
        run,
        bundle,
        *OPTIONS,
    ]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def processes(temporary: Path) -> list[str]:
    """Return the processes whose temporary files go to a folder."""
    mark, found = f"TMPDIR={temporary}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def contents(bundle: Path) -> dict[str, bytes]:
    """Return the files of a bundle that do not tell of time."""
    return {path.name: path.read_bytes() for path in bundle.iterdir() if path.name not in TIMED}


def main(
    run: Annotated[Path, typer.Argument(help="Run folder of a translator.")],
    kills: Annotated[int, typer.Option(min=1, help="How often to kill.")] = 25,
    seed: Annotated[int, typer.Option(help="Decides when.")] = 0,
) -> None:
    """Kill exports, and fail with a sentence where something stays behind."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        temporary, bundle, peaceful = folder / "tmp", folder / "out" / "bundle", folder / "peaceful"
        temporary.mkdir()
        begin = time.monotonic()
        process = start(run.resolve(), peaceful, temporary)
        print(process.communicate()[0].splitlines()[-1])
        seconds = time.monotonic() - begin
        for number in range(kills):
            process = start(run.resolve(), bundle, temporary)
            how = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)[number % 4]
            try:
                process.communicate(timeout=rng.uniform(0, 1.05 * seconds))
            except subprocess.TimeoutExpired:
                process.send_signal(how)
                process.communicate()
            for _ in range(600):
                if not processes(temporary):
                    break
                time.sleep(0.1)
            else:
                sys.exit(f"kill {number}: processes are left: {processes(temporary)}")
            found = "a whole bundle" if bundle.exists() else "no bundle"
            if bundle.exists():
                Bundle.open(bundle)
                shutil.rmtree(bundle)
            print(f"kill {number} by {how.name}, code {process.returncode}: {found}", flush=True)
        code = start(run.resolve(), bundle, temporary).wait()
        if code or contents(bundle) != contents(peaceful):
            sys.exit(f"the last export ended with {code}, or made another bundle")
        left = [
            str(path) for place in (temporary, bundle.parent) for path in place.iterdir() if path != bundle
        ]
        sys.exit(f"left behind: {left}" if left else 0)


if __name__ == "__main__":
    typer.run(main)
