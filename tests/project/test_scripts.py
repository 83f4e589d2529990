"""Scripts as Keras developers write them run: every script of tests/scripts, in its own folder."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "tests" / "scripts").rglob("*.py"))
# One process runs them one after the other, each in a folder of its own; imports are paid once.
RUNNER = """
import os, runpy, sys, traceback
from pathlib import Path
for number, script in enumerate(sys.argv[2:]):
    folder = Path(sys.argv[1], Path(script).stem)
    folder.mkdir()
    os.chdir(folder)
    try:
        runpy.run_path(script, run_name="__main__")
        Path("passed").touch()
    except Exception:
        Path("failed").write_text(traceback.format_exc(), encoding="utf-8")
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Run all scripts."""
    folder = tmp_path_factory.mktemp("scripts")
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(folder), *map(str, SCRIPTS)],
        text=True,
        capture_output=True,
        check=False,
    )
    return folder, done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_script_runs(folders, script):
    folder, errors = folders[0] / script.stem, folders[1]
    failed = folder / "failed"
    assert not failed.is_file(), failed.read_text(encoding="utf-8")
    assert (folder / "passed").is_file(), errors


def test_the_scripts_are_short_and_enough():
    assert len(SCRIPTS) >= 20
    for script in SCRIPTS:
        assert len(script.read_text(encoding="utf-8").splitlines()) < 40, script
