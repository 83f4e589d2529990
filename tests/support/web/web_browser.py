"""Requirements of the web tier (Node, the packages of demos/web, Chromium), and running its scripts."""

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[3] / "demos" / "web"
DRIVE = WEB / "drive"
PLACES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")


def require_node():
    """Skip, saying why, where Node or its packages are missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node and npm are not installed")
    if problem := _packages():
        pytest.skip(problem)


@functools.cache
def _packages() -> str:
    """Install the locked packages, once; return what went wrong, or nothing."""
    if (WEB / "node_modules" / "playwright-core").is_dir():
        return ""
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=WEB, capture_output=True, text=True, timeout=300
    )
    return f"npm ci failed in demos/web: {done.stderr.strip()[-200:]}" if done.returncode else ""


def require_browser():
    """Skip, saying why, where a browser cannot be driven."""
    require_node()
    if not any(place and Path(place).exists() for place in (os.environ.get("CHROMIUM"), *PLACES)):
        pytest.skip("Chromium is not installed (`apt-get install chromium`, or set CHROMIUM to its path)")


def drive(script, *arguments, given=None, fails=False):
    """Run a script of demos/web/drive on JSON, and return the JSON it prints."""
    done = subprocess.run(
        ["node", DRIVE / f"{script}.mjs", *map(str, arguments)],
        input=None if given is None else json.dumps(given),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout, done.stderr[-2000:]
    found = json.loads(done.stdout)
    if not fails:
        assert done.returncode == 0 and "error" not in found, found
    return found
