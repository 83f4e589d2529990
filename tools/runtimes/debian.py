"""Debian's packages of any of its releases, unpacked into folders of the cache: nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from cache import MissingError, cache_folder, note


def made(name: str, unpack: Callable[[Path, Path], None]) -> Path:
    """Return a folder of the cache, which is filled aside and then renamed if it is missing.

    Args:
        name: of the folder.
        unpack: given a folder for downloads and the folder to fill.

    Raises:
        MissingError: debootstrap or Debian's packages cannot be had.
    """
    path = cache_folder() / name
    if path.is_dir():
        return path
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise MissingError(f"{name} needs Debian's package debootstrap, and root's rights to run it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as folder:
        note(f"unpacking Debian's packages into {path}")
        aside = Path(folder) / "unpacked"
        unpack(Path(folder) / "downloaded", aside)
        aside.rename(path)
    return path


def download(folder: Path, suite: str, architecture: str, packages: str) -> None:
    """Download packages, and what they need, of a release for a processor."""
    wanted = (f"--arch={architecture}", "--variant=minbase", f"--include={packages}")
    run("debootstrap", "--download-only", *wanted, suite, folder)


def extract(downloads: Path, folder: Path, name: str = "*") -> None:
    """Unpack what was downloaded, or the packages of a name."""
    for package in sorted((downloads / "var/cache/apt/archives").glob(f"{name}.deb")):
        run("dpkg-deb", "--extract", package, folder)


def this_architecture() -> str:
    """Return Debian's name of this processor."""
    return run("dpkg", "--print-architecture").strip()


def run(*command: str | Path) -> str:
    """Run a command and give its output.

    Raises:
        MissingError: it fails.
    """
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise MissingError(f"{command[0]} failed: {' '.join(output)}")
    return done.stdout
