"""The compilers of Kotlin and Swift on this machine, kept in the cache folder; nothing is installed.

Kotlin's comes from npm and needs Java. Swift's is Debian 13's, unpacked into a folder where it runs by
chroot, with this system's /proc and /dev mounted for itself alone: that needs root's rights. It takes some
minutes the first time, and 2.5 GB.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cache import MissingError, cache_folder, note
from debian import download, extract, made, run, this_architecture

KOTLIN = "2.4.20"
SWIFT_SUITE, SWIFT_PACKAGES = "trixie", "swiftlang,libc6-dev,libstdc++-14-dev"
_SWIFT = "/usr/libexec/swift"
_INSIDE = 'mount --rbind /proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'


def kotlin_compiler() -> list[str]:
    """Return the command of Kotlin's compiler, which is fetched the first time.

    Raises:
        MissingError: there is no Java or npm, or the compiler cannot be had.
    """
    for program in ("java", "npm"):
        if shutil.which(program) is None:
            raise MissingError(f"Kotlin's compiler needs {program}")
    path = cache_folder() / f"kotlin-compiler-{KOTLIN}"
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as folder:
            note(f"fetching Kotlin's compiler into {path}")
            options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
            run("npm", "install", *options, "--prefix", folder, f"kotlin-compiler@{KOTLIN}")
            (Path(folder) / "node_modules" / "kotlin-compiler").rename(path)
    return ["bash", str(path / "bin" / "kotlinc")]


def swift_root() -> Path:
    """Return a Debian with Swift's compiler, which is unpacked the first time.

    Raises:
        MissingError: it cannot be had, or nothing may be mounted here.
    """
    root = made(f"{SWIFT_SUITE}-swift", _unpack_swift)
    done = subprocess.run(in_root(root, "/usr/bin/true"), capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingError(f"Swift's compiler needs /proc and /dev mounted: {done.stderr.strip()}")
    return root


def in_root(root: Path, *command: str, variables: Sequence[str] = ()) -> list[str]:
    """Return the command that runs a command in a root; what it mounts goes with it."""
    found = f"LD_LIBRARY_PATH={_SWIFT}/lib/swift/linux"
    environment = ["env", "-i", "HOME=/tmp", f"PATH={_SWIFT}/bin:/usr/bin", found, *variables]
    return ["unshare", "--mount", "sh", "-c", _INSIDE, str(root), *environment, *command]


def _unpack_swift(downloads: Path, root: Path) -> None:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        raise MissingError("Swift's compiler needs unshare, and root's rights")
    download(downloads, SWIFT_SUITE, this_architecture(), SWIFT_PACKAGES)
    extract(downloads, root)
