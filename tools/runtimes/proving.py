"""Bundles in one environment: is each proof repeated, or refused, and what if it were not?

What runs is what `keras_attn-device.pyz BUNDLE --verify` runs, so this proves that file on every Python, too;
in a browser it is the web app's own `verify`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from browser import Browser
from environments import Environment

_REFUSAL = " may run on "
_PATIENCE = 300  # seconds for a bundle


@dataclass(frozen=True)
class Found:
    """The result of a bundle in an environment.

    Attributes:
        listed: whether the manifest lets it run there.
        right: whether the proof holds there, were it listed.
        says: the check that fails and why, or how the program ended; "" if the proof holds.
    """

    listed: bool
    right: bool
    says: str

    def as_json(self) -> dict[str, bool | str]:
        """Return what a file of results says."""
        return asdict(self)


def prove(
    bundles: Sequence[Path], environment: Environment | Browser, program: Path
) -> Iterator[tuple[Path, Found]]:
    """Repeat the proofs of bundles; where manifests refuse the runtime, at the end, on copies that do not.

    Raises:
        MissingError: the environment cannot be had.
    """
    refused = []
    for bundle, right, says in _verified(bundles, environment, program):
        if _REFUSAL in says:
            refused.append(bundle)
        else:
            yield bundle, Found(True, right, says)
    with tempfile.TemporaryDirectory() as folder:
        copies = {_allowing(environment, bundle, Path(folder)): bundle for bundle in refused}
        for copy, right, says in _verified(list(copies), environment, program):
            yield copies[copy], Found(False, right, says)


def _allowing(environment: Environment | Browser, bundle: Path, folder: Path) -> Path:
    """Copy a bundle, and list the environment's runtime in its manifest."""
    copy = shutil.copytree(bundle, folder / bundle.name)
    manifest = copy / "manifest.json"
    content = json.loads(manifest.read_text("utf-8"))
    content["runtimes"].append(f"{environment.runtime}>={environment.version}")
    manifest.write_text(json.dumps(content), "utf-8")
    return copy


def _verified(
    bundles: Sequence[Path], environment: Environment | Browser, program: Path
) -> Iterator[tuple[Path, bool, str]]:
    """Verify bundles in one process; if one of them ends it, the rest in another."""
    waiting = list(bundles)
    while waiting:
        with tempfile.TemporaryDirectory() as work, tempfile.TemporaryFile("w+") as errors:
            command, variables = environment.verification(program, waiting, Path(work))
            process = subprocess.Popen(
                command, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
            )
            watch = threading.Timer(_PATIENCE * len(waiting), process.kill)
            watch.start()
            assert process.stdout is not None
            for line in process.stdout:
                bundle, report = waiting.pop(0), json.loads(line)
                failed = [
                    f"{check['name']}: {check['detail']}" for check in report["rungs"] if not check["ok"]
                ]
                yield bundle, report["ok"], "; ".join(failed).replace(str(bundle), bundle.name)
            code = process.wait()
            watch.cancel()
            if waiting:
                errors.seek(0)
                last = " ".join(errors.read().strip().splitlines()[-1:])
                yield waiting.pop(0), False, f"the program ended with {code}: {last}"
