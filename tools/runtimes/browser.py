"""LiteRT.js in headless Chromium: the web app, asked to repeat the proofs of bundles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cache import MissingError

_PROGRAM = "from keras_attn.cli import main; main()"
_WEB = Path(__file__).parents[2] / "demos" / "web"


@dataclass(frozen=True)
class Browser:
    """The runtime of the web app; see `environments.Environment` for the others."""

    runtime: str = "@litertjs/core"
    python: str = ""
    machine: str = "Chromium"

    @property
    def version(self) -> str:
        """The version that the web app pins."""
        package = json.loads((_WEB / "package.json").read_text("utf-8"))
        return package["dependencies"][self.runtime]

    @property
    def title(self) -> str:
        """Return its name in tables."""
        return "LiteRT.js in Chromium"

    def as_json(self) -> dict[str, str]:
        """Return its description in results."""
        return {name: getattr(self, name) for name in ("runtime", "version", "python", "machine")}

    def verification(
        self, program: Path, bundles: Sequence[Path], work: Path
    ) -> tuple[list[str], dict[str, str]]:
        """Write a site with the bundles; give the command that opens them, and its environment variables.

        It prints a report for each, as `--verify --json` does.

        Raises:
            MissingError: Node, Chromium or the web app cannot be had.
        """
        for command in ("node", "chromium"):
            if shutil.which(command) is None:
                raise MissingError(f"{command} is missing")
        if not (_WEB / "node_modules" / "playwright-core").is_dir():
            raise MissingError("playwright-core is missing: npm ci in demos/web")
        site = work / "site"
        written = subprocess.run(
            [sys.executable, "-c", _PROGRAM, "web", *map(str, bundles), "--output", str(site)],
            capture_output=True,
            text=True,
            check=False,
        )
        if written.returncode:
            raise MissingError(f"the web app: {' '.join(written.stderr.split())}")
        names = [bundle.stem for bundle in bundles]
        return ["node", str(_WEB / "drive" / "verify.mjs"), str(site), *names], dict(os.environ)
