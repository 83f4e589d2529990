"""A Debian for 64-bit ARM in a folder, to run the device's program as a phone's processor would run it.

    python demos/runtimes/arm_root.py        # needs Debian's package debootstrap, and root's rights

qemu translates the instructions of one program; `-L ROOT` lets it find ROOT's libraries. So there is no
chroot, no binfmt and nothing is installed: debootstrap downloads Debian's packages, which are unpacked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cache import MissingError, cache_folder, note

PYTHON = "3.11"
SUITE = "bookworm"
# Its qemu is version 10. That of bookworm, 7.2, crashes in ai-edge-litert 2.2 and newer.
EMULATOR_SUITE = "trixie"
# All but the matrix instructions (SME), which few phones have and qemu takes four times as long with.
PROCESSOR = "max,sme=off"


def emulated() -> list[str]:
    """Give the command of the ARM's Python; what it needs is made the first time: two minutes, 200 MB.

    Raises:
        MissingError: debootstrap or Debian's packages cannot be had.
    """
    emulator = _made(f"{EMULATOR_SUITE}-qemu-user", _unpack_emulator) / "qemu-aarch64"
    root = _made(f"{SUITE}-arm64-python{PYTHON}", _unpack_root)
    return [str(emulator), "-cpu", PROCESSOR, "-L", str(root), str(root / f"usr/bin/python{PYTHON}")]


def _made(name: str, unpack: Callable[[Path, Path], None]) -> Path:
    """Give a folder of the cache, which is filled aside and then renamed if it is missing.

    Args:
        name: of the folder.
        unpack: given a folder for downloads and the folder to fill.
    """
    path = cache_folder() / name
    if path.is_dir():
        return path
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise MissingError("an emulated ARM needs Debian's package debootstrap, and root's rights to run it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as folder:
        note(f"unpacking Debian's packages into {path}")
        aside = Path(folder) / "unpacked"
        unpack(Path(folder) / "downloaded", aside)
        aside.rename(path)
    return path


def _unpack_root(downloads: Path, root: Path) -> None:
    _download(downloads, SUITE, "arm64", f"python{PYTHON},libstdc++6")
    for package in _packages(downloads):
        _run("dpkg-deb", "--extract", package, root)


def _unpack_emulator(downloads: Path, folder: Path) -> None:
    here = _run("dpkg", "--print-architecture").strip()
    _download(downloads, EMULATOR_SUITE, here, "qemu-user")
    for package in _packages(downloads, "qemu-user_*"):
        _run("dpkg-deb", "--extract", package, downloads / "all")
    folder.mkdir()
    (downloads / "all/usr/bin/qemu-aarch64").rename(folder / "qemu-aarch64")


def _download(folder: Path, suite: str, architecture: str, packages: str) -> None:
    wanted = (f"--arch={architecture}", "--variant=minbase", f"--include={packages}")
    _run("debootstrap", "--download-only", *wanted, suite, folder)


def _packages(downloads: Path, name: str = "*") -> list[Path]:
    return sorted((downloads / "var/cache/apt/archives").glob(f"{name}.deb"))


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise MissingError(f"{command[0]} failed: {' '.join(told)}")
    return done.stdout


if __name__ == "__main__":
    try:
        print(" ".join(emulated()))
    except MissingError as error:
        sys.exit(str(error))
