"""A Debian for 64-bit ARM in a folder, to run the device's program as a phone's processor would run it.

    python tools/runtimes/arm_root.py        # needs Debian's package debootstrap, and root's rights

qemu translates the instructions of one program; `-L ROOT` lets it find ROOT's libraries. So there is no
chroot, no binfmt and nothing is installed: debootstrap downloads Debian's packages, which are unpacked.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cache import MissingError
from debian import download, extract, made, this_architecture

PYTHON = "3.11"
SUITE = "bookworm"
# Its qemu is version 10. That of bookworm, 7.2, crashes in ai-edge-litert 2.2 and newer.
EMULATOR_SUITE = "trixie"
# All but the matrix instructions (SME), which few phones have and qemu takes four times as long with.
PROCESSOR = "max,sme=off"


def emulated() -> list[str]:
    """Return the command of the ARM's Python; what it needs is made the first time: two minutes, 200 MB.

    Raises:
        MissingError: debootstrap or Debian's packages cannot be had.
    """
    emulator = made(f"{EMULATOR_SUITE}-qemu-user", _unpack_emulator) / "qemu-aarch64"
    root = made(f"{SUITE}-arm64-python{PYTHON}", _unpack_root)
    return [str(emulator), "-cpu", PROCESSOR, "-L", str(root), str(root / f"usr/bin/python{PYTHON}")]


def _unpack_root(downloads: Path, root: Path) -> None:
    download(downloads, SUITE, "arm64", f"python{PYTHON},libstdc++6")
    extract(downloads, root)


def _unpack_emulator(downloads: Path, folder: Path) -> None:
    download(downloads, EMULATOR_SUITE, this_architecture(), "qemu-user")
    extract(downloads, downloads / "all", "qemu-user_*")
    folder.mkdir()
    (downloads / "all/usr/bin/qemu-aarch64").rename(folder / "qemu-aarch64")


if __name__ == "__main__":
    try:
        print(" ".join(emulated()))
    except MissingError as error:
        sys.exit(str(error))
