"""A Debian for 64-bit ARM in a folder, to run the device's program as a phone's processor would run it.

    python demos/runtimes/arm_root.py        # needs Debian's packages qemu-user-static and debootstrap

qemu translates the instructions of one program; `-L ROOT` lets it find ROOT's libraries. So there is no
chroot, no binfmt and nothing is installed: Debian's packages are downloaded by debootstrap and unpacked.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cache import MissingError, cache_folder, note

SUITE = "bookworm"
PYTHON = "3.11"
PROGRAMS = {"qemu-aarch64-static": "qemu-user-static", "debootstrap": "debootstrap"}


def arm_root() -> Path:
    """Give the folder, which is made the first time: a minute and 290 MB.

    Raises:
        MissingError: a program or Debian's packages cannot be had.
    """
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise MissingError(f"{program} is missing: apt-get install {package}")
    root = cache_folder() / f"{SUITE}-arm64-python{PYTHON}"
    if root.is_dir():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".making-") as folder:
        aside = Path(folder) / "root"
        note(f"downloading Debian {SUITE} for ARM into {root}")
        _run(
            *("debootstrap", "--arch=arm64", "--foreign", "--variant=minbase"),
            *(f"--include=python{PYTHON},libstdc++6", SUITE, aside),
        )
        archives = sorted((aside / "var/cache/apt/archives").glob("*.deb"))
        note(f"unpacking {len(archives)} packages")
        for archive in archives:
            _run("dpkg-deb", "--extract", archive, aside)
            archive.unlink()
        _run(*emulated(aside), "-c", "import ctypes, hashlib, json, sqlite3")
        aside.rename(root)
    return root


def emulated(root: Path) -> list[str]:
    """Give the command of the root's Python."""
    return ["qemu-aarch64-static", "-L", str(root), str(root / f"usr/bin/python{PYTHON}")]


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise MissingError(f"{command[0]} failed: {' '.join(told)}")


if __name__ == "__main__":
    try:
        print(arm_root())
    except MissingError as error:
        sys.exit(str(error))
