"""One bundle in one environment: is its proof repeated, or is it refused, and what if it were not?

What runs is `keras_attn-device.pyz BUNDLE --verify`, so this proves that file on every Python, too; in a
browser it is the web app's own `verify`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from browser import Browser
from environments import Environment

_REFUSAL = " may run on "
_PATIENCE = 900


@dataclass(frozen=True)
class Found:
    """What came of a bundle in an environment.

    Attributes:
        listed: whether the manifest lets it run there.
        right: whether the proof holds there, were it listed.
        says: the rung that fails and why, or how the program ended; "" if the proof holds.
    """

    listed: bool
    right: bool
    says: str

    def as_json(self) -> dict[str, bool | str]:
        """Return what a file of results says."""
        return asdict(self)


def prove(bundle: Path, environment: Environment | Browser, program: Path) -> Found:
    """Repeat a bundle's proof; where its manifest refuses the runtime, on a copy that does not.

    Raises:
        MissingError: the environment cannot be had.
    """
    right, says = _verified(bundle, environment, program)
    if _REFUSAL not in says:
        return Found(True, right, says)
    with tempfile.TemporaryDirectory() as folder:
        forced = Path(folder) / "forced"
        shutil.copytree(bundle, forced)
        manifest = forced / "manifest.json"
        content = json.loads(manifest.read_text("utf-8"))
        content["runtimes"].append(f"{environment.runtime}>={environment.version}")
        manifest.write_text(json.dumps(content), "utf-8")
        return Found(False, *_verified(forced, environment, program))


def _verified(bundle: Path, environment: Environment | Browser, program: Path) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory() as work:
        command, variables = environment.verification(program, bundle, Path(work))
        try:
            done = subprocess.run(
                command, env=variables, capture_output=True, text=True, check=False, timeout=_PATIENCE
            )
        except subprocess.TimeoutExpired:
            return False, f"no answer within {_PATIENCE} seconds"
    if done.returncode not in (0, 1) or not done.stdout:
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        return False, f"the program ended with {done.returncode}: {last}"
    report = json.loads(done.stdout)
    failed = [f"{rung['name']}: {rung['detail']}" for rung in report["rungs"] if not rung["ok"]]
    return report["ok"], "; ".join(failed).replace(str(bundle), bundle.name)
