"""The environments that bundles are proven in: a Python, NumPy, tokenizers and one runtime each.

The packages of an environment are a folder that pip fills, for whatever Python and processor it is made:
nothing is installed, and the folder can be renamed into its place when it is whole. It is Python's only
source of packages (`-S` leaves out those of the system).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arm_root import PYTHON as ARM_PYTHON
from arm_root import emulated
from cache import MissingError, cache_folder, note

_GLIBC = ("2014", "_2_17", "_2_27", "_2_28", "_2_34")
_NEEDS = ("tokenizers>=0.21",)
_VERIFYING = Path(__file__).with_name("verifying.py")


@dataclass(frozen=True)
class Environment:
    """A runtime on a Python on a processor.

    Attributes:
        runtime: the distribution, as manifests name it.
        version: of the runtime.
        python: of the interpreter.
        machine: "x86_64", or "aarch64", which is emulated.
        numpy: which NumPy.
    """

    runtime: str
    version: str
    python: str = "3.11"
    machine: str = "x86_64"
    numpy: str = "numpy"

    @property
    def title(self) -> str:
        """Return its name in tables."""
        on_arm = ", ARM" if self.machine == "aarch64" else ""
        return f"{self.runtime} {self.version}, Python {self.python}{on_arm}"

    def as_json(self) -> dict[str, str]:
        """Return its description in results."""
        return {name: getattr(self, name) for name in ("runtime", "version", "python", "machine")}

    def verification(
        self, program: Path, bundles: Sequence[Path], work: Path
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command that repeats the proofs of bundles, and its environment variables.

        It prints a report for each, as `--verify --json` does.

        Raises:
            MissingError: something that this needs cannot be had.
        """
        command, variables = self.command()
        return [*command, str(_VERIFYING), str(program), *map(str, bundles)], variables

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Return the interpreter's command and environment variables, after making what is missing.

        Raises:
            MissingError: the Python, the packages or the emulator cannot be had.
        """
        if self.runtime == "tensorflow":
            return [sys.executable], {**os.environ, "KERAS_ATTN_RUNTIME": "tensorflow"}
        prefix = emulated() if self.machine == "aarch64" else [_python(self.python)]
        return [*prefix, "-S"], {"PATH": os.environ["PATH"], "PYTHONPATH": str(self._packages())}

    def _packages(self) -> Path:
        needs = (f"{self.runtime}=={self.version}", self.numpy, *_NEEDS)
        key = hashlib.sha256(" ".join(needs).encode()).hexdigest()[:8]
        name = f"{self.runtime}-{self.version}-python{self.python}-{self.machine}-{key}"
        path = cache_folder() / name
        if path.is_dir():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as folder:
            aside = Path(folder) / "packages"
            note(f"installing {', '.join(needs)} into {path}")
            platforms = [f"--platform=manylinux{version}_{self.machine}" for version in _GLIBC]
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "install", "--quiet", "--target", str(aside)),
                    *("--only-binary=:all:", f"--python-version={self.python}", *platforms, *needs),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
                raise MissingError(f"{self.title} cannot be installed: {' '.join(errors[-1:])}")
            aside.rename(path)
        return path


def _python(version: str) -> str:
    """Find a Python of a version: on the path, or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [*pyenv.glob(f"versions/{version}.*/bin/python"), shutil.which(f"python{version}")]
    for candidate in filter(None, candidates):
        found = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        # A shim of pyenv's is there for versions that are not chosen, too, and fails.
        if found.returncode == 0 and found.stdout.startswith(f"Python {version}."):
            return str(candidate)
    raise MissingError(f"Python {version} is not installed")


NEWEST, BETWEEN, OLDEST, OLD = "2.3.0", ("2.2.0", "2.1.6", "2.0.3"), "1.4.0", "2.14.0"
MAIN_PYTHON = "3.11"
PYTHONS = (MAIN_PYTHON, "3.10", "3.12", "3.13")
ENVIRONMENTS = (
    *(Environment("ai-edge-litert", NEWEST, python) for python in PYTHONS),
    *(Environment("ai-edge-litert", version) for version in BETWEEN),
    *(Environment("ai-edge-litert", OLDEST, python) for python in PYTHONS[:3]),
    *(Environment("tflite-runtime", OLD, python, numpy="numpy<2") for python in PYTHONS[:2]),
    Environment("tensorflow", "2.21"),
    *(Environment("ai-edge-litert", version, ARM_PYTHON, "aarch64") for version in (NEWEST, OLDEST)),
    Environment("tflite-runtime", OLD, ARM_PYTHON, "aarch64", "numpy<2"),
)
