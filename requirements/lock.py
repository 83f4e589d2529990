"""Writes the lock files of this folder: each package's version and the hashes of its files, for pip.

    make lock                    # keeps the versions that are locked, where pyproject.toml allows it
    make lock UPGRADE=--upgrade  # takes the newest

`test.txt` is what the tests need and `demo.txt` what the demo needs, both with the build backend.
The others hold what the extras of their names need besides `test.txt`. uv finds the versions,
for every system and for Python 3.11 or newer.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent / "pyproject.toml"
BESIDES_TEST = ("parity", "tpu", "mediapipe", "docs")
EXTRAS = {"test": ("dev",), "demo": ("export", "jax"), **{name: (name,) for name in BESIDES_TEST}}
# torch is pinned by pyproject.toml: which of its builds pip takes depends on its indexes, and of those with
# hashes it prefers PyPI's, which needs gigabytes for NVIDIA's GPUs.
LEFT_OUT = re.compile(r"torch$|(nvidia|cuda)-|triton$")
# uv reads no upper limit of Python: this one's newest is for Pythons below 3.11.
CONSTRAINTS = "backports-strenum<1.3\n"
_PACKAGE = re.compile(r"([a-z0-9-]+)==(\S+)")


def locked(name: str, upgrade: bool = False) -> str:
    """Let uv find a version of each package of a lock file, and return it as pip reads it."""
    path, basis = FOLDER / f"{name}.txt", FOLDER / "test.txt"
    backend = tomllib.loads(PROJECT.read_text("utf-8"))["build-system"]["requires"]
    with tempfile.TemporaryDirectory() as folder:
        output, limits = Path(folder) / path.name, Path(folder) / "constraints.txt"
        limits.write_text(CONSTRAINTS + (basis.read_text("utf-8") if name != "test" else ""), "utf-8")
        if path.exists():  # uv keeps the versions of its output, where they fit
            output.write_text(path.read_text("utf-8"), "utf-8")
        command = [
            *("uv", "pip", "compile", str(PROJECT), "-", "--constraint", str(limits)),
            *("--output-file", str(output), "--quiet", "--generate-hashes"),
            *("--universal", "--python-version", "3.11"),
            *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"),
            *(word for extra in EXTRAS[name] for word in ("--extra", extra)),
            *(("--upgrade",) if upgrade else ()),
        ]
        subprocess.run(command, input="\n".join(backend), text=True, check=True)
        found = blocks(output.read_text("utf-8"))
    if name in BESIDES_TEST:
        present = blocks(basis.read_text("utf-8"))
        found = {
            each: text for each, text in found.items() if each not in present and not LEFT_OUT.match(each)
        }
    return "".join(found.values())


def blocks(text: str) -> dict[str, str]:
    """Return the lines of each package, by its name; one that is there for several systems has several."""
    found: dict[str, str] = {}
    for block in re.split(r"(?m)^(?=[a-z0-9])", text):
        if match := _PACKAGE.match(block):
            found[match[1]] = found.get(match[1], "") + block
    return found


def main() -> None:
    """Write all lock files."""
    from keras_attn.device.files.atomic_write import write_text

    for name in EXTRAS:
        write_text(FOLDER / f"{name}.txt", locked(name, "--upgrade" in sys.argv[1:]))
        print(f"requirements/{name}.txt")


if __name__ == "__main__":
    main()
